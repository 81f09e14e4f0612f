"""Folders of pictures, masks and targets: of `evaluate`, `export`, `robustness` and `results`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.data.cache import Load
from training.data.files import (
    Entry,
    find_photos,
    loads_of,
    pair_with_masks,
    pair_with_targets,
)
from training.tasks import Task


def find_samples(images: Path, masks: Path | None, targets: Path | None, task: Task) -> list[Load]:
    """What reads the pictures of a folder, and the masks or targets of the same stem.

    Raises:
        ValueError: as `find_entries`.
    """
    return loads_of(find_entries(images, masks, targets, task), task)


def find_entries(images: Path, masks: Path | None, targets: Path | None, task: Task) -> list[Entry]:
    """The pictures of a folder, and the masks or targets of the same stem.

    Raises:
        ValueError: the task needs a folder that is not given, or none that is; or no picture, or
            one without its part, is there.
    """
    for name, folder in (("masks", masks), ("targets", targets)):
        if folder is not None and name != task.needs:
            raise ValueError(f"--{name}: expected none for the task {task.name}, got {folder}")
    if task.needs == "none":
        return find_photos(images)
    if task.needs == "masks":
        return pair_with_masks(images, _needed(masks, task))
    return pair_with_targets(images, _needed(targets, task))


def _needed(folder: Path | None, task: Task) -> Path:
    if folder is None:
        raise ValueError(
            f"--{task.needs}: expected a folder of {task.needs} for the task {task.name}, got none"
        )
    return folder


def add_samples_arguments(parser: argparse.ArgumentParser) -> None:
    """What `find_samples` takes beside the pictures, as options of a command."""
    parser.add_argument("--masks", type=Path, help="folder of masks, for a segmentation")
    parser.add_argument(
        "--targets", type=Path, help="folder of target pictures or maps, for pairs and dense maps"
    )
