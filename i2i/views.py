"""Pictures of labels and maps: colours for classes, the overlay on a picture, false colours."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from i2i.image.stored import row_strips

Colour = tuple[int, int, int]

_MISSING: Colour = (128, 128, 128)  # no colour of the scale is gray but its two ends


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
    for rows in row_strips(*labels.shape):
        ids, strip = labels[rows], image[rows]
        drawn = ids > 0
        # (a + b) / 2 in 8 bit, by way of 16.
        blended = strip[drawn].astype(np.uint16) + table[ids[drawn]]
        strip[drawn] = (blended // 2).astype(np.uint8)
    return image


def false_colours(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """A map (H, W) as colours (H, W, 3): black at `low`, ever brighter up to white at `high`.

    Values beyond the two get the end's colour; NaN is gray. The brightness grows evenly, so that
    the order of values shows in print and to those who tell few colours apart: the scale is
    "cubehelix" (D. A. Green, Bull. Astr. Soc. India 39, 2011, arXiv 1108.5083).
    """
    colours = np.empty((*values.shape, 3), np.uint8)
    for rows in row_strips(*values.shape):
        share = (values[rows].astype(np.float64) - low) / (high - low)
        missing = np.isnan(share)
        level = np.where(missing, 0, share.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        colours[rows] = _cubehelix()[level]
        colours[rows][missing] = _MISSING
    return colours


@cache
def _cubehelix() -> NDArray[np.uint8]:
    """256 colours of Green's scheme with his start 0.5, -1.5 rotations, hue 1 and gamma 1."""
    level = np.linspace(0, 1, 256)[:, None]
    angle = 2 * np.pi * (0.5 / 3 + 1 - 1.5 * level)
    amplitude = level * (1 - level) / 2
    across = np.array([[-0.14861, -0.29227, 1.97294], [1.78277, -0.90649, 0.0]])
    colours = level + amplitude * (np.hstack((np.cos(angle), np.sin(angle))) @ across)
    levels: NDArray[np.uint8] = np.floor(255 * colours.clip(0, 1) + 0.5).astype(np.uint8)
    return levels
