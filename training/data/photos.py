"""Photographs, for tasks that make their input from the picture itself."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath
from typing import Any

from training.data.checks import check_needs
from training.data.file_data import FileData
from training.data.files import Entry, find_photos
from training.data.splits import Parts, Split, split_folder
from training.tasks.task import Task

# Folders of pictures, and of what is none beside them.
_BESIDE = {"masks": "images", "target": "input"}


class Photos(FileData):
    """Photographs: any tree of pictures.

    Args:
        root: folder of pictures. Where it holds `train` and `val`, these are the split.
        also: further folders of pictures to train on.
        split: which pictures validate where no folders say so; every tenth by default.
    """

    def __init__(
        self,
        root: str,
        also: list[str] | None = None,
        split: Split | None = None,
        **options: Any,
    ) -> None:
        super().__init__(split, **options)
        self.root, self.also = Path(root), [Path(folder) for folder in also or []]

    def where(self) -> dict[str, Any]:
        return {"root": str(self.root.absolute()), **super().where()}

    def parts(self, task: Task) -> Parts:
        check_needs(task, "none")
        training, validation = split_folder(self.root, self.split, find_photos)
        warn_of_others([*training, *validation])
        further = [entry for folder in self.also for entry in find_photos(folder)]
        return training + further, validation


def warn_of_others(entries: list[Entry]) -> None:
    """Logs a warning where masks or targets, by their names, are among the photographs."""
    names = [PurePosixPath(entry.name).with_suffix("") for entry in entries]
    known = set(names)
    for other, kind in _BESIDE.items():
        found = [
            entry.image
            for entry, name in zip(entries, names, strict=True)
            if other in name.parent.parts and _renamed(name, other, kind) in known
        ]
        if found:
            folder = next(path for path in found[0].parents if path.name == other)
            logging.getLogger(__name__).warning(
                "%d of %d photographs lie in a folder %s beside one %s that holds the same names, "
                "such as %s: they are taken for photographs too; say --data.root %s",
                *(len(found), len(entries), other, kind, found[0], folder.with_name(kind)),
            )


def _renamed(path: PurePosixPath, old: str, new: str) -> PurePosixPath:
    return PurePosixPath(*(new if part == old else part for part in path.parts))
