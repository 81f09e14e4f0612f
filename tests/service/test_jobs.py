"""Jobs over HTTP: accepted, worked on, told of, given and erased."""

from __future__ import annotations

import asyncio
import hashlib
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2i.image import Picture, encode

JOBS = "/v1/models/twice/jobs"
PREDICT = "/v1/models/twice/predict"
MIB = 2**20


@pytest.fixture
def client(serve_jobs) -> Iterator[Any]:
    with serve_jobs() as client:
        yield client


def send(client, data: bytes, **options: Any) -> str:
    """The address of the job that was accepted."""
    reply = client.post(JOBS, content=data, **options)
    assert reply.status_code == 202, reply.text
    job = reply.headers["Location"]
    assert job == f"/v1/jobs/{reply.json()['id']}"
    return job


def refusal(reply) -> tuple[int, str]:
    assert reply.headers["Content-Type"] == "application/problem+json"
    if reply.status_code == 503:
        assert int(reply.headers["Retry-After"]) > 0
    return reply.status_code, reply.json()["code"]


def folders_in(jobs_folder: Path) -> list[Path]:
    return [path for path in jobs_folder.iterdir() if path.is_dir()]


def test_a_job_ends_with_the_bytes_that_a_request_would_get(client, png, end_of, twice):
    reply = client.post(JOBS, content=png)
    assert reply.status_code == 202
    told = reply.json()
    assert set(told) == {"id", "state", "progress", "eta_s", "error"}
    assert (told["state"], told["progress"], told["error"]) == ("queued", 0, None)
    job = reply.headers["Location"]
    assert end_of(client, job) == {**told, "state": "done", "progress": 1}
    result = client.get(f"{job}/result")
    assert result.content == client.post(PREDICT, content=png).content
    assert result.headers["Content-Type"] == "image/png"
    assert result.headers["Content-Length"] == str(len(result.content))
    assert result.headers["X-Model"] == twice.spec.address
    assert result.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("twice", {"format": "jpeg"}),
        ("twice", {"format": "tiff"}),
        ("bright", {}),
        ("bright", {"view": "overlay", "format": "webp"}),
    ],
)
def test_a_form_with_format_and_view_is_taken_as_by_predict(client, png, end_of, model, params):
    files = {"image": ("a.png", png)}
    reply = client.post(f"/v1/models/{model}/jobs", params=params, files=files)
    job = reply.headers["Location"]
    assert end_of(client, job)["state"] == "done"
    result = client.get(f"{job}/result")
    expected = client.post(f"/v1/models/{model}/predict", params=params, content=png)
    assert result.content == expected.content
    assert result.headers["Content-Type"] == expected.headers["Content-Type"]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (JOBS, b"", (400, "empty")),
        (JOBS, b"no picture", (415, "unsupported_format")),
        (JOBS, "cut", (422, "truncated")),
        (JOBS, "large", (413, "too_many_pixels")),
        (JOBS + "?deadline_s=3", "png", (400, "bad_parameter")),
        (JOBS + "?view=mask", "png", (400, "bad_parameter")),
        ("/v1/models/bright/jobs?format=jpeg", "png", (422, "format_cannot_hold")),
        ("/v1/models/thrice/jobs", "png", (404, "unknown_model")),
    ],
)
def test_what_cannot_be_served_is_refused_at_once_and_leaves_nothing(
    serve_jobs, jobs_folder, png, large_png, path, body, expected
):
    body = {"png": png, "cut": png[:20], "large": large_png}.get(body, body)
    with serve_jobs(job_max_pixels=640 * 640 - 1) as client:
        assert refusal(client.post(path, content=body)) == expected
        assert folders_in(jobs_folder) == []


def test_a_job_may_have_more_pixels_than_a_request(serve_jobs, png, end_of):
    with serve_jobs(max_pixels=34, max_output_pixels=139) as client:
        assert refusal(client.post(PREDICT, content=png)) == (413, "too_many_pixels")
        assert end_of(client, send(client, png))["state"] == "done"
        jpeg = client.post(JOBS, params={"format": "jpeg"}, content=png)
        assert refusal(jpeg) == (413, "too_many_pixels")  # it is made in memory


@pytest.mark.parametrize(
    "id", ["x", "..", "%2e%2e", "..%2f..%2fetc", "A" * 22, ".secret", ".lock", "%00", "é" * 22]
)
def test_an_id_that_was_never_given_is_unknown_whatever_it_is(client, id):
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/result")]:
        status, code = refusal(client.request(method, f"/v1/jobs/{id}{path}"))
        assert (status, code in ("unknown_job", "not_found")) == (404, True)


def test_a_job_of_another_key_is_unknown(serve_jobs, png, tmp_path, end_of):
    keys = tmp_path / "keys"
    keys.write_text(
        "".join(f"{hashlib.sha256(k).hexdigest()} {k.decode()}\n" for k in (b"a", b"b"))
    )
    owner, other = ({"headers": {"Authorization": f"Bearer {key}"}} for key in "ab")
    with serve_jobs(keys_file=keys) as client:
        job = send(client, png, **owner)
        assert end_of(client, job, **owner)["state"] == "done"
        for method, path in [("GET", job), ("GET", f"{job}/result"), ("DELETE", job)]:
            reply = client.request(method, path, **other)
            assert refusal(reply) == (404, "unknown_job")
            never = client.request(method, path.replace(job, "/v1/jobs/" + "A" * 22), **other)
            assert {**never.json(), "got": ""} == {**reply.json(), "got": ""}
        assert client.get(f"{job}/result", **owner).status_code == 200

        # The same Idempotency-Key of two callers is two keys.
        keyed = [{"headers": {**who["headers"], "Idempotency-Key": "1"}} for who in (owner, other)]
        assert send(client, png, **keyed[0]) != send(client, png, **keyed[1])


def test_there_is_no_result_until_the_job_is_done(client, twice, large_png, end_of):
    twice.engine.gate.clear()
    twice.engine.began.clear()
    job = send(client, large_png)
    reply = client.get(f"{job}/result")
    assert refusal(reply) == (404, "not_found")
    assert reply.json()["got"] in ("queued", "running")
    twice.engine.gate.set()
    end_of(client, job)
    assert client.get(f"{job}/result").status_code == 200
    wants_json = client.get(f"{job}/result", headers={"Accept": "application/json"})
    assert refusal(wants_json) == (406, "not_acceptable")


def test_a_result_that_the_client_has_is_not_sent_again(client, png, end_of):
    job = send(client, png)
    end_of(client, job)
    etag = client.get(f"{job}/result").headers["ETag"]
    assert re.fullmatch('"[0-9a-f]{64}"', etag)
    for named in (etag, f'"x", W/{etag}', "*"):
        reply = client.get(f"{job}/result", headers={"If-None-Match": named})
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["ETag"] == etag
    for named in ('"x"', etag.strip('"')):
        assert client.get(f"{job}/result", headers={"If-None-Match": named}).status_code == 200


def test_no_job_begins_in_a_process_that_is_to_end(client, png, end_of):
    client.app.state.stopping = True
    job = send(client, png)
    assert client.post(PREDICT, content=png).status_code == 200
    assert client.get(job).json()["state"] == "queued"
    client.app.state.stopping = False
    assert end_of(client, job)["state"] == "done"


def test_a_running_job_tells_how_far_it_is(client, twice, png, large_png, wait_until, end_of):
    client.post(PREDICT, content=png)  # what a pixel costs is known from here on
    twice.engine.gate.clear()
    twice.engine.began.clear()
    job = send(client, large_png)
    wait_until(lambda: client.get(job).json()["progress"] > 0)
    told = client.get(job).json()
    assert (told["state"], told["eta_s"] > 0, told["progress"] < 1) == ("running", True, True)
    twice.engine.gate.set()
    assert end_of(client, job)["progress"] == 1


def test_a_small_request_comes_in_its_turn_while_jobs_run(client, twice, png, large_png, end_of):
    twice.engine.gate.clear()
    twice.engine.began.clear()
    jobs = [send(client, large_png) for _ in range(3)]
    twice.engine.began.wait()
    assert client.post(PREDICT, content=png).status_code == 200
    assert twice.engine.windows < 50
    assert [client.get(job).json()["state"] for job in jobs][-1] == "queued"  # two at a time
    twice.engine.gate.set()
    assert {end_of(client, job)["state"] for job in jobs} == {"done"}


def test_pictures_that_are_large_together_run_one_by_one(serve_jobs, twice, large_png, wait_until):
    with serve_jobs(job_max_pixels=640 * 640) as client:
        twice.engine.gate.clear()
        twice.engine.began.clear()
        jobs = [send(client, large_png) for _ in range(2)]
        wait_until(lambda: client.get(jobs[0]).json()["progress"] > 0)
        assert client.get(jobs[1]).json()["state"] == "queued"


def test_a_finished_job_is_erased_and_may_be_again(client, jobs_folder, png, end_of):
    job = send(client, png)
    end_of(client, job)
    for _ in range(2):
        assert client.request("DELETE", job).status_code == 204
        assert refusal(client.get(job)) == (404, "unknown_job")
        assert refusal(client.get(f"{job}/result")) == (404, "unknown_job")
    (left,) = folders_in(jobs_folder)
    assert {path.name for path in left.iterdir()} == {"job.json", "lock"}


def test_a_running_job_and_a_waiting_one_are_cancelled(
    client, twice, large_png, end_of, jobs_folder
):
    twice.engine.gate.clear()
    twice.engine.began.clear()
    jobs = [send(client, large_png) for _ in range(3)]
    twice.engine.began.wait()
    for job in reversed(jobs):
        assert client.request("DELETE", job).status_code == 204
    windows = twice.engine.windows
    for job in jobs:
        assert end_of(client, job)["state"] == "cancelled"
        assert refusal(client.get(f"{job}/result")) == (404, "not_found")
    assert twice.engine.windows <= windows + 2
    for job in jobs:
        assert client.request("DELETE", job).status_code == 204
        assert refusal(client.get(job)) == (404, "unknown_job")
    names = {path.name for job in folders_in(jobs_folder) for path in job.iterdir()}
    assert names == {"job.json", "lock"}


def test_a_job_fails_with_the_contracts_words(client, twice, png, caplog, end_of):
    twice.engine.failure = RuntimeError("out of memory at /opt/secret.cpp")
    told = end_of(client, send(client, png))
    assert (told["state"], told["error"]["code"]) == ("failed", "model_failed")
    assert "secret" not in str(told)
    assert "/opt/secret.cpp" in caplog.text
    twice.engine.failure = None
    assert end_of(client, send(client, png))["state"] == "done"


def test_a_key_stands_for_one_job_also_after_a_restart(serve_jobs, png, large_png, end_of):
    key = {"Idempotency-Key": "order 66"}
    with serve_jobs() as client:
        job = send(client, png, headers=key)
        assert end_of(client, job)["state"] == "done"
        assert send(client, png, headers={"Idempotency-Key": "order 67"}) != job
    with serve_jobs() as client:
        again = client.post(JOBS, files={"image": ("a", png)}, headers=key)
        assert (again.status_code, again.headers["Location"]) == (202, job)
        assert again.json()["state"] == "done"
        for conflict in (
            client.post(JOBS, content=large_png, headers=key),
            client.post(JOBS, params={"format": "tiff"}, content=png, headers=key),
            client.post("/v1/models/bright/jobs", content=png, headers=key),
        ):
            assert refusal(conflict) == (409, "idempotency_conflict")
        client.request("DELETE", job)
        assert end_of(client, send(client, large_png, headers=key))["state"] == "done"


def test_requests_with_one_key_at_once_are_one_job(client, png, jobs_folder):
    headers = {"Idempotency-Key": "x"}
    sent = [client.begin("POST", JOBS, content=png, headers=headers) for _ in range(8)]
    assert len({reply.result().headers["Location"] for reply in sent}) == 1
    assert len(folders_in(jobs_folder)) == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_of_no_use_is_refused(client, png, key):
    reply = client.post(JOBS, content=png, headers={"Idempotency-Key": key})
    assert refusal(reply) == (400, "bad_parameter")


def test_jobs_share_a_limit_in_bytes(serve_jobs, png, end_of):
    with serve_jobs(jobs_bytes=2 * MIB + 10_000) as client:
        for _ in range(2):  # the smallest job counts for 1 MiB
            send(client, png)
        full = client.post(JOBS, content=png)
        assert refusal(full) == (503, "queue_full")
        assert int(full.headers["Retry-After"]) >= 60
    with serve_jobs(jobs_bytes=3 * MIB) as client:
        noise = np.random.default_rng(0).integers(0, 256, (450, 450, 3), np.uint8)
        # Its result would be of 3.2 MB.
        assert refusal(client.post(JOBS, content=encode(Picture(noise)))) == (503, "queue_full")


def test_a_request_that_is_sent_again_needs_no_room(serve_jobs, png, end_of):
    with serve_jobs(jobs_bytes=2 * MIB + 10_000) as client:
        keys = [{"Idempotency-Key": key} for key in "abc"]
        first, _ = (send(client, png, headers=key) for key in keys[:2])
        assert refusal(client.post(JOBS, content=png, headers=keys[2])) == (503, "queue_full")
        assert send(client, png, headers=keys[0]) == first
        end_of(client, first)
        client.request("DELETE", first)
        send(client, png, headers=keys[2])
        # What is erased is not there, so it needs room.
        assert refusal(client.post(JOBS, content=png, headers=keys[0])) == (503, "queue_full")


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """No file of this process can grow above `most` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_nothing_half_written(client, jobs_folder, png):
    with full_disk(50):
        reply = client.post(JOBS, content=png)
    assert refusal(reply) == (503, "queue_full")
    assert folders_in(jobs_folder) == []
    assert client.post(JOBS, content=png).status_code == 202


def test_a_job_fails_where_the_disk_cannot_hold_its_result(
    client, jobs_folder, twice, wait_until, end_of
):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    twice.engine.gate.clear()
    twice.engine.began.clear()
    job = send(client, encode(Picture(noise)))
    twice.engine.began.wait()
    with full_disk(20_000):
        twice.engine.gate.set()
        told = end_of(client, job)
    assert (told["state"], told["error"]["code"]) == ("failed", "queue_full")
    (left,) = folders_in(jobs_folder)
    assert {path.name for path in left.iterdir()} == {"job.json", "lock"}


def test_a_body_that_stays_away_leaves_nothing(serve_jobs, jobs_folder, png):
    async def slow() -> Any:
        yield png[:20]
        await asyncio.sleep(0.2)

    with serve_jobs(deadline_s=0.1) as client:
        assert refusal(client.post(JOBS, content=slow())) == (504, "deadline")
        assert folders_in(jobs_folder) == []


def test_finished_jobs_go_after_their_time(serve_jobs, jobs_folder, png, wait_until):
    with serve_jobs(job_ttl_s=0.01) as client:
        job = send(client, png)
        wait_until(lambda: client.get(job).status_code == 404)
        wait_until(lambda: folders_in(jobs_folder) == [])


def test_others_on_the_machine_cannot_read_jobs(client, jobs_folder, png, end_of):
    end_of(client, send(client, png))
    (job,) = folders_in(jobs_folder)
    assert job.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in job.iterdir()} == {0o600}


def test_without_a_folder_jobs_live_as_long_as_the_process(
    serve_jobs, png, end_of, monkeypatch, tmp_path
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serve_jobs(jobs_dir=None) as client:
        assert end_of(client, send(client, png))["state"] == "done"
        assert [path.name[:9] for path in tmp_path.iterdir()].count("i2i-jobs-") == 1
    assert not list(tmp_path.glob("i2i-jobs-*"))


def test_metrics_know_jobs_by_their_route_and_not_by_their_id(client, png):
    job = send(client, png)
    client.get(job)
    metrics = client.get("/metrics").text
    assert 'route="/v1/jobs/{id}"' in metrics
    assert job not in metrics
