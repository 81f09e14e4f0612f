"""A folder of jobs that hangs, held by a frozen process or lost by a network: predictions go on."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from service import disk, job_store, jobs_routes

JOBS = "/v1/models/twice/jobs"
PREDICT = "/v1/models/twice/predict"
# More than all threads that asyncio has for everybody.
MANY = 40


@pytest.fixture
def frozen(jobs_folder: Path) -> Callable[[], AbstractContextManager[None]]:
    """`with frozen():` another process holds the folder, as it would be if it were stopped."""

    @contextmanager
    def frozen() -> Iterator[None]:
        with (jobs_folder / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    return frozen


def folders_in(jobs_folder: Path) -> list[Path]:
    return [path for path in jobs_folder.iterdir() if path.is_dir()]


def test_while_the_folder_is_held_pictures_are_answered_and_jobs_refused(
    serve_jobs, frozen, jobs_folder, png, monkeypatch
):
    monkeypatch.setattr(job_store, "LOCK_S", 0.5)

    async def many_pieces():
        yield png
        for _ in range(20):
            yield bytes(9)

    with serve_jobs() as client:
        with frozen():
            jobs = [client.begin("POST", JOBS, content=png) for _ in range(MANY)]
            assert client.post(PREDICT, content=many_pieces()).status_code == 200
            assert not all(job.done() for job in jobs)
            for job in jobs:
                reply = job.result()
                assert (reply.status_code, reply.json()["code"]) == (503, "queue_full")
                assert reply.json()["detail"] == "the folder of jobs is busy"
                assert int(reply.headers["Retry-After"]) > 0
        assert folders_in(jobs_folder) == []
        assert client.post(JOBS, content=png).status_code == 202


def test_a_job_is_taken_by_its_deadline_or_not_at_all(
    serve_jobs, frozen, jobs_folder, png, wait_until
):
    with serve_jobs(deadline_s=0.1) as client:
        with frozen():
            jobs = [client.begin("POST", JOBS, content=png) for _ in range(MANY)]
            for job in jobs:
                reply = job.result()
                assert (reply.status_code, reply.json()["code"]) == (504, "deadline")
        # Those that still waited for the folder have taken it, and given it back.
        wait_until(lambda: folders_in(jobs_folder) == [])


def test_a_process_begins_though_its_folder_is_held(serve_jobs, frozen, png):
    with serve_jobs():
        pass
    with frozen(), serve_jobs() as client:
        assert client.post(PREDICT, content=png).status_code == 200


def test_a_job_whose_picture_cannot_be_read_holds_up_no_request(
    serve_jobs, hanging_job, png, large_png, wait_until
):
    with serve_jobs() as client:
        job, picture = hanging_job(client, JOBS)
        try:
            wait_until(lambda: client.get(job).json()["state"] == "running")
            for data, format in [(png, "png"), (large_png, "webp")]:
                reply = client.post(PREDICT, params={"format": format}, content=data)
                assert reply.status_code == 200
            assert client.get(job).json()["state"] == "running"
        finally:
            os.close(os.open(picture, os.O_RDWR))  # who reads it finds it empty


def test_a_result_that_cannot_be_read_is_waited_for_until_the_deadline(
    serve_jobs, jobs_folder, png, end_of, monkeypatch
):
    monkeypatch.setattr(disk, "_END_S", 0.1)
    with serve_jobs() as client:
        job = client.post(JOBS, content=png).headers["Location"]
        end_of(client, job)
    result = jobs_folder / Path(job).name / "result"
    result.unlink()
    os.mkfifo(result)
    silent = os.open(result, os.O_RDWR)  # so that it can be opened, and has nothing to read
    try:
        with serve_jobs(deadline_s=0.2) as client:
            reply = client.get(f"{job}/result")
            assert (reply.status_code, reply.json()["code"]) == (504, "deadline")
    finally:
        os.close(silent)


def test_a_result_whose_next_piece_cannot_be_read_is_cut_off():
    taken: list[bytes] = []

    async def hanging() -> bytes:
        await asyncio.Event().wait()
        return b""

    async def scene() -> None:
        async for piece in jobs_routes._pieces(b"first", hanging, 0.05):
            taken.append(piece)  # noqa: PERF401

    with pytest.raises(TimeoutError):
        asyncio.run(scene())
    assert taken == [b"first"]
