"""Jobs on disk: they outlive processes, and processes share them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service import job_looks, jobs
from service.errors import Problem
from service.job_looks import Looks
from service.job_store import Job, JobStore

JOBS = "/v1/models/twice/jobs"
MIB = 2**20


@pytest.fixture
def store(jobs_folder: Path) -> JobStore:
    store = JobStore(jobs_folder, 10 * MIB, 3600)
    store.open()
    return store


def send(client, data: bytes, **options: Any) -> str:
    return client.post(JOBS, content=data, **options).headers["Location"]


@contextmanager
def job_json(folder: Path) -> Iterator[dict[str, Any]]:
    """The only job of a folder, to be changed as another process would have left it."""
    (path,) = folder.glob("*/job.json")
    job = json.loads(path.read_bytes())
    yield job
    path.write_text(json.dumps(job))


@pytest.fixture
def left_over(serve_jobs, twice, large_png) -> str:
    """A job that its process began and has not finished."""
    with serve_jobs() as client:
        twice.engine.gate.clear()
        twice.engine.began.clear()
        job = send(client, large_png)
        twice.engine.began.wait()
    twice.engine.gate.set()
    twice.engine.windows = 0
    return job


def test_what_a_process_has_not_finished_waits_for_the_next_one(
    serve_jobs, jobs_folder, left_over, end_of
):
    with job_json(jobs_folder) as job:
        assert (job["state"], job["runs"], job["progress"]) == ("queued", 0, 0)
    with serve_jobs() as client:
        assert end_of(client, left_over)["state"] == "done"


def test_a_run_is_counted_before_it_can_end_the_process(serve_jobs, jobs_folder, twice, large_png):
    with serve_jobs() as client:
        twice.engine.gate.clear()
        twice.engine.began.clear()
        send(client, large_png)
        twice.engine.began.wait()
        with job_json(jobs_folder) as job:
            assert (job["state"], job["runs"]) == ("running", 1)


def test_a_job_whose_process_was_killed_is_run_once_more(
    serve_jobs, jobs_folder, left_over, end_of
):
    with job_json(jobs_folder) as job:
        job |= {"state": "running", "runs": 1, "progress": 0.5}
    with serve_jobs() as client:
        assert end_of(client, left_over)["state"] == "done"


def test_a_job_whose_processes_were_killed_twice_fails(
    serve_jobs, jobs_folder, left_over, end_of, twice
):
    with job_json(jobs_folder) as job:
        job |= {"state": "running", "runs": 2}
    with serve_jobs() as client:
        told = end_of(client, left_over)
    assert (told["state"], told["error"]["code"]) == ("failed", "model_failed")
    assert "ended before it was done" in told["error"]["detail"]
    assert twice.engine.windows == 0


def test_a_result_that_is_there_is_not_made_again(
    serve_jobs, jobs_folder, left_over, end_of, twice
):
    with job_json(jobs_folder) as job:
        job |= {"state": "running", "runs": 2}
    (jobs_folder / job["id"] / "result").write_bytes(b"a picture")
    with serve_jobs() as client:
        assert end_of(client, left_over)["state"] == "done"
        assert client.get(f"{left_over}/result").content == b"a picture"
    assert twice.engine.windows == 0


def test_a_cancel_outlives_the_process_that_was_to_obey(
    serve_jobs, jobs_folder, left_over, end_of, twice
):
    with job_json(jobs_folder) as job:
        job["state"] = "running"
    (jobs_folder / job["id"] / "cancel").touch()
    with serve_jobs() as client:
        assert end_of(client, left_over)["state"] == "cancelled"
    assert twice.engine.windows == 0


@pytest.fixture
def newer(models_of, make_predictor):
    """The models of a process that serves another version of `twice`."""
    newer = models_of(make_predictor("twice", scale=2, digest="cd" * 32))
    newer.load()
    return newer


def test_a_job_is_left_to_a_process_that_has_its_version(
    serve_jobs, left_over, newer, png, models, end_of
):
    with serve_jobs(newer) as client:
        assert end_of(client, send(client, png))["state"] == "done"  # it came later
        assert client.get(left_over).json()["state"] == "queued"
    with serve_jobs(models) as client:
        assert end_of(client, left_over)["state"] == "done"


def test_a_job_whose_version_nobody_has_fails_in_words(
    serve_jobs, left_over, newer, end_of, twice, monkeypatch
):
    monkeypatch.setattr(jobs, "ELSEWHERE_S", 0.0)
    with serve_jobs(newer) as client:
        told = end_of(client, left_over)
    assert (told["state"], told["error"]["code"]) == ("failed", "unknown_model")
    assert f"{twice.spec.address} is no longer served" in told["error"]["detail"]


def test_jobs_wait_until_their_model_is_loaded(serve_jobs, left_over, models_of, twice, end_of):
    models = models_of(twice)
    with serve_jobs(models) as client:
        assert client.get(left_over).json()["state"] == "queued"
        models.load()
        assert end_of(client, left_over)["state"] == "done"


def test_processes_share_jobs_and_each_is_run_by_one(
    serve_jobs, jobs_folder, png, large_png, twice, end_of
):
    with serve_jobs() as one, serve_jobs() as other:
        jobs = [send(client, png) for client in (one, other) * 4]
        for job in jobs:
            assert end_of(one, job) == end_of(other, job)
            assert one.get(f"{job}/result").content == other.get(f"{job}/result").content
        assert twice.engine.windows == len(jobs) + 1  # one was for the golden sample

        twice.engine.gate.clear()
        twice.engine.began.clear()
        job = send(one, large_png)
        twice.engine.began.wait()
        assert other.request("DELETE", job).status_code == 204
        assert end_of(other, job)["state"] == "cancelled"
        key = {"Idempotency-Key": "x"}
        assert send(one, png, headers=key) == send(other, png, headers=key)


def test_a_picture_on_its_way_in_is_left_alone_and_what_it_left_is_erased(store, jobs_folder):
    with store.incoming(5) as incoming:
        incoming.write(b"a pic")
        assert store.sweep() == []
        assert incoming.path.exists()
    debris = jobs_folder / ("A" * 22)
    debris.mkdir()
    (debris / "lock").touch()
    assert store.sweep() == []
    assert not [path for path in jobs_folder.iterdir() if path.is_dir()]


def test_room_is_kept_for_bodies_and_results_that_are_still_to_come(store):
    with store.incoming(6 * MIB), pytest.raises(Problem, match="queue_full"):
        store.incoming(5 * MIB).__enter__()
    with store.incoming(2) as incoming:
        incoming.write(b"ab")
        store.accept(incoming, a_job("A" * 22), 6 * MIB)
    with pytest.raises(Problem, match="queue_full"), store.incoming(5 * MIB):
        pass
    with store.incoming(3 * MIB):
        pass


def test_what_is_sent_again_comes_beside_a_full_store_one_at_a_time(store):
    with store.incoming(10 * MIB), pytest.raises(Problem, match="queue_full"):
        store.incoming(2).__enter__()
    with (
        store.incoming(10 * MIB),
        store.incoming(2, again=True),
        pytest.raises(Problem, match="queue_full"),
    ):
        store.incoming(2, again=True).__enter__()


def test_a_picture_that_finds_no_room_for_its_result_is_not_accepted(store, jobs_folder):
    with pytest.raises(Problem, match="queue_full"), store.incoming(2) as incoming:
        store.accept(incoming, a_job("A" * 22), 20 * MIB)
    assert store.sweep() == []
    assert not [path for path in jobs_folder.iterdir() if path.is_dir()]


def test_a_cancel_that_comes_as_the_job_ends_erases_it(store, jobs_folder):
    with store.incoming(2) as incoming:
        job = store.accept(incoming, a_job("A" * 22), 1)
    with store.claim(job.id) as held:
        assert held == job
        store.remove(job.id)  # as seen from another process
        assert store.unwanted(job.id)
        store.result(job.id).write_bytes(b"x")
        store.finish(job, "done")
    store.sweep()
    erased = store.find(job.id)
    assert erased is not None
    assert erased.state == "erased"
    assert not store.result(job.id).exists()


def test_a_job_is_erased_also_while_its_worker_lets_go_of_it(store):
    with store.incoming(2) as incoming:
        job = store.accept(incoming, a_job("A" * 22), 1)
    with ExitStack() as claim:
        assert claim.enter_context(store.claim(job.id)) == job
        store.result(job.id).write_bytes(b"x")
        store.finish(job, "done")
        letting_go = threading.Timer(0.2, claim.pop_all().close)
        letting_go.start()
        store.remove(job.id)
        letting_go.join()
    assert store.find(job.id).state == "erased"


def test_what_a_newer_version_has_written_is_left_alone(store, jobs_folder):
    other = jobs_folder / ("B" * 22)
    other.mkdir()
    for text in ('{"schema": 9}', "{", "[]"):
        (other / "job.json").write_text(text)
        assert store.find(other.name) is None
        assert store.sweep() == []
        assert other.exists()


@pytest.mark.parametrize(
    "id", ["", "x", "../" + "A" * 19, "A" * 21 + "/", "A" * 22 + "\n", "é" * 22]
)
def test_no_text_leads_out_of_the_folder(store, id):
    assert store.find(id) is None


def test_ids_are_not_repeated_and_not_told_by_their_key(store, tmp_path):
    assert store.new_id("a", None) != store.new_id("a", None)
    assert store.new_id("a", "1") == store.new_id("a", "1")
    assert len({store.new_id(*who) for who in [("a", "1"), ("b", "1"), ("a", "2"), ("", "1")]}) == 4
    elsewhere = JobStore(tmp_path, MIB, 1)
    elsewhere.open()
    assert elsewhere.new_id("a", "1") != store.new_id("a", "1")


@pytest.fixture
def done(store, jobs_folder) -> Callable[[str], Path]:
    """`done("A")`: the folder of a job that was finished a while ago."""

    def done(letter: str) -> Path:
        with store.incoming(2) as incoming:
            job = store.accept(incoming, a_job(letter * 22), 1)
        with store.claim(job.id):
            store.result(job.id).write_bytes(bytes(4 * MIB))
            store.finish(job, "done")
        folder = jobs_folder / job.id
        os.utime(folder, (0, 0))
        return folder

    return done


def test_finished_jobs_are_looked_at_in_turns(store, jobs_folder, done, monkeypatch):
    folders = [done(letter) for letter in "AB"]
    looks = Looks(jobs_folder)
    looks.look()
    monkeypatch.setattr(job_looks, "_FINISHED_AT_ONCE", 1)
    for folder in folders:  # as another process does
        (folder / "result").unlink()
    numbers = [sum(look.bytes > MIB for look in looks.look().values()) for _ in range(3)]
    assert numbers == [1, 0, 0]


def test_what_others_have_erased_makes_room_at_once(store, jobs_folder, done, monkeypatch):
    monkeypatch.setattr(job_looks, "_FINISHED_AT_ONCE", 0)
    folders = [done(letter) for letter in "AB"]
    store.sweep()
    other = JobStore(jobs_folder, 10 * MIB, 3600)
    other.open()
    other.remove(folders[0].name)
    with store.incoming(5 * MIB):
        pass


def test_an_erased_job_that_is_sent_again_is_begun_again(store, done, monkeypatch):
    monkeypatch.setattr(job_looks, "_FINISHED_AT_ONCE", 0)
    folder = done("A")
    store.remove(folder.name)
    os.utime(folder, (0, 0))
    assert store.sweep() == []
    with store.incoming(2) as incoming:
        again = store.accept(incoming, a_job(folder.name), 1)
    assert store.sweep() == [again]


def a_job(id: str) -> Job:
    return Job(id, "", "twice@abababababab", "png", None, 7, 5, "digest", 0.0)
