"""Pictures of labels: colours for classes, and the overlay on the picture they belong to."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]


def palette(count: int) -> list[Colour]:
    """Colours for `count` classes: the first nearly black, the others around the hue circle.

    Hues follow the golden angle, so that neighbouring ids differ most and adding a class
    changes none.
    """
    colours = [(16, 16, 16)]
    for i in range(count - 1):
        hue = (0.09 + i * 0.381966) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours[:count]


def overlay(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], colours: Sequence[Colour]
) -> NDArray[np.uint8]:
    """The picture (H, W, 1 or 3) under its labels (H, W) at half strength, as (H, W, 3).

    Class 0 is clear.
    """
    image = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy()
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    drawn = labels > 0
    # (a + b) / 2 in 8 bit, by way of 16.
    blended = image[drawn].astype(np.uint16) + table[labels[drawn]]
    image[drawn] = (blended // 2).astype(np.uint8)
    return image
