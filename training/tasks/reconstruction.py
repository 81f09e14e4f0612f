"""Reconstruction: a plain autoencoder, whose only way from picture to picture is its code."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.pixels import Pixels, Values
from training.tasks.same_size import SameSize
from training.tasks.task import Sample, side_by_side


class Reconstruction(SameSize):
    """Predicts the picture itself through the encoder's deepest feature (Hinton & Salakhutdinov,
    Science 2006): neither decoder nor head has a skip. `net.encode` gives the code.

    Args:
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "reconstruction"

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        return sample.image, sample.image

    def net_arguments(self) -> dict[str, Any]:
        return {
            "encoder": {"input_channels": 3},
            "decoder": {"skip": "none"},
            "head": {"channels": 3, "scale": 1, "skip": "none"},
        }

    def baseline(self, image: Pixels) -> Pixels:
        """The mean colour everywhere: what a code without content would give."""
        mean = np.floor(image.mean(axis=(0, 1), keepdims=True) + 0.5).astype(image.dtype)
        return np.broadcast_to(mean, image.shape)

    def show(self, image: Values, output: Values, target: Values) -> Pixels:
        return side_by_side(output, target)

    def protocol(self) -> dict[str, Any]:
        return {
            "target": "the picture itself",
            **super().protocol(),
        }
