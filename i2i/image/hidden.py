"""Colours where a picture is fully transparent: what a net sees there.

A file holds any colours under alpha 0, mostly black. A net would draw them into the visible edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from i2i.image.picture import Samples
from i2i.image.stored import STRIP_PIXELS

# Blocks of 2, 4 and 8 pixels are filled strip by strip, larger ones in a picture of an eighth.
_LEVELS = 3
_BLOCK = 2**_LEVELS

Colours = tuple[NDArray[np.float32], NDArray[np.float32]]  # sums (H, W, C), how many (H, W)


def with_colours_carried_on(pixels: Samples, alpha: Samples) -> Samples:
    """The pixels, where hidden ones have the mean of the visible in the smallest block around.

    Blocks are of 2, 4, 8 … pixels, from the picture's corner; visible pixels stay what they are,
    and so does a picture that is all visible or all hidden.

    Args:
        pixels: (H, W, C) uint8 or uint16.
        alpha: (H, W); 0 hides a pixel.
    """
    visible = alpha > 0
    if visible.all() or not visible.any():
        return pixels
    height, width = visible.shape
    rows = max(1, STRIP_PIXELS // (width * _BLOCK)) * _BLOCK
    strips = [slice(top, top + rows) for top in range(0, height, rows)]
    parts = [_pyramid(pixels[strip], visible[strip])[-1] for strip in strips]
    sums, counts = (np.concatenate(of_all) for of_all in zip(*parts, strict=True))
    coarse = _filled((sums, counts), None)
    filled = pixels.copy()
    for strip in strips:
        hidden = ~visible[strip]
        if not hidden.any():
            continue
        values = coarse[strip.start // _BLOCK : strip.stop // _BLOCK]
        for level in reversed(_pyramid(pixels[strip], visible[strip])[:-1]):
            values = _filled(level, values)
        filled[strip][hidden] = values[hidden] + 0.5
    return filled


def _pyramid(pixels: Samples, visible: NDArray[np.bool_]) -> list[Colours]:
    """The visible colours of every pixel, and of every block up to the largest of a strip."""
    counts = visible.astype(np.float32)
    levels = [(pixels * counts[..., None], counts)]
    for _ in range(_LEVELS):
        levels.append(_halved(levels[-1]))
    return levels


def _halved(colours: Colours) -> Colours:
    """Of blocks of twice the side."""
    sums, counts = colours
    odd = [(0, side % 2) for side in counts.shape]
    sums, counts = np.pad(sums, (*odd, (0, 0))), np.pad(counts, odd)
    corners = [(down, right) for down in (0, 1) for right in (0, 1)]
    return (
        np.add.reduce([sums[down::2, right::2] for down, right in corners]),
        np.add.reduce([counts[down::2, right::2] for down, right in corners]),
    )


def _filled(colours: Colours, coarser: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """The means, and where nothing is visible those of the blocks of twice the side."""
    sums, counts = colours
    known = (counts > 0)[..., None]
    means = np.divide(sums, np.maximum(counts, 1)[..., None], dtype=np.float32)
    if known.all():
        return means
    if coarser is None:
        coarser = _filled(_halved(colours), None)
    height, width = counts.shape
    return np.where(known, means, coarser.repeat(2, 0).repeat(2, 1)[:height, :width])
