"""Restoration: a picture spoiled by noise, compression, blur or holes, and the original."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from training.degradations import Degradation, check_degradation
from training.pixels import Values, in_colour
from training.tasks.same_size import SameSize
from training.tasks.task import Sample


class Restoration(SameSize):
    """Predicts a picture from what a degradation made of it.

    Args:
        degradation: of `training.degradations`, made anew for every crop.
        border: pixels cut from each side of a training pair, where a blur guesses how the picture
            goes on.
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "restoration"

    def __init__(
        self, degradation: Degradation, border: int = 0, loss: nn.Module | None = None
    ) -> None:
        check_degradation(degradation)
        if border < 0:
            raise ValueError(f"border: expected at least 0, got {border}")
        super().__init__(loss)
        self.degradation, self.border = degradation, border

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        image, target = self.degradation(sample.image, random), sample.image
        # Holes in a gray picture have a colour.
        return image, in_colour(target) if image.shape[2] == 3 else target

    def protocol(self) -> dict[str, Any]:
        return {
            "degradation": f"{self.degradation}, random by (0, index of the picture)",
            "input": "8 bit",
            **super().protocol(),
        }
