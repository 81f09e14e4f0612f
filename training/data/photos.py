"""Photographs, for tasks that make their input from the picture itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data.checks import check_needs
from training.data.file_data import FileData
from training.data.files import find_photos
from training.data.splits import Parts, Split, split_folder
from training.tasks.task import Task


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
        further = [entry for folder in self.also for entry in find_photos(folder)]
        return training + further, validation
