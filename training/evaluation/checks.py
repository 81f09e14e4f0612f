"""What is asked of the files of an evaluation together, before it begins: it may take hours."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from i2i.image import read_header
from i2i.image.decoding import naming
from training.data.cache import Load
from training.data.crops import to_tensor
from training.data.file_data import read_classes
from training.data.files import Entry, loads_of, read_class_ids, warn_of_16_bits, warn_of_palettes
from training.evaluation.sample_folders import find_entries
from training.passing_bar import passing
from training.tasks import Segmentation, Task
from training.tasks.scores import check_ids

# Folders of a data set whose classes.txt lies beside them.
_PARTS = ("train", "val", "test")


def find_checked(images: Path, masks: Path | None, targets: Path | None, task: Task) -> list[Load]:
    """As `find_samples`, once nothing speaks against measuring on them.

    Raises:
        ValueError: as `find_samples`, `check_classes`, `check_masks` and `check_sizes`.
    """
    entries = find_entries(images, masks, targets, task)
    if masks is not None:
        check_classes(masks, task)
        check_masks(entries, task)
    warn_of_16_bits(entries, "scores are of 8 bits, whatever the model was trained on")
    loads = loads_of(entries, task)
    check_sizes(entries, loads, task)
    return loads


def check_classes(masks: Path, task: Task) -> None:
    """Raises ValueError where the classes.txt of the data set of these masks has other classes.

    It is where training reads it: beside the folder of masks, or beside the folder train, val or
    test that this is in. Where there is none, nothing is known.
    """
    if not isinstance(task, Segmentation):
        return
    folder = masks.absolute().parent
    folders = [folder, folder.parent] if folder.name in _PARTS else [folder]
    found = next((place for place in folders if (place / "classes.txt").is_file()), None)
    if found is None:
        return
    pairs = zip_longest(task.class_names, read_classes(found), fillvalue="no more")
    for line, (name, listed) in enumerate(pairs, start=1):
        if name != listed:
            raise ValueError(
                f"{found / 'classes.txt'}, line {line}: expected the classes of the model in its "
                f"order, here {name}, got {listed}; evaluate a model of these classes, or renumber "
                "the masks and mend the file"
            )


def check_masks(entries: Sequence[Entry], task: Task) -> None:
    """Reads the masks, and tells which look like 0/255 where 0/1 is meant.

    Raises:
        ValueError: a mask cannot be read, or all of them together hold no class but the first.
    """
    if not isinstance(task, Segmentation):
        return
    warn_of_palettes(entries)
    first_only, seen, doubtful = {0, task.ignore}, set[int](), list[str]()
    for entry in passing(entries, "Reading masks"):
        assert entry.mask is not None
        mask = read_class_ids(entry.mask, len(task.class_names), task.ignore)
        ids = set(np.unique(mask).tolist())
        seen |= ids
        if task.ignore in ids and ids <= first_only:
            doubtful.append(entry.mask.name)
    check_ids(seen, task.ignore, f"{entries[0].mask} and {len(entries) - 1} more masks")
    if doubtful:
        logging.getLogger(__name__).warning(
            "%d of %d masks hold 0 and %d only, so all but the first class is ignored in them, "
            "such as %s; save them as 0 and 1 if %d means the second class",
            *(len(doubtful), len(entries), task.ignore, doubtful[0], task.ignore),
        )


def check_sizes(entries: Sequence[Entry], loads: Sequence[Load], task: Task) -> None:
    """Raises ValueError where the smallest picture is too small for the scores."""
    sides = []
    for entry in entries:
        with naming(entry.image):
            header = read_header(entry.image.read_bytes())
        sides.append(min(header.height, header.width))
    smallest = sides.index(min(sides))
    sample = loads[smallest]()
    try:
        _, target = task.pair(sample, np.random.default_rng(0))
        values = task.target_tensor(to_tensor(target)[None])
        task.metrics().update(values, values)
    except ValueError as error:
        reason = str(error).removeprefix(f"{sample.name}: ")
        raise not_scored(str(entries[smallest].image), task, reason) from error


def not_scored(name: str, task: Task, reason: str) -> ValueError:
    """What is said of a picture that the scores refuse."""
    border = task.protocol().get("border", 0)
    cut = f" ({border} pixels are cut from each side of the target first)" if border else ""
    return ValueError(
        f"{name}: cannot be scored: {reason}{cut}; take it away, or give a larger one"
    )
