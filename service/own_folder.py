"""A temporary folder that goes with its process, also where that is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from service.file_lock import lock

_LOCK = "owner"


@contextlib.contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """A folder that is erased at the end; those that killed processes have left are erased first.

    Raises:
        OSError: the machine's temporary folder cannot be written.
    """
    _erase_left(prefix)
    made = Path(tempfile.mkdtemp(prefix=f".{prefix}"))
    with lock(made / _LOCK, os.O_CREAT):
        # It has its name once it is locked: before that it would look like one that was left.
        folder = made.rename(made.with_name(made.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _erase_left(prefix: str) -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # Those of other users cannot be opened.
        with contextlib.suppress(OSError), lock(left / _LOCK) as ended:
            if ended:
                shutil.rmtree(left, ignore_errors=True)
