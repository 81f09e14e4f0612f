"""What the tasks share that give a picture of their input's size."""

from __future__ import annotations

from typing import Any

from torch import nn

from i2i.losses import Charbonnier
from training.pixels import Pixels, Values
from training.tasks.scores import PictureScores
from training.tasks.task import Task, side_by_side


class SameSize(Task):
    """Predicts what is to be added to the picture that comes in.

    Args:
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    kind = "image"
    monitor = "psnr"
    mode = "max"

    def __init__(self, loss: nn.Module | None = None) -> None:
        self.loss = loss or Charbonnier()

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
            "colour": "PSNR of RGB; Y of BT.601, unrounded; gray pictures as gray",
            "border": 0,
            "rounding": "8 bit",
        }
