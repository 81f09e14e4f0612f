"""Super-resolution: a picture made smaller by bicubic, and the original as the target."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from i2i.losses import Charbonnier
from i2i.resize import bicubic
from training.tasks.scores import PictureScores
from training.tasks.task import Pixels, Sample, Task, side_by_side


class SuperResolution(Task):
    """Predicts a picture of `scale` x the size.

    Args:
        scale: 2, 3 or 4.
        border: low-resolution pixels cut from each side of a training pair: bicubic reflects there.
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "super-resolution"
    kind = "image"
    monitor = "psnr_y"
    mode = "max"

    def __init__(self, scale: int = 2, border: int = 4, loss: nn.Module | None = None) -> None:
        if scale not in (2, 3, 4):
            raise ValueError(f"scale: expected 2, 3 or 4, got {scale}")
        self.scale, self.border = scale, border
        self.loss = loss or Charbonnier()

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Pixels, Pixels]:
        target = crop_to_multiple(sample.image, self.scale)
        height, width = target.shape[0] // self.scale, target.shape[1] // self.scale
        image = bicubic(target, height, width)
        return image, target

    def net_arguments(self) -> dict[str, Any]:
        return {
            "encoder": {"input_channels": 3},
            "head": {"channels": 3, "scale": self.scale},
        }

    def metrics(self) -> PictureScores:
        return PictureScores(border=self.scale)

    def baseline(self, image: Pixels) -> Pixels:
        return bicubic(image, self.scale * image.shape[0], self.scale * image.shape[1])

    def show(self, image: Pixels, output: Pixels, target: Pixels) -> Pixels:
        return side_by_side(self.baseline(image), output, target)

    def protocol(self) -> dict[str, Any]:
        return {
            "degradation": f"bicubic ÷{self.scale}, MATLAB imresize, antialiased, 8 bit",
            "crop": f"to a multiple of {self.scale}",
            "colour": "Y of BT.601, unrounded; gray pictures as gray",
            "border": self.scale,
            "rounding": "8 bit",
        }


def crop_to_multiple(image: Pixels, multiple: int) -> Pixels:
    """The top left part of (H, W, C) whose sides are multiples."""
    height, width = image.shape[:2]
    if height < multiple or width < multiple:
        raise ValueError(f"expected at least {multiple}×{multiple} pixels, got {height}×{width}")
    return image[: height // multiple * multiple, : width // multiple * multiple]
