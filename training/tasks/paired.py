"""Paired: pictures before and after, of the same size, from two folders."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from i2i.losses import Charbonnier
from training.pixels import Pixels, Values
from training.tasks.scores import PictureScores
from training.tasks.task import Sample, Task, side_by_side


class Paired(Task):
    """Predicts the second picture of a pair from the first.

    Args:
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "paired"
    kind = "image"
    needs = "targets"
    monitor = "psnr"
    mode = "max"

    def __init__(self, loss: nn.Module | None = None) -> None:
        self.loss = loss or Charbonnier()

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        if sample.target is None or sample.target.ndim != 3:
            raise ValueError(f"{sample.name}: expected a picture with a target; use data of pairs")
        if sample.target.shape[:2] != sample.image.shape[:2]:
            raise ValueError(
                f"{sample.name}: expected a target of the picture's size {sample.image.shape[:2]}, "
                f"got {sample.target.shape[:2]}; for targets of another size use SuperResolution"
            )
        if sample.image.shape != sample.target.shape:
            sample = sample.in_colour()
        assert sample.target is not None
        return sample.image, sample.target

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
            "pairs": "as they are",
            "colour": "PSNR of RGB; Y of BT.601, unrounded; gray pictures as gray",
            "border": 0,
            "rounding": "8 bit",
        }
