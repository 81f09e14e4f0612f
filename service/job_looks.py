"""What the folders of jobs held when they were looked at, without looking at all of them each time.

A job that is not finished is looked at every time, one that is finished now and then: nothing but
its end is to come, though another process may erase it, or put a new job into its place.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.incoming import INPUT
from service.job import Job

ID = re.compile(r"[A-Za-z0-9_-]{22}")  # what 16 bytes are in base64

JOB, RESULT, CANCEL, LOCK = "job.json", "result", "cancel", "lock"
# A file of no blocks and of the size that the result may come to: kept free for it.
SPACE = "space"

# What a job counts for at least, so that the limit in bytes bounds their number too.
LEAST_BYTES = 2**20
# What is left of a job without a picture, its state and its lock: two blocks of most disks.
_FINISHED_BYTES = 2**13
# A folder may change twice within a tick of its clock: what is younger is looked at again.
_SETTLED_NS = 10**9
# So many finished jobs are looked at each time: those that have not been for longest.
_FINISHED_AT_ONCE = 200


@dataclass(frozen=True)
class Look:
    """What a folder held when it was looked at.

    Attributes:
        changed: when a file was last put into it, taken out or replaced, in nanoseconds.
        bytes: what it counts for.
    """

    changed: int
    job: Job | None
    unwanted: bool
    bytes: int

    @property
    def is_over(self) -> bool:
        return self.job is not None and self.job.finished is not None


class Looks:
    """The folders of jobs in `root`, for several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Of jobs that are finished, and of all others; the first are those that have not been
        # looked at for longest.
        self._over: dict[str, Look] = {}
        self._open: dict[str, Look] = {}
        self._changed: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def note(self, id: str) -> None:
        """Tells that this process has changed a job: the next look is at it too."""
        self._changed.add(id)

    def look(self, *, at_all: bool = False) -> dict[str, Look]:
        """What each folder holds; of finished jobs it may be old, unless `at_all`.

        Files are opened only where something has changed since the last time.
        """
        with self._one_at_a_time:
            settled = time.time_ns() - _SETTLED_NS
            names = set(os.listdir(self._root))
            # Exchanged before the look: who changes a job meanwhile is heard the next time.
            changed, self._changed = self._changed, set()
            again = [*changed, *itertools.islice(self._over, None if at_all else _FINISHED_AT_ONCE)]
            known = self._open | {name: self._over[name] for name in again if name in self._over}
            for name in known.keys() | (self._over.keys() - names):
                self._over.pop(name, None)
            looks = dict(self._look_at(names - self._over.keys(), known))
            everything = self._over | looks
            kept = {name: look for name, look in looks.items() if look.changed < settled}
            self._over |= {name: look for name, look in kept.items() if look.is_over}
            self._open = {name: look for name, look in kept.items() if not look.is_over}
            return everything

    def _look_at(self, names: set[str], known: dict[str, Look]) -> Iterator[tuple[str, Look]]:
        for name in filter(ID.fullmatch, names):
            folder, look = self._root / name, known.get(name)
            with contextlib.suppress(FileNotFoundError):
                changed = folder.stat().st_mtime_ns
                if look is None or look.changed != changed:
                    look = Look(changed, read_job(folder), is_unwanted(folder), _bytes_of(folder))
                yield name, look


def read_job(folder: Path) -> Job | None:
    """The job that a folder holds."""
    try:
        return Job(**json.loads((folder / JOB).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # gone, or written by a version of the service that knows more


def is_unwanted(folder: Path) -> bool:
    """Whether somebody has asked to cancel the job."""
    return (folder / CANCEL).exists()


def _bytes_of(folder: Path) -> int:
    """What a job counts for: its files, or its picture and the room kept for its result."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                sizes[entry.name] = entry.stat().st_size
    if not sizes.keys() & {INPUT, RESULT}:
        return _FINISHED_BYTES
    kept = sizes.pop(SPACE, 0)
    return max(LEAST_BYTES, sum(sizes.values()), sizes.get(INPUT, 0) + kept)
