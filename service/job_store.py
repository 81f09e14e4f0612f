"""Jobs on disk: a folder each, whose state any process that shares the root can tell and change.

`<id>/` holds `job.json`, replaced as a whole; the picture, `input`; the `result` once it is
complete; `cancel` where it is no longer wanted; and `lock`. Who changes a job holds its lock, which
the system frees when a process ends, however it ends. A folder without `job.json` is a picture on
its way in.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hmac
import json
import math
import os
import secrets
import shutil
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from i2i.image import write_bytes
from service.disk import Disk
from service.errors import Problem
from service.file_lock import lock
from service.incoming import INPUT, Incoming, create
from service.job import Job, State
from service.job_looks import (
    CANCEL,
    ID,
    JOB,
    LEAST_BYTES,
    LOCK,
    RESULT,
    SPACE,
    Looks,
    is_unwanted,
    read_job,
)
from service.own_folder import own_folder

_ID_BYTES = 16
# Until another try makes sense where the folder is full.
_FULL_RETRY_S = 60
# How long the folder is waited for, of which a process that is frozen may hold the lock.
LOCK_S = 5.0
# Of the folder that a process makes for itself.
_PREFIX = "i2i-jobs-"
# How soon all folders are looked at once more where they seem full.
_AT_ALL_S = 5.0


def no_room() -> Problem:
    """What is told where the folder of jobs cannot be written."""
    return Problem(
        "queue_full", "the disk for jobs is full or cannot be written", retry_after_s=_FULL_RETRY_S
    )


class JobStore:
    """The jobs in a folder.

    Args:
        root: an existing folder; None makes one, which goes with the process.
        most_bytes: of all files in it, and of the results that are still to come.
        ttl_s: seconds that a finished job is kept.
    """

    def __init__(self, root: Path | None, most_bytes: int, ttl_s: float) -> None:
        self._given, self._most_bytes, self._ttl_s = root, most_bytes, ttl_s
        self.disk = Disk()
        self._own = contextlib.ExitStack()
        self._looked_at_all = -math.inf

    def open(self) -> None:
        """Makes the folder ready.

        Raises:
            OSError: it cannot be written.
            Problem: queue_full; it is new, and another process keeps it locked.
        """
        self._root = self._given or self._own.enter_context(own_folder(_PREFIX))
        self._looks = Looks(self._root)
        secret = self._root / ".secret"
        if not secret.exists():
            with self._exclusive():
                if not secret.exists():
                    self._write_private(secret, secrets.token_bytes(32))
        self._secret = secret.read_bytes()

    def close(self) -> None:
        self._own.close()
        self.disk.close()

    def new_id(self, caller: str, key: str | None) -> str:
        """An id that nobody can guess; the same for the same key of the same caller."""
        if key is None:
            return secrets.token_urlsafe(_ID_BYTES)
        digest = hmac.digest(self._secret, f"{caller}\0{key}".encode(), "sha256")
        return urlsafe_b64encode(digest[:_ID_BYTES]).rstrip(b"=").decode()

    def find(self, id: str) -> Job | None:
        """The job of this id, whatever text that is."""
        return read_job(self._folder(id)) if ID.fullmatch(id) else None

    def input(self, id: str) -> Path:
        return self._folder(id) / INPUT

    def result(self, id: str) -> Path:
        """Where the result lies once it is complete."""
        return self._folder(id) / RESULT

    @contextlib.contextmanager
    def incoming(self, size: int, again: bool = False) -> Iterator[Incoming]:
        """Takes a picture of at most `size` bytes; at the end it is gone, unless accepted.

        Args:
            again: it comes for a job that is there, and may come, one at a time, where there is no
                room for more.

        Raises:
            Problem: queue_full.
            OSError: the folder cannot be written.
        """
        folder = self._folder(secrets.token_urlsafe(_ID_BYTES))
        with contextlib.ExitStack() as stack:
            with self._exclusive():
                self._check_room(max(size, LEAST_BYTES), again)
                folder.mkdir(0o700)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                stack.enter_context(lock(folder / LOCK, os.O_CREAT))
                file = stack.enter_context(create(folder / INPUT))
                file.truncate(size)  # holds its room against others
            yield Incoming(folder, file)

    def accept(self, incoming: Incoming, job: Job, result_bytes: int) -> Job:
        """The job of this picture, or the one that is already there by this id.

        Args:
            result_bytes: room that is kept for the result.

        Raises:
            Problem: queue_full; idempotency_conflict where the other asks for something else.
            OSError: the folder cannot be written; nothing of the job is left.
        """
        incoming.complete()
        folder = self._folder(job.id)
        with self._exclusive():
            known = self.find(job.id)
            if known is not None and known.state != "erased":
                if known.request != job.request:
                    raise Problem(
                        "idempotency_conflict",
                        "this Idempotency-Key came before, with another picture or parameters",
                        expected="the same request, or another key",
                    )
                return known
            self._check_room(result_bytes)
            if known is not None:
                shutil.rmtree(folder)
            incoming.folder.rename(folder)
            try:
                with create(folder / SPACE) as space:
                    space.truncate(result_bytes)
                self.write(job)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return job

    @contextlib.contextmanager
    def claim(self, id: str, wait_s: float = 0.0) -> Iterator[Job | None]:
        """The job, while nobody else can change it; None where another works on it."""
        with lock(self._folder(id) / LOCK, wait_s=wait_s) as held:
            yield self.find(id) if held else None

    def write(self, job: Job) -> None:
        """Puts down how far a job is, in one piece; for who has claimed it."""
        data = json.dumps(dataclasses.asdict(job)).encode()
        self._write_private(self._folder(job.id) / JOB, data)
        self._looks.note(job.id)

    def finish(
        self,
        job: Job,
        state: State,
        *,
        error: dict[str, Any] | None = None,
        etag: str = "",
    ) -> None:
        """Ends a job that is claimed; what its state has no use for is erased.

        Files go first: on a full disk that makes room for the state.
        """
        folder = self._folder(job.id)
        kept = {JOB, LOCK, CANCEL, RESULT if state == "done" else JOB}
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)
        if state == "done":
            self.result(job.id).chmod(0o600)
        progress = 1.0 if state == "done" else job.progress
        self.write(
            dataclasses.replace(
                job,
                state=state,
                progress=progress,
                eta_s=None,
                error=error,
                finished=time.time(),
                etag=etag,
            )
        )
        if state in ("cancelled", "erased"):  # else `cancel` came too late: `sweep` obeys it
            (folder / CANCEL).unlink(missing_ok=True)

    def remove(self, id: str) -> bool:
        """Erases a job that is finished, and cancels one that is not.

        Where another works on it, that one reads `cancel`.

        Returns:
            Whether it waited, and is cancelled now.
        """
        with self.claim(id) as job:
            if job is not None:
                waited = job.finished is None
                self.finish(job, "cancelled" if waited else "erased")
                return waited
        with contextlib.suppress(FileNotFoundError):
            (self._folder(id) / CANCEL).touch(0o600)
        job = self.find(id)
        if job is not None and job.finished is not None:  # whoever finished it is about to let go
            with self.claim(id, wait_s=LOCK_S) as job:
                if job is not None:
                    self.finish(job, "erased")
        return False

    def unwanted(self, id: str) -> bool:
        """Whether somebody has asked to cancel it."""
        return is_unwanted(self._folder(id))

    def sweep(self) -> list[Job]:
        """The jobs that are not finished, oldest first; what is over is erased."""
        unfinished = []
        for id, look in self._looks.look().items():
            job = look.job
            if job is None:
                self._sweep_debris(self._folder(id))
            elif job.finished is None:
                unfinished.append(job)
            elif time.time() > job.finished + self._ttl_s:
                self._forget(job.id)
            elif look.unwanted:
                self.remove(job.id)
        return sorted(unfinished, key=lambda job: job.created)

    def _forget(self, id: str) -> None:
        """Erases a job whose time is over, unless it has been accepted again meanwhile."""
        folder = self._folder(id)
        with self._lock() as alone, self.claim(id) as job:
            if not alone or job is None:
                return  # the next sweep finds it again
            if time.time() > (job.finished or math.inf) + self._ttl_s:
                (folder / JOB).unlink(missing_ok=True)  # first: what is half gone is unknown
                shutil.rmtree(folder, ignore_errors=True)

    def _sweep_debris(self, folder: Path) -> None:
        """Erases a picture on its way in whose process has ended."""
        with self._lock() as alone, lock(folder / LOCK) as held:
            ended = held or not (folder / LOCK).exists()
            if alone and ended and not (folder / JOB).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, id: str) -> Path:
        return self._root / id

    def _check_room(self, size: int, again: bool = False) -> None:
        free = shutil.disk_usage(self._root).free
        wanted = 0 if again else size
        used = self._used()
        if used + wanted > self._most_bytes and time.monotonic() > self._looked_at_all + _AT_ALL_S:
            used = self._used(at_all=True)  # others may have erased jobs
            self._looked_at_all = time.monotonic()
        if used + wanted > self._most_bytes or size > free:
            raise Problem(
                "queue_full",
                "the jobs that are there leave no room for this one; fetch and delete some",
                expected=f"at most {self._most_bytes} bytes of all jobs, and {free} that are free",
                got=f"{used} bytes, and {size} for this one",
                retry_after_s=_FULL_RETRY_S,
            )

    def _used(self, *, at_all: bool = False) -> int:
        """Bytes of all jobs."""
        return sum(look.bytes for look in self._looks.look(at_all=at_all).values())

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Nobody else adds jobs, here or in another process.

        Raises:
            Problem: queue_full; who is there does not come to the end of it.
        """
        with self._lock(LOCK_S) as alone:
            if not alone:
                raise Problem("queue_full", "the folder of jobs is busy")
            yield

    def _lock(self, wait_s: float = 0.0) -> contextlib.AbstractContextManager[bool]:
        return lock(self._root / ".lock", os.O_CREAT, wait_s=wait_s)

    def _write_private(self, path: Path, data: bytes) -> None:
        write_bytes(path, data, mode=0o600)
