"""Jobs while their process ends, or their disk fails for a moment."""

from __future__ import annotations

import itertools
import json
import threading

from service import jobs
from service.job_store import JobStore

JOBS = "/v1/models/twice/jobs"


def test_no_job_is_taken_that_would_go_with_the_process(
    serve_jobs, png, end_of, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serve_jobs(jobs_dir=None) as client:
        client.app.state.stopping = True
        refused = client.post(JOBS, content=png)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert refused.headers["Retry-After"]
        client.app.state.stopping = False
        assert end_of(client, client.post(JOBS, content=png).headers["Location"])


def test_no_job_is_taken_whose_picture_comes_as_the_process_is_told_to_end(
    serve_jobs, png, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serve_jobs(jobs_dir=None) as client:

        async def coming():
            yield png[:20]
            client.app.state.stopping = True
            yield png[20:]

        refused = client.post(JOBS, content=coming())
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")


def test_a_job_whose_threads_end_before_it_waits_for_the_next_process(
    serve_jobs, hanging_job, jobs_folder, png, end_of, wait_until, monkeypatch
):
    monkeypatch.setattr(jobs, "STOP_S", 0.0)
    monkeypatch.setattr(jobs, "_SCAN_S", 0.05)

    def state() -> str:
        (path,) = jobs_folder.glob("*/job.json")
        return str(json.loads(path.read_bytes())["state"])

    with serve_jobs() as client:
        job, picture = hanging_job(client, JOBS)
        wait_until(lambda: state() == "running")
    picture.write_bytes(png)
    wait_until(lambda: state() != "running")
    assert state() == "queued"

    picture.unlink()
    picture.write_bytes(png)
    with serve_jobs() as client:
        assert end_of(client, job)["state"] == "done"


def test_a_job_hears_of_its_cancel_after_its_disk_has_failed_for_a_moment(
    serve_jobs, twice, large_png, end_of, monkeypatch
):
    real, calls, failed = JobStore.unwanted, itertools.count(1), threading.Event()

    def unwanted(store: JobStore, id: str) -> bool:
        if next(calls) == 2:  # the first is before it begins
            failed.set()
            raise OSError("the network is gone")
        return real(store, id)

    monkeypatch.setattr(JobStore, "unwanted", unwanted)
    with serve_jobs() as client, serve_jobs() as other:
        twice.engine.gate.clear()
        job = client.post(JOBS, content=large_png).headers["Location"]
        failed.wait()
        assert other.request("DELETE", job).status_code == 204
        assert end_of(other, job)["state"] == "cancelled"


def test_a_length_beside_chunks_keeps_no_room(serve_jobs, png):
    async def chunks():
        yield png

    headers = {"Content-Length": "1", "Transfer-Encoding": "chunked"}
    with serve_jobs(max_body=3 * 2**20, jobs_bytes=2 * 2**20) as client:
        reply = client.post(JOBS, content=chunks(), headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (503, "queue_full")
        assert client.post(JOBS, content=png).status_code == 202
