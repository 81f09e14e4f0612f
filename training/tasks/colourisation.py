"""Colourisation: the brightness of a picture, and the picture in its colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.degradations import Gray
from training.pixels import Pixels, Values, in_colour
from training.tasks.same_size import SameSize
from training.tasks.task import Sample


class Colourisation(SameSize):
    """Predicts the colours of a gray picture.

    The net takes one channel: of a picture in colour, such as a toned scan, the brightness.

    Args:
        loss: on (output, target), both (N, 3, H, W) in [0, 1].
    """

    name = "colourisation"

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        target = in_colour(sample.image)
        return Gray()(target, random)[..., :1], target

    def net_arguments(self) -> dict[str, Any]:
        return {
            "encoder": {"input_channels": 1},
            "head": {"channels": 3, "scale": 1, "skip": "identity"},
        }

    def baseline(self, image: Pixels) -> Pixels:
        return in_colour(image)

    def protocol(self) -> dict[str, Any]:
        return {
            "degradation": "brightness of BT.601, 8 bit",
            **super().protocol(),
            "colour": "PSNR of RGB; Y of BT.601, unrounded",
        }
