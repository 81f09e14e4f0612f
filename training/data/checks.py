"""What is asked of the samples of a run together, before it begins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.augment import Augmentation
from training.data.cache import Samples
from training.data.crops import ValidationPictures
from training.data.names import some_of
from training.data.splits import Parts
from training.tasks.scores import check_ids
from training.tasks.task import Sample, Task

GEOMETRY_TRIES = 16
# What gives a task what it needs.
SOURCES = {"none": "Photos", "masks": "Masks", "targets": "Pairs"}


def check_needs(task: Task, given: str) -> None:
    """Raises ValueError where the task needs another thing beside its pictures than is given."""
    if task.needs != given:
        raise ValueError(
            f"task: expected one that needs {given} beside its pictures, got "
            f"{type(task).__name__}, which needs {task.needs}; use "
            f"training.data.{SOURCES[task.needs]}"
        )


def check_masks(samples: Samples, task: Task, validating: bool = False) -> None:
    """Raises ValueError as `check_ids`, and where masks to train on show the first class alone.

    Args:
        validating: whether these pictures validate.
    """
    if task.needs != "masks":
        return
    seen: set[int] = set()
    for index in range(len(samples)):
        mask = samples[index].mask
        seen |= set() if mask is None else set(np.unique(mask).tolist())
        if seen - {0, task.ignore}:
            return
    masks = f"masks of {samples[0].name} and {len(samples) - 1} more"
    check_ids(seen, task.ignore, masks)
    if not validating:
        raise ValueError(f"{masks}: expected ids of at least two classes, got {sorted(seen)} only")


def check_sizes(pictures: ValidationPictures, samples: Samples) -> None:
    """Raises ValueError where pictures are too small for the net or for the scores.

    From the smallest on they are tried, up to the first that is large enough.
    """
    small: list[str] = []
    for index in sorted(range(len(samples)), key=lambda index: min(samples.sizes[index])):
        try:
            _, target = pictures[index]
            target = pictures.task.target_tensor(target[None])
            pictures.task.metrics().update(target, target)
        except ValueError as error:
            name = samples[index].name
            small.append(f"{name}: cannot validate: {str(error).removeprefix(f'{name}: ')}")
        else:
            break
    if small:
        others = "" if len(small) == 1 else f" and {len(small) - 1} more such pictures"
        raise ValueError(f"{small[0]}; take it{others} away, or let it train only")


def check_geometry(
    augmentation: Augmentation, samples: Samples, seed: int, place_of: Callable[[int], str]
) -> None:
    """Raises ValueError where pictures are smaller than the crop: the turn of one would end a run.

    From the lowest and from the narrowest on they are tried, up to the first that is large enough,
    each often enough for most of what chance may do to it.

    Args:
        place_of: where the sample of this index is found.
    """
    small: dict[int, str] = {}
    for side in (0, 1):
        for index in sorted(range(len(samples)), key=lambda index: samples.sizes[index][side]):
            if index in small:
                continue
            try:
                for attempt in range(GEOMETRY_TRIES):
                    augmentation.geometry(samples[index], np.random.default_rng([seed, attempt]))
            except ValueError as error:
                if error.__cause__ is None:  # another mistake than albumentations finds in a size
                    raise
                small[index] = str(error.__cause__)
            else:
                break
    if small:
        raise ValueError(
            f"geometry: expected pictures as large as the crop, got {len(small)} of {len(samples)} "
            f"that are smaller: {some_of([place_of(index) for index in small])} "
            f"({next(iter(small.values()))}); in the config's YAML, name training.augment.Crop in "
            "place of the crop, with its height and width: it continues a small picture; or lower "
            "these"
        )


def warn_of_filled_masks(augmentation: Augmentation, sample: Sample, task: Task, seed: int) -> None:
    """Logs a warning where a transform adds labels or numbers that no one has measured.

    albumentations fills a mask with 0 where a turned or moved picture ends.
    """
    if task.needs == "none":
        return
    ones = None if sample.mask is None else np.ones_like(sample.mask)
    numbers = sample.target is not None and sample.target.ndim == 2
    known = replace(sample, mask=ones, target=np.ones_like(sample.target) if numbers else None)
    for attempt in range(GEOMETRY_TRIES):
        changed = augmentation.geometry(known, np.random.default_rng([seed, attempt]))
        values = changed.target if numbers else changed.mask
        if values is not None and not values.all():
            meaning = task.classes()[0].name if task.classes() else "a number like any other"
            ignored = f", or fill_mask: {task.ignore}, which is ignored" if task.classes() else ""
            logging.getLogger(__name__).warning(
                "geometry: a transform moves pictures beyond their end, where their masks get 0, "
                "which is %s; give it border_mode: 4, which continues both%s",
                meaning,
                ignored,
            )
            return


def check_files(parts: Parts) -> None:
    """Raises ValueError where a file trains and validates, also by a link."""
    training, validation = parts
    by_file = {entry.image.resolve(): entry.image for entry in training}
    for entry in validation:
        if (image := by_file.get(entry.image.resolve())) is not None:
            raise ValueError(
                f"{entry.image}: expected pictures that only validate, got one that trains too, as "
                f"{image}; take it away from one side"
            )


def warn_of_darkness(samples: Samples) -> None:
    """Logs a warning where pictures are nearly black, as a few with nothing to see may be."""
    if samples.dark:
        name, words = next(iter(samples.dark.items()))
        logging.getLogger(__name__).warning(
            "%d of %d pictures are nearly black, such as %s: %s",
            len(samples.dark),
            len(samples),
            name,
            words,
        )


def warn_of_leaks(training: Samples, validation: Samples) -> None:
    """Logs a warning where pictures of equal pixels train and validate: copies under two names."""
    shared = training.name_of.keys() & validation.name_of.keys()
    if shared:
        first = min(shared, key=validation.name_of.__getitem__)
        logging.getLogger(__name__).warning(
            "%d of %d pictures that validate have the pixels of one that trains, such as %s and "
            "%s; the score flatters, take them away from one side",
            len(shared),
            len(validation),
            validation.name_of[first],
            training.name_of[first],
        )
