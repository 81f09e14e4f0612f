"""Locks between processes that share a folder; they end with the process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

# How often a lock that another holds is tried again.
_RETRY_S = 0.02


@contextlib.contextmanager
def lock(path: Path, flags: int = 0, *, wait_s: float = 0.0) -> Iterator[bool]:
    """Holds the lock that `path` is, until the block or the process ends; whether it is held.

    Args:
        wait_s: how long it is tried. The system could wait by itself, but for ever: a process that
            is frozen keeps its locks.
    """
    try:
        file = os.open(path, os.O_RDWR | flags, 0o600)
    except FileNotFoundError:
        file = None
    if file is None:
        yield False
        return
    try:
        end = time.monotonic() + wait_s
        while not (held := _take(file)) and time.monotonic() < end:
            time.sleep(_RETRY_S)
        yield held
    finally:
        os.close(file)


def _take(file: int) -> bool:
    """Takes the lock if nobody holds it; whether it is taken."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
