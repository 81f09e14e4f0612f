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
import re
import secrets
import shutil
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i.image import write_bytes
from service.disk import Disk
from service.errors import Problem
from service.file_lock import lock
from service.incoming import INPUT, Incoming, create
from service.job import Job, State
from service.own_folder import own_folder

_ID_BYTES = 16
_ID = re.compile(r"[A-Za-z0-9_-]{22}")  # what 16 bytes are in base64

_JOB, _RESULT, _CANCEL, _LOCK = "job.json", "result", "cancel", "lock"
# A file of no blocks and of the size that the result may come to: kept free for it.
_SPACE = "space"

# What a job counts for at least, so that the limit in bytes bounds their number too.
_LEAST_BYTES = 2**20
# What is left of a job without a picture, its state and its lock: two blocks of most disks.
_FINISHED_BYTES = 2**13
# Until another try makes sense where the folder is full.
_FULL_RETRY_S = 60
# How long the folder is waited for, of which a process that is frozen may hold the lock.
LOCK_S = 5.0
# Of the folder that a process makes for itself.
_PREFIX = "i2i-jobs-"
# A folder may change twice within a tick of its clock: what is younger is looked at again.
_SETTLED_NS = 10**9


@dataclass(frozen=True)
class _Look:
    """What a folder held when it was looked at.

    Attributes:
        changed: when a file was last put into it, taken out or replaced, in nanoseconds.
        bytes: what it counts for.
    """

    changed: int
    job: Job | None
    unwanted: bool
    bytes: int


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
        self._looks: dict[str, _Look] = {}

    def open(self) -> None:
        """Makes the folder ready.

        Raises:
            OSError: it cannot be written.
            Problem: queue_full; it is new, and another process keeps it locked.
        """
        self._root = self._given or self._own.enter_context(own_folder(_PREFIX))
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
        if not _ID.fullmatch(id):
            return None
        try:
            return Job(**json.loads((self._folder(id) / _JOB).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None  # gone, or written by a version of the service that knows more

    def input(self, id: str) -> Path:
        return self._folder(id) / INPUT

    def result(self, id: str) -> Path:
        """Where the result lies once it is complete."""
        return self._folder(id) / _RESULT

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
                self._check_room(max(size, _LEAST_BYTES), again)
                folder.mkdir(0o700)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                stack.enter_context(lock(folder / _LOCK, os.O_CREAT))
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
                with create(folder / _SPACE) as space:
                    space.truncate(result_bytes)
                self.write(job)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return job

    @contextlib.contextmanager
    def claim(self, id: str, wait_s: float = 0.0) -> Iterator[Job | None]:
        """The job, while nobody else can change it; None where another works on it."""
        with lock(self._folder(id) / _LOCK, wait_s=wait_s) as held:
            yield self.find(id) if held else None

    def write(self, job: Job) -> None:
        """Puts down how far a job is, in one piece; for who has claimed it."""
        data = json.dumps(dataclasses.asdict(job)).encode()
        self._write_private(self._folder(job.id) / _JOB, data)

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
        kept = {_JOB, _LOCK, _CANCEL, _RESULT if state == "done" else _JOB}
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
            (folder / _CANCEL).unlink(missing_ok=True)

    def remove(self, id: str) -> None:
        """Erases a job that is finished, and cancels one that is not.

        Where another works on it, that one reads `cancel`.
        """
        with self.claim(id) as job:
            if job is not None:
                self.finish(job, "cancelled" if job.finished is None else "erased")
                return
        with contextlib.suppress(FileNotFoundError):
            (self._folder(id) / _CANCEL).touch(0o600)
        job = self.find(id)
        if job is not None and job.finished is not None:  # whoever finished it is about to let go
            with self.claim(id, wait_s=LOCK_S) as job:
                if job is not None:
                    self.finish(job, "erased")

    def unwanted(self, id: str) -> bool:
        """Whether somebody has asked to cancel it."""
        return (self._folder(id) / _CANCEL).exists()

    def sweep(self) -> list[Job]:
        """The jobs that are not finished, oldest first; what is over is erased."""
        unfinished = []
        for folder, look in self._look():
            job = look.job
            if job is None:
                self._sweep_debris(folder)
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
                (folder / _JOB).unlink(missing_ok=True)  # first: what is half gone is unknown
                shutil.rmtree(folder, ignore_errors=True)

    def _look(self) -> list[tuple[Path, _Look]]:
        """All folders; files are opened only where something has changed since the last time."""
        looks = {}
        for folder in self._folders():
            with contextlib.suppress(FileNotFoundError):
                changed = folder.stat().st_mtime_ns
                looks[folder] = self._looks.get(folder.name) or _Look(-1, None, False, 0)
                if looks[folder].changed != changed:
                    id = folder.name
                    looks[folder] = _Look(
                        changed, self.find(id), self.unwanted(id), _bytes_of(folder)
                    )
        settled = time.time_ns() - _SETTLED_NS
        self._looks = {f.name: look for f, look in looks.items() if look.changed < settled}
        return list(looks.items())

    def _sweep_debris(self, folder: Path) -> None:
        """Erases a picture on its way in whose process has ended."""
        with self._lock() as alone, lock(folder / _LOCK) as held:
            ended = held or not (folder / _LOCK).exists()
            if alone and ended and not (folder / _JOB).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, id: str) -> Path:
        return self._root / id

    def _folders(self) -> list[Path]:
        return [self._folder(name) for name in os.listdir(self._root) if _ID.fullmatch(name)]

    def _check_room(self, size: int, again: bool = False) -> None:
        used = sum(look.bytes for _, look in self._look())
        free = shutil.disk_usage(self._root).free
        if used + (0 if again else size) > self._most_bytes or size > free:
            raise Problem(
                "queue_full",
                "the jobs that are there leave no room for this one; fetch and delete some",
                expected=f"at most {self._most_bytes} bytes of all jobs, and {free} that are free",
                got=f"{used} bytes, and {size} for this one",
                retry_after_s=_FULL_RETRY_S,
            )

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Nobody else adds jobs, here or in another process.

        Raises:
            Problem: queue_full; another process does not come to the end of it.
        """
        with self._lock(LOCK_S) as alone:
            if not alone:
                raise Problem("queue_full", "another process holds the folder of jobs")
            yield

    def _lock(self, wait_s: float = 0.0) -> contextlib.AbstractContextManager[bool]:
        return lock(self._root / ".lock", os.O_CREAT, wait_s=wait_s)

    def _write_private(self, path: Path, data: bytes) -> None:
        write_bytes(path, data)
        path.chmod(0o600)


def _bytes_of(folder: Path) -> int:
    """What a job counts for: its files, or its picture and the room kept for its result."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                sizes[entry.name] = entry.stat().st_size
    if not sizes.keys() & {INPUT, _RESULT}:
        return _FINISHED_BYTES
    kept = sizes.pop(_SPACE, 0)
    return max(_LEAST_BYTES, sum(sizes.values()), sizes.get(INPUT, 0) + kept)
