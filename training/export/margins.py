"""How far from its cuts a window is wrong: exactly, as measured on pictures, or not to be asked.

The exact margin is where a pixel can have an influence at all. A dilated or deep net reaches
hundreds of pixels, of which the outermost hardly count.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from i2i.image import Picture
from i2i.nets import Autoencoder
from i2i.predictor import Predictor, golden_difference
from i2i.spec import ModelSpec
from i2i.windows import plan_windows

Margins = Literal["exact", "measured", "whole"]

logger = logging.getLogger(__name__)

# What windows keep of a picture where a margin is measured, in multiples of the net: many cuts.
KEPT = 16
# Outputs that see the border were never trained, or a small picture has less than is reflected.
_NEEDS_A_MARGIN = ("valid", "reflect")
# A window that an engine can hold; beyond it an exact margin is of no use.
LARGEST_WINDOW = 2048


def with_margin(
    predictor: Predictor,
    pictures: Sequence[Picture],
    margins: Margins,
    tolerance: float,
    max_pixels: int,
    net: Autoencoder,
) -> ModelSpec:
    """The predictor's spec, of an exact margin, with windows as they are wanted.

    Args:
        margins: `exact`; `measured`, the smallest margin with which windows of these pictures
            differ by at most `tolerance` from exact ones; or `whole`: no windows, pictures of at
            most `max_pixels`, and beyond their borders what the net saw there in training.
        tolerance: in output values: of a picture in [0, 1], or of the confidence.
        net: the predictor's, as it was trained.

    Raises:
        ValueError: a tolerance below 0, or a limit below one pixel.
    """
    if not tolerance >= 0:
        raise ValueError(f"margin_tolerance: expected at least 0, got {tolerance}")
    spec = predictor.spec
    if margins == "whole":
        paddings = (part.padding for part in (net.encoder, net.decoder, net.head))
        margin = spec.margin if any(each in _NEEDS_A_MARGIN for each in paddings) else 0
        return replace(spec, tiling="whole", margin=margin, max_pixels=max_pixels)
    if margins == "exact":
        if spec.window > LARGEST_WINDOW:
            logger.warning(
                "margin %d makes windows of %d pixels a side; --margin measured or whole is better",
                spec.margin,
                spec.window,
            )
        return spec
    margin, difference = _measured(predictor, pictures, tolerance)
    note = {"exact": spec.margin, "tolerance": tolerance, "difference": difference}
    return replace(
        spec,
        margin=margin,
        margin_kind="measured",
        window=window_for(margin, spec.size_multiple),
        provenance=spec.provenance | {"margin": note},
    )


def _measured(
    predictor: Predictor, pictures: Sequence[Picture], tolerance: float
) -> tuple[int, float]:
    """The smallest margin, found by halving, and its largest difference."""
    exact = [predictor.predict(picture).planes for picture in pictures]
    pixel = Picture(np.zeros((1, 1, predictor.spec.input_channels), np.uint8))

    def difference(steps: int) -> float:
        margin, multiple = steps * predictor.spec.size_multiple, predictor.spec.size_multiple
        window = 2 * margin + KEPT * multiple
        smallest = plan_windows(1, 1, window=window, margin=margin, size_multiple=multiple)
        try:
            predictor.predict(pixel, plan=smallest)
        except ValueError:
            # The features of so small a window have less than their layers reflect.
            return math.inf
        found = []
        for picture, expected in zip(pictures, exact, strict=True):
            plan = plan_windows(
                picture.height, picture.width, window=window, margin=margin, size_multiple=multiple
            )
            found.append(golden_difference(predictor.predict(picture, plan=plan), expected))
        return max(found)

    # Too small, and enough: the exact margin is that by definition.
    low, high, reached = -1, predictor.spec.margin // predictor.spec.size_multiple, 0.0
    while high - low > 1:
        middle = (low + high) // 2
        if (found := difference(middle)) <= tolerance:
            high, reached = middle, found
        else:
            low = middle
    return high * predictor.spec.size_multiple, reached


def window_for(margin: int, size_multiple: int) -> int:
    """The largest window: 384 pixels, or more where the margin would cost more than 1.8 x the work.

    (T / (T - 2 · margin))² ≤ 1.8 ⟺ T ≥ 7.86 · margin.
    """
    side = max(384, -(-786 * margin // 100))
    return -(-side // (16 * size_multiple)) * 16 * size_multiple
