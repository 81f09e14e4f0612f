"""What a net sees under full transparency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import i2i.image.hidden
from i2i.image import Picture
from i2i.image.hidden import with_colours_carried_on
from i2i.predictor import Predictor, load

sides = st.integers(1, 40)


@given(sides, sides, st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16]))
def test_visible_pixels_stay_and_hidden_ones_get_colours_of_the_visible(
    height: int, width: int, seed: int, dtype: Any
) -> None:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(100, 200, (height, width, 3), dtype)
    alpha = (generator.random((height, width)) < generator.random() / 2).astype(dtype)
    pixels[alpha == 0] = 0

    carried = with_colours_carried_on(pixels, alpha)
    np.testing.assert_array_equal(carried[alpha > 0], pixels[alpha > 0])
    if alpha.any():
        visible = pixels[alpha > 0]
        assert (carried >= visible.min(axis=0)).all()
        assert (carried <= visible.max(axis=0)).all()
    assert carried.dtype == dtype


def test_a_hidden_pixel_gets_the_mean_of_its_smallest_block() -> None:
    row = np.array([[10, 0, 0, 0, 31, 0, 0, 0]], np.uint8)

    carried = with_colours_carried_on(row[..., None], row)
    assert carried[0, :, 0].tolist() == [10, 10, 10, 10, 31, 31, 31, 31]
    carried = with_colours_carried_on(row[..., None], np.array([[1, 1, 0, 0, 0, 0, 0, 0]]))
    assert carried[0, :, 0].tolist() == [10, 0, 5, 5, 5, 5, 5, 5]


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (61, 37, 1), np.uint8)
    alpha = (generator.random((61, 37)) < 0.02).astype(np.uint8)
    whole = with_colours_carried_on(pixels, alpha)

    monkeypatch.setattr(i2i.image.hidden, "STRIP_PIXELS", 37 * 16)
    np.testing.assert_array_equal(with_colours_carried_on(pixels, alpha), whole)


def test_a_picture_all_visible_or_all_hidden_is_left_alone() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for value in (0, 255):
        alpha = np.full((2, 2), value, np.uint8)
        assert with_colours_carried_on(pixels, alpha) is pixels


def test_no_dark_rim_grows_around_what_is_cut_out() -> None:
    y, x = np.mgrid[:60, :60]
    alpha = np.where((y - 30) ** 2 + (x - 30) ** 2 < 400, 255, 0).astype(np.uint8)
    pixels = np.where(alpha[..., None] > 0, np.array([230, 60, 60]), 0).astype(np.uint8)

    picture = load("super-resolution-x2").predict(Picture(pixels, alpha)).picture
    assert picture is not None
    assert picture.alpha is not None
    seen = picture.pixels[picture.alpha > 0].astype(int)
    assert np.abs(seen - [230, 60, 60]).max() <= 4


def test_classes_are_told_from_the_colours_of_the_file(
    noise: Callable[..., NDArray[np.uint8]], labelling: Predictor
) -> None:
    pixels = noise(20, 20)
    alpha = np.where(np.arange(20) < 10, 255, 0).astype(np.uint8) * np.ones((20, 1), np.uint8)
    with_alpha = labelling.predict(Picture(pixels, alpha)).planes["labels"]
    np.testing.assert_array_equal(with_alpha, labelling.predict(Picture(pixels)).planes["labels"])
