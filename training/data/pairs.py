"""Pairs of files: an input, and what the net shall make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data.checks import check_needs
from training.data.file_data import FileData
from training.data.files import Entry, pair_with_targets
from training.data.splits import Parts, Split, split_folder
from training.tasks.task import Task


class Pairs(FileData):
    """Pairs: `root`/{input,target} by stem, or `root`/{train,val}/{input,target}.

    A target has its input's size. The task's kind says what it is: a picture, or a map (a TIFF of
    floats, or a gray PNG or TIFF of numbers).

    Args:
        split: which pairs validate where no folders say so; every tenth by default.
    """

    def __init__(self, root: str, split: Split | None = None, **options: Any) -> None:
        super().__init__(split, **options)
        self.root = Path(root)

    def where(self) -> dict[str, Any]:
        return {"root": str(self.root.absolute()), **super().where()}

    def parts(self, task: Task) -> Parts:
        check_needs(task, "targets")
        return split_folder(self.root, self.split, find_pairs, ["input", "target"])


def find_pairs(root: Path) -> list[Entry]:
    """Pictures of `root`/input with the targets of `root`/target that have the same stem.

    Raises:
        ValueError: a folder is missing, a picture has no target, or two files have the same stem.
    """
    return pair_with_targets(root / "input", root / "target")
