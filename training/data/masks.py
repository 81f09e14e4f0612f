"""Pictures with masks of class ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data.checks import check_needs
from training.data.file_data import FileData, read_classes
from training.data.files import find_masked
from training.data.splits import Parts, Split, split_folder
from training.tasks.task import Task


class Masks(FileData):
    """Pictures with masks: `root`/{train,val}/{images,masks} by stem, and `root`/classes.txt.

    A mask is a file of class ids up to 255, of its picture's name, or of one that goes on in every
    mask alike, such as `_mask`. The classes of the task are those of classes.txt.

    Args:
        split: which pictures validate where `root` holds `images` and `masks` themselves; every
            tenth by default.
    """

    def __init__(self, root: str, split: Split | None = None, **options: Any) -> None:
        super().__init__(split, **options)
        self.root = Path(root)

    def where(self) -> dict[str, Any]:
        return {"root": str(self.root.absolute()), **super().where()}

    def class_names(self) -> list[str]:
        return read_classes(self.root)

    def parts(self, task: Task) -> Parts:
        check_needs(task, "masks")
        return split_folder(self.root, self.split, find_masked, ["images", "masks"])
