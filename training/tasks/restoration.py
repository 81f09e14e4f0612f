"""Restoration: a picture spoiled by noise, compression, blur or holes, and the original."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from i2i.losses import Charbonnier
from training.degradations import Degradation, check_degradation
from training.pixels import Pixels, Values, in_colour
from training.tasks.scores import PictureScores
from training.tasks.task import Sample, Task, side_by_side


class Restoration(Task):
    """Predicts a picture from what a degradation made of it.

    Args:
        degradation: of `training.degradations`, made anew for every crop.
        border: pixels cut from each side of a training pair, where a blur guesses how the picture
            goes on.
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "restoration"
    kind = "image"
    monitor = "psnr"
    mode = "max"

    def __init__(
        self, degradation: Degradation, border: int = 0, loss: nn.Module | None = None
    ) -> None:
        check_degradation(degradation)
        if border < 0:
            raise ValueError(f"border: expected at least 0, got {border}")
        self.degradation, self.border = degradation, border
        self.loss = loss or Charbonnier()

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        image, target = self.degradation(sample.image, random), sample.image
        # Holes in a gray picture have a colour.
        return image, in_colour(target) if image.shape[2] == 3 else target

    def net_arguments(self) -> dict[str, Any]:
        return {
            "encoder": {"input_channels": 3},
            "head": {"channels": 3, "scale": 1, "skip": "identity"},
        }

    def metrics(self) -> PictureScores:
        return PictureScores(border=0)

    def show(self, image: Values, output: Values, target: Values) -> Pixels:
        return side_by_side(image, output, target)

    def protocol(self) -> dict[str, Any]:
        return {
            "degradation": f"{self.degradation}, random by (0, index of the picture)",
            "input": "8 bit",
            "colour": "PSNR of RGB; Y of BT.601, unrounded; gray pictures as gray",
            "border": 0,
            "rounding": "8 bit",
        }
