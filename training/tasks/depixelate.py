"""Depixelate: a picture in blocks of one colour each, and the original of the same size."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from i2i.resize import pixelate
from training.pixels import Values
from training.tasks.same_size import SameSize
from training.tasks.super_resolution import crop_to_multiple
from training.tasks.task import Sample


class Depixelate(SameSize):
    """Predicts a picture from its `block` x `block` means.

    The grid of blocks begins at the picture's top left; the net's size_multiple is a multiple of
    `block`, so that every window meets the grid in the same phase.

    Args:
        block: side of a block, in pixels.
        loss: on (output, target), both (N, C, H, W) in [0, 1].
    """

    name = "depixelate"
    monitor = "psnr_y"

    def __init__(self, block: int = 4, loss: nn.Module | None = None) -> None:
        if block < 2:
            raise ValueError(f"block: expected at least 2, got {block}")
        super().__init__(loss)
        self.block = block

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        target = crop_to_multiple(sample, self.block)
        return pixelate(target, self.block), target

    def check_net(self, net: nn.Module) -> None:
        multiple = net.size_multiple
        if not isinstance(multiple, int) or multiple % self.block:
            raise ValueError(
                f"net: expected a size_multiple that is a multiple of the block {self.block}, "
                f"got {multiple}; add a strided stage"
            )

    def protocol(self) -> dict[str, Any]:
        return {
            "degradation": f"means of {self.block}×{self.block} blocks, 8 bit",
            "crop": f"to a multiple of {self.block}",
            **super().protocol(),
            "colour": "Y of BT.601, unrounded; gray pictures as gray",
        }
