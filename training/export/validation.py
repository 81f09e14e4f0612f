"""The pictures that validated a run, found again for its export."""

from __future__ import annotations

from typing import Any

from training.data.cache import Samples
from training.recipe import build
from training.tasks import Task


def validation_samples(task: Task, recipe: dict[str, Any]) -> Samples:
    """The samples that validated the run of a checkpoint's recipe.

    Raises:
        ValueError: they are not there, or not the same any more.
    """
    if recipe["source"] is None:
        raise ValueError("--images: expected a folder; the run had no data of its own")
    try:
        loads = build(recipe["source"]).validation_loads(task)
    except ValueError as error:
        raise ValueError(
            "--images: expected a folder, for the run's pictures are no longer where they were: "
            f"{error}; name the folder of those that validated it"
        ) from error
    samples = Samples(loads)
    if recipe["data"].get("validation_digest") not in (None, samples.digest):
        raise ValueError(
            "--images: expected a folder, for the run's validation pictures are no longer the same,"
            " and those of now may have been trained on; name one of pictures that were not"
        )
    return samples
