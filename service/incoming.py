"""A picture on its way in, as a file that is not yet a job's."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

INPUT = "input"


class Incoming:
    """A picture on its way in, in a folder of its own.

    Attributes:
        path: its file, whole after `complete`.
    """

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self.folder, self.path = folder, folder / INPUT
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of what has come."""
        return self._digest.hexdigest()

    def write(self, part: bytes) -> None:
        self._file.write(part)
        self._digest.update(part)

    def complete(self) -> None:
        """Puts all that came on disk; a second call does nothing more."""
        self._file.truncate(self._file.tell())
        self._file.flush()
        os.fsync(self._file.fileno())


def create(path: Path) -> BinaryIO:
    """A new file that nobody else on this machine can read."""
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb")
