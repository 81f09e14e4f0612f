"""Which job is next, and which go together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2i.image import Picture, encode
from service import jobs

JOBS = "/v1/models/twice/jobs"
ONE = 640 * 640  # pixels of `large_webp`


@pytest.fixture
def large_webp() -> bytes:
    """A picture of 100 windows, in the format that takes the most memory to decode."""
    return encode(Picture(np.zeros((640, 640, 1), np.uint8)), "webp")


def send(client, data: bytes, **options: Any) -> str:
    return client.post(JOBS, content=data, **options).headers["Location"]


def state_of(client, job: str, **options: Any) -> str:
    return client.get(job, **options).json()["state"]


def finished(jobs_folder: Path, job: str) -> float:
    (path,) = jobs_folder.glob(f"{Path(job).name}/job.json")
    return json.loads(path.read_bytes())["finished"]


@pytest.fixture
def slow(twice):
    """The engine, of which a large picture takes ten seconds until its gate is opened."""
    twice.engine.gate.clear()
    yield twice.engine
    twice.engine.gate.set()


def test_many_jobs_of_one_caller_do_not_all_go_before_anothers(
    serve_jobs, slow, tmp_path, large_webp, wait_until
):
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{hashlib.sha256(k.encode()).hexdigest()} {k}\n" for k in "ab"))
    a, b = ({"headers": {"Authorization": f"Bearer {key}"}} for key in "ab")
    with serve_jobs(keys_file=keys) as client:
        many = [send(client, large_webp, **a) for _ in range(4)]
        one = send(client, large_webp, **b)
        wait_until(lambda: {state_of(client, job, **a) for job in many[:2]} == {"running"})
        client.request("DELETE", many[0], **a)
        wait_until(lambda: state_of(client, one, **b) == "running")
        assert [state_of(client, job, **a) for job in many[2:]] == ["queued", "queued"]


@pytest.mark.whole
@pytest.mark.parametrize(("format", "together"), [("png", True), ("jpeg", False)])
def test_what_is_encoded_in_one_piece_runs_alone_where_that_takes_the_memory_of_several(
    serve_jobs, slow, large_webp, wait_until, format, together
):
    with serve_jobs(job_max_pixels=2 * ONE) as client:
        first, second = (send(client, large_webp, params={"format": format}) for _ in range(2))
        wait_until(lambda: client.get(first).json()["progress"] > 0)
        if together:
            wait_until(lambda: state_of(client, second) == "running")
        else:
            assert state_of(client, second) == "queued"
            client.request("DELETE", first)
            wait_until(lambda: state_of(client, second) == "running")


def test_small_jobs_pass_one_for_which_there_is_no_memory(
    serve_jobs, slow, png, large_webp, end_of
):
    with serve_jobs(job_max_pixels=2 * ONE - 1) as client:
        first, second = (send(client, large_webp) for _ in range(2))
        slow.began.wait()
        assert end_of(client, send(client, png))["state"] == "done"
        assert (state_of(client, first), state_of(client, second)) == ("running", "queued")


def test_a_job_is_not_passed_for_ever(
    serve_jobs, slow, jobs_folder, png, large_webp, end_of, wait_until, monkeypatch
):
    monkeypatch.setattr(jobs, "PASSED_S", 0.0)
    with serve_jobs(job_max_pixels=ONE) as client:
        first, second = (send(client, large_webp) for _ in range(2))
        wait_until(lambda: state_of(client, first) == "running")
        small = send(client, png)
        slow.gate.set()
        for job in (first, second, small):
            assert end_of(client, job)["state"] == "done"
        assert finished(jobs_folder, second) < finished(jobs_folder, small)
