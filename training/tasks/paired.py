"""Paired: pictures before and after, of the same size, from two folders."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from torch import nn

from i2i.nets.style import check_choice
from training.degradations import Gray
from training.pixels import Pixels, Values, in_colour
from training.tasks.same_size import SameSize
from training.tasks.task import Sample

Channels = Literal[1, 3]


class Paired(SameSize):
    """Predicts the second picture of a pair from the first.

    Args:
        input_channels: 3, or 1 for a net that sees the brightness alone and answers in colour,
            as where gray pictures are to be coloured.
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "paired"
    needs = "targets"

    def __init__(self, input_channels: Channels = 3, loss: nn.Module | None = None) -> None:
        check_choice("input_channels", input_channels, Channels)
        super().__init__(loss)
        self.input_channels = input_channels

    def check_sample(self, sample: Sample) -> None:
        if sample.target is None or sample.target.ndim != 3:
            raise ValueError(f"{sample.name}: expected a picture with a target; use data of pairs")
        channels = sample.image.shape[2], sample.target.shape[2]
        # A net of three channels that is given a gray picture is taken to answer in gray.
        if channels == (1, 3) and self.input_channels == 3:
            raise ValueError(
                f"{sample.name}: expected an input in colour, as its target is, got a gray one, "
                "which would be answered in gray; set model.task.input_channels: 1, or save the "
                "target in gray"
            )

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        self.check_sample(sample)
        assert sample.target is not None
        if self.input_channels == 1:
            return Gray()(sample.image, random)[..., :1], in_colour(sample.target)
        if sample.image.shape != sample.target.shape:
            sample = sample.in_colour()
        assert sample.target is not None
        return sample.image, sample.target

    def net_arguments(self) -> dict[str, Any]:
        return super().net_arguments() | {"encoder": {"input_channels": self.input_channels}}

    def baseline(self, image: Pixels) -> Pixels:
        return in_colour(image) if self.input_channels == 1 else image

    def protocol(self) -> dict[str, Any]:
        if self.input_channels == 3:
            return {"pairs": "as they are", **super().protocol()}
        return {
            "pairs": "brightness of the first, BT.601, and the second in colour",
            **super().protocol(),
            "colour": "PSNR of RGB; Y of BT.601, unrounded",
        }
