"""Locks between processes that share a folder; they end with the process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def lock(path: Path, flags: int = 0, *, wait: bool = True) -> Iterator[bool]:
    """Holds the lock that `path` is, until the block or the process ends; whether it is held."""
    try:
        file = os.open(path, os.O_RDWR | flags, 0o600)
    except FileNotFoundError:
        file = None
    if file is None:
        yield False
        return
    try:
        held = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(file)
