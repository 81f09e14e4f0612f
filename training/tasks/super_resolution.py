"""Super-resolution: a picture made smaller by bicubic, and the original as the target."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from i2i.losses import Charbonnier
from i2i.resize import bicubic
from training.degradations import Degradation, check_degradation
from training.pixels import Pixels, Values, to_8_bit
from training.tasks.scores import PictureScores
from training.tasks.task import Sample, Task, side_by_side


class SuperResolution(Task):
    """Predicts a picture of `scale` x the size.

    Args:
        scale: 2, 3 or 4.
        border: low-resolution pixels cut from each side of a training pair: bicubic reflects there.
        degradation: of the small picture, for pictures from the wild; by default bicubic alone.
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "super-resolution"
    kind = "image"
    monitor = "psnr_y"
    mode = "max"

    def __init__(
        self,
        scale: int = 2,
        border: int = 4,
        loss: nn.Module | None = None,
        degradation: Degradation | None = None,
    ) -> None:
        if scale not in (2, 3, 4):
            raise ValueError(f"scale: expected 2, 3 or 4, got {scale}")
        if border < 0:
            raise ValueError(f"border: expected at least 0, got {border}")
        if degradation is not None:
            check_degradation(degradation)
        self.scale, self.border, self.degradation = scale, border, degradation
        self.loss = loss or Charbonnier()

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        target = crop_to_multiple(sample, self.scale)
        height, width = target.shape[0] // self.scale, target.shape[1] // self.scale
        image: Values = bicubic(target, height, width)
        if self.degradation is not None:
            image = self.degradation(image, random)
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

    def show(self, image: Values, output: Values, target: Values) -> Pixels:
        return side_by_side(self.baseline(to_8_bit(image)), output, target)

    def protocol(self) -> dict[str, Any]:
        degradation = f"bicubic ÷{self.scale}, MATLAB imresize, antialiased, 8 bit"
        if self.degradation is not None:
            degradation += f", then {self.degradation}, random by (0, index of the picture)"
        return {
            "degradation": degradation,
            "crop": f"to a multiple of {self.scale}",
            "colour": "Y of BT.601, unrounded; gray pictures as gray",
            "border": self.scale,
            "rounding": "8 bit",
        }


def crop_to_multiple(sample: Sample, multiple: int) -> Values:
    """The top left part of the picture (H, W, C) whose sides are multiples."""
    height, width = sample.image.shape[:2]
    if height < multiple or width < multiple:
        raise ValueError(
            f"{sample.name}: expected at least {multiple}×{multiple} pixels, got {width}×{height}"
        )
    return sample.image[: height // multiple * multiple, : width // multiple * multiple]
