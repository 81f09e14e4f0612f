"""Paired: pictures before and after, of the same size, from two folders."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.pixels import Values
from training.tasks.same_size import SameSize
from training.tasks.task import Sample


class Paired(SameSize):
    """Predicts the second picture of a pair from the first.

    Args:
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "paired"
    needs = "targets"

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        if sample.target is None or sample.target.ndim != 3:
            raise ValueError(f"{sample.name}: expected a picture with a target; use data of pairs")
        if sample.image.shape != sample.target.shape:
            sample = sample.in_colour()
        assert sample.target is not None
        return sample.image, sample.target

    def protocol(self) -> dict[str, Any]:
        return {
            "pairs": "as they are",
            **super().protocol(),
        }
