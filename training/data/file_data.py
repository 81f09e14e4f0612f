"""Data whose samples are files: split in two, checked, and read as the task wants them."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from i2i.image.picture import Depth
from i2i.nets.style import check_choice
from training.data.cache import Load
from training.data.checks import check_files
from training.data.files import (
    check_folder,
    loads_of,
    read_class_ids,
    warn_of_16_bits,
    warn_of_palettes,
)
from training.data.module import ImageData, LoadMask
from training.data.splits import Parts, Split, read_lines
from training.recipe import describe
from training.tasks.task import Task


class FileData(ImageData):
    """What the sources of files share.

    Args:
        split: which pictures validate, where folders or a list do not say so.
        depth: bits of the pictures; 16 keeps those of 16-bit files, 8 rounds them.
    """

    def __init__(self, split: Split | None = None, depth: Depth = 8, **options: Any) -> None:
        super().__init__(**options)
        check_choice("depth", depth, Depth)
        self.split, self.depth = split, depth
        self._found: Parts | None = None

    @abstractmethod
    def parts(self, task: Task) -> Parts:
        """The files that train and those that validate; ValueError where they do not fit."""

    def where(self) -> dict[str, Any]:
        split = {} if self.split is None else {"split": describe(self.split)}
        return {"depth": self.depth, **split}

    def training_loads(self, task: Task) -> list[Load]:
        parts = self._parts(task)
        check_files(parts)
        warn_of_palettes([*parts[0], *parts[1]])
        if self.depth == 8:
            warn_of_16_bits([*parts[0], *parts[1]], "set --data.depth 16 to keep them")
        return loads_of(parts[0], task, self.depth)

    def validation_loads(self, task: Task) -> list[Load]:
        return loads_of(self._parts(task)[1], task, self.depth)

    def training_masks(self, task: Task) -> list[LoadMask]:
        ids = {key: task.read_options()[key] for key in ("num_classes", "ignore")}
        with _untold():
            training, _ = self._parts(task)
        return [partial(read_class_ids, entry.mask, **ids) for entry in training if entry.mask]

    def place_of(self, index: int) -> str:
        assert self._found is not None
        return str(self._found[0][index].image)

    def _parts(self, task: Task) -> Parts:
        # Once for both parts: what is to be told of the files is told as they are found.
        if self._found is None:
            self._found = self.parts(task)
        return self._found


@contextmanager
def _untold() -> Iterator[None]:
    """Without what is to be told of the files: the run that follows tells it."""
    logger = logging.getLogger("training.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def read_classes(folder: Path) -> list[str]:
    """The names of the classes in `folder`/classes.txt, a line each, in the order of their ids.

    Raises:
        ValueError: there is no such folder or file, or it is not UTF-8.
    """
    check_folder(folder)
    path = folder / "classes.txt"
    if not path.is_file() and (above := folder.absolute().parent / path.name).is_file():
        raise ValueError(f"{path}: expected the names of the classes, got no file; move {above}")
    return read_lines(path, "the names of the classes")
