"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` at the end; after an exception nothing does.

    Args:
        mode: the file's permissions, before the umask takes some away.

    Raises:
        OSError: naming `path`; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "x+b", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise  # of another file, or of none, in the caller's block
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # gone after the rename
            temporary.unlink()


def write_bytes(path: str | Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file whole or not at all: an earlier file stays until the new one is on disk.

    Args:
        mode: as of `replacing`.

    Raises:
        OSError: naming `path`; nothing is left behind.
    """
    with replacing(path, mode) as file:
        file.write(data)
