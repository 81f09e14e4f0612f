"""Jobs at work: each caller's oldest first, a few at a time, in a thread of their own.

They share the engine with requests by the scheduler's fair turns. Any process takes any job that
nobody works on, also one whose process has ended. Where this process ends in order, what it has
not finished waits for the next one.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from i2i.image import ImageError
from i2i.predictor import Cancelled, Predictor
from service.admission import Admission
from service.errors import Problem, model_failed
from service.job import Job, State
from service.job_store import JobStore, no_room
from service.models import Models
from service.pipeline import Order, Pipeline, most_job_bytes
from service.settings import Settings

# Two keep the engine busy while one of them reads or writes a file.
_AT_ONCE = 2
# A picture that ends the process, by its memory say, shall not do so for ever.
_MOST_RUNS = 2
# How often the folder is looked through for jobs of other processes and for what is over.
_SCAN_S = 2.0
# How often progress is put down, and a cancel of another process is seen.
_BEAT_S = 0.25
# For what cannot be stopped, a picture being decoded; what then still runs is begun once more.
STOP_S = 15.0
# How long a job is left to others whose model, or version of it, is not served here: processes that
# share the folder differ while a new version is rolled out.
ELSEWHERE_S = 600.0
# How long a job for which there is no memory lets those that came later pass.
PASSED_S = 600.0

logger = logging.getLogger(__name__)


class _Run:
    """A job that is being worked on here.

    Attributes:
        share: of its windows that are done.
        estimate_s: what it was thought to take when it began; 0 where that is unknown.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.unwanted = threading.Event()
        self.share = 0.0
        self.estimate_s = 0.0
        self._began = time.monotonic()

    def note(self, share: float) -> None:
        self.share = share

    def seen(self) -> Job:
        """The job as it stands now."""
        left_s = self.estimate_s
        if self.share > 0:
            left_s = (time.monotonic() - self._began) * (1 - self.share) / self.share
        return dataclasses.replace(
            self.job,
            state="running",
            progress=round(self.share, 4),
            eta_s=round(left_s, 1) or None,
            runs=self.job.runs + 1,
        )


class Jobs:
    """Works on the jobs of a store, from `start` to `close`.

    Args:
        ended: is told how each job ended.
        resting: whether no further job shall begin here, as before the process ends.
    """

    def __init__(
        self,
        store: JobStore,
        models: Models,
        pipeline: Pipeline,
        admission: Admission,
        settings: Settings,
        ended: Callable[[State], None] = lambda state: None,
        resting: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store, self._ended, self._resting = store, ended, resting
        self._models, self._pipeline, self._admission = models, pipeline, admission
        self._settings, self._began = settings, time.time()
        self._runs: dict[str, _Run] = {}
        self._waiting = 0
        self._stopping = threading.Event()
        self._started = threading.Event()

    @property
    def running(self) -> int:
        """How many are being worked on here."""
        return len(self._runs)

    @property
    def waiting(self) -> int:
        """How many in the folder nobody had begun when it was looked through last."""
        return self._waiting

    def start(self) -> None:
        """Begins with what is in the folder.

        Raises:
            OSError: the folder cannot be written.
        """
        self.store.open()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="jobs", daemon=True
        )
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """Ends after the windows that are being run; what is not finished is queued again."""
        self._stopping.set()
        self.wake()
        self._thread.join(STOP_S)
        self.store.close()

    def wake(self) -> None:
        """Tells that there may be something to do; from any thread."""
        self._loop.call_soon_threadsafe(self._woken.set)

    def remove(self, id: str) -> None:
        """Erases a job that is finished, and cancels one that is not; from any thread."""
        if self.store.remove(id):
            self._ended("cancelled")
        run = self._runs.get(id)
        if run is not None:
            run.unwanted.set()

    def check_lasting(self) -> None:
        """Refuses a job that would go with this process before its turn.

        Raises:
            Problem: queue_full; the process is to end, and so is its folder.
        """
        if self._settings.jobs_dir is None and self._resting():
            raise Problem("queue_full", "the service is stopping")

    async def _serve(self) -> None:
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping.is_set():
                self._woken.clear()
                try:
                    self._begin(tasks)
                except Exception:
                    logger.exception("the folder of jobs cannot be gone through")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SCAN_S):
                        await self._woken.wait()

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Begins jobs that nobody works on, as many as go together."""
        waiting = [job for job in self.store.sweep() if job.id not in self._runs]
        while len(self._runs) < _AT_ONCE and not self._resting():
            claimed = self._claim_next(waiting)
            if claimed is None:
                break
            run, claim = claimed
            self._runs[run.job.id] = run
            tasks.create_task(self._run(run, claim))
        self._waiting = sum(job.state == "queued" for job in waiting)

    def _claim_next(self, waiting: list[Job]) -> tuple[_Run, contextlib.ExitStack] | None:
        """Takes the next job from those that wait, and claims it.

        That is the oldest of those whose callers have the fewest at work, so that nobody's many
        jobs are all before another's. One for which there is no memory is passed, for a time.
        """
        callers = collections.Counter(run.job.caller for run in self._runs.values())
        for waits in sorted(waiting, key=lambda job: (callers[job.caller], job.created)):
            if not self._may_begin(waits):
                continue
            fits = self._fits(waits)
            if not fits and time.time() < waits.created + PASSED_S:
                continue
            with contextlib.ExitStack() as claim:
                job = claim.enter_context(self.store.claim(waits.id))
                if job is None or job.finished is not None:
                    continue
                if not fits:
                    break
                waiting.remove(waits)
                return _Run(job), claim.pop_all()
        return None

    def _fits(self, job: Job) -> bool:
        """Whether the pictures in memory take together no more than one alone may."""
        others = sum(run.job.bytes for run in self._runs.values())
        return not others or others + job.bytes <= most_job_bytes(self._settings.job_max_pixels)

    def _may_begin(self, job: Job) -> bool:
        """Not while its model is loading, or may be that of another process."""
        try:
            self._models.find(job.model)
        except Problem as problem:
            if problem.code == "queue_full":
                return False
            left_alone = time.time() - max(job.created, self._began)
            return self._settings.jobs_dir is None or left_alone > ELSEWHERE_S
        return True

    async def _run(self, run: _Run, claim: contextlib.ExitStack) -> None:
        """Works on a job that is claimed, and gives it back."""
        with claim:
            try:
                await self._finish(run)
                self._woken.set()
            except Exception:  # on disk it is as it was; the next scan begins it once more
                logger.exception("the end of job %s cannot be put down", run.job.id)
            del self._runs[run.job.id]

    async def _finish(self, run: _Run) -> None:
        """Brings a job to its end, or back among those that wait."""
        store, job = self.store, run.job
        result = store.result(job.id)
        try:
            if store.unwanted(job.id):
                raise Cancelled
            # It is complete already if its process ended before it could say so.
            if not result.exists():
                await self._work(run, result)
            etag = await store.disk.run(_digest, result)
        except Cancelled:
            if store.unwanted(job.id):
                self._end(run, "cancelled")
            else:
                self._put_back(job)
        except Exception as failure:
            if self._stopping.is_set():  # its threads may have ended before it
                self._put_back(job)
            else:
                self._end(run, "failed", error=_problem(failure, job).body())
        else:
            self._end(run, "done", etag=etag)
            done = store.find(job.id)
            if done is not None and store.unwanted(job.id):  # asked for at the last moment
                store.finish(done, "erased")

    def _put_back(self, job: Job) -> None:
        """This process ends: the next one begins the job as if it had not been begun."""
        self.store.write(dataclasses.replace(job, state="queued", progress=0.0, eta_s=None))

    def _end(self, run: _Run, state: State, **found: Any) -> None:
        self.store.finish(run.seen(), state, **found)
        self._ended(state)

    async def _work(self, run: _Run, result: Path) -> None:
        """Makes the result.

        Raises:
            Exception: why there is none.
        """
        job = run.job
        if job.runs == _MOST_RUNS:
            raise Problem(
                "model_failed",
                f"{job.runs} times the process that worked on this job ended before it was done",
            )
        predictor = self._predictor(job)
        run.estimate_s = self._admission.estimate(predictor, job.height, job.width).seconds
        self.store.write(run.seen())
        order = Order(
            predictor,
            job.format,
            job.view,
            self._settings.most_job_pixels(predictor.spec, job.format),
            deadline=math.inf,
            gone=lambda: run.unwanted.is_set() or self._stopping.is_set(),
        )
        telling = asyncio.create_task(self._tell(run))
        try:
            await self._pipeline.predict_to(self.store.input(job.id), result, order, run.note)
        finally:
            telling.cancel()

    def _predictor(self, job: Job) -> Predictor:
        """Of the version that the job was sent to."""
        try:
            return self._models.find(job.model)
        except Problem as problem:
            detail = f"{job.model} is no longer served here: {problem.detail}"
            raise Problem(problem.code, detail, expected=problem.expected) from None

    async def _tell(self, run: _Run) -> None:
        """Puts down how far a job is, and reads whether it is still wanted."""
        told = run.share
        while True:
            await asyncio.sleep(_BEAT_S)
            with contextlib.suppress(OSError):  # the next time, or at its end
                if self.store.unwanted(run.job.id):
                    run.unwanted.set()
                if run.share != told:
                    self.store.write(run.seen())
                    told = run.share


def _problem(failure: Exception, job: Job) -> Problem:
    """Why a job failed, in the words of the contract."""
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, ImageError):
        return Problem.of(failure)
    logger.error("job %s failed", job.id, exc_info=failure)
    if isinstance(failure, OSError):
        return no_room()
    return model_failed()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
