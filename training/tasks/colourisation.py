"""Colourisation: the brightness of a picture, and the picture in its colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from i2i.losses import Charbonnier
from training.degradations import Gray
from training.pixels import Pixels, Values, in_colour
from training.tasks.scores import PictureScores
from training.tasks.task import Sample, Task, side_by_side


class Colourisation(Task):
    """Predicts the colours of a gray picture.

    The net takes one channel: of a picture in colour, such as a toned scan, the brightness.

    Args:
        loss: on (output, target), both (N, 3, H, W) in [0, 1].
    """

    name = "colourisation"
    kind = "image"
    monitor = "psnr"
    mode = "max"

    def __init__(self, loss: nn.Module | None = None) -> None:
        self.loss = loss or Charbonnier()

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        target = in_colour(sample.image)
        return Gray()(target, random)[..., :1], target

    def net_arguments(self) -> dict[str, Any]:
        return {
            "encoder": {"input_channels": 1},
            "head": {"channels": 3, "scale": 1, "skip": "identity"},
        }

    def metrics(self) -> PictureScores:
        return PictureScores(border=0)

    def baseline(self, image: Pixels) -> Pixels:
        return in_colour(image)

    def show(self, image: Values, output: Values, target: Values) -> Pixels:
        return side_by_side(image, output, target)

    def protocol(self) -> dict[str, Any]:
        return {
            "degradation": "brightness of BT.601, 8 bit",
            "colour": "PSNR of RGB; Y of BT.601, unrounded",
            "border": 0,
            "rounding": "8 bit",
        }
