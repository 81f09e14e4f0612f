"""What is counted for a picture's memory before it is read is what its way takes."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import pytest

from i2i.image import Format, Header, Picture
from i2i.image.stored import STRIP_PIXELS
from i2i.memory import held_bytes
from i2i.prediction import View, write_bands
from i2i.predictor import Predictor

# Of numbers of 64 bits and what is made of them, beside what grows with the picture.
STRIPS = 24 * STRIP_PIXELS


def check_held(
    predictor: Predictor, picture: Picture, format: Format, view: View | None = None
) -> None:
    """Answers the picture, and compares the peak with what is counted for its way.

    Pillow's part of a JPEG or WebP file is not seen here.
    """
    height, width = picture.height, picture.width
    plan = predictor.plan(height, width)
    header = Header("png", width, height, picture.depth)
    counted = held_bytes(predictor.spec, plan, header, format, picture.depth)[1]
    tracemalloc.start()
    write_bands(io.BytesIO(), format, predictor.bands(picture, plan=plan), picture, view)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < counted + STRIPS


@pytest.mark.whole
@pytest.mark.parametrize(
    ("channels", "alpha", "dtype"),
    [(1, False, np.uint8), (1, True, np.uint16), (3, True, np.uint8)],
)
def test_an_enlarged_picture_as_wide_as_its_band_takes_no_more_than_is_counted(
    enlarging: Predictor, channels: int, alpha: bool, dtype: type[Any]
) -> None:
    pixels = np.full((48, 32_000, channels), 200, dtype)
    hidden = np.full(pixels.shape[:2], 100, dtype) if alpha else None
    check_held(enlarging, Picture(pixels, hidden), "png")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("format", "view"), [("png", "overlay"), ("png", "confidence"), ("jpeg", "overlay")]
)
def test_labels_take_no_more_than_is_counted(
    labelling: Predictor, format: Format, view: View
) -> None:
    check_held(labelling, Picture(np.full((192, 32_000, 3), 200, np.uint8)), format, view)


@pytest.mark.whole
@pytest.mark.parametrize(("format", "view"), [("png", "values"), ("jpeg", "colour")])
def test_a_map_takes_no_more_than_is_counted(
    measuring: Predictor, format: Format, view: View
) -> None:
    check_held(measuring, Picture(np.full((192, 32_000, 3), 200, np.uint8)), format, view)
