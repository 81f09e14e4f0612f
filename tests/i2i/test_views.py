from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from i2i.views import false_colours, overlay, palette

RED, BLUE = (200, 0, 0), (0, 0, 255)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    channels = draw(st.sampled_from([1, 3]))
    pixels = draw(hnp.arrays(np.uint8, (height, width, channels)))
    return pixels, draw(hnp.arrays(np.uint8, (height, width), elements=st.integers(0, 2)))


@given(labelled())
def test_a_class_is_laid_over_its_pixels_at_half_strength(
    case: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    pixels, labels = case
    before = pixels.copy()

    shown = overlay(pixels, labels, [(1, 2, 3), RED, BLUE])
    assert shown.shape == (*labels.shape, 3)
    assert shown.dtype == np.uint8
    colour_of = {1: RED, 2: BLUE}
    for place, label in np.ndenumerate(labels):
        pixel = np.broadcast_to(pixels[place], 3).astype(int)
        expected = (pixel + np.array(colour_of[int(label)])) // 2 if label else pixel
        np.testing.assert_array_equal(shown[place], expected)
    np.testing.assert_array_equal(pixels, before)


def test_classes_have_distinct_colours_that_do_not_move() -> None:
    colours = palette(32)

    assert len(set(colours)) == 32
    assert all(0 <= value <= 255 for colour in colours for value in colour)
    for count in range(33):
        assert palette(count) == colours[:count]


@pytest.mark.parametrize("count", [64, 256])
def test_even_many_classes_have_distinct_colours(count: int) -> None:
    assert len(set(palette(count))) == count


def test_false_colours_grow_brighter_from_black_to_white() -> None:
    values = np.linspace(-3, 5, 200, dtype=np.float32)[None]
    colours = false_colours(values, -3, 5)[0]
    assert colours[[0, -1]].tolist() == [[0, 0, 0], [255, 255, 255]]
    brightness = colours @ np.array([0.299, 0.587, 0.114])
    assert np.diff(brightness).min() > -1  # but for rounding


def test_values_beyond_the_range_get_its_ends_and_missing_ones_gray() -> None:
    values = np.array([[-np.inf, -9, 9, np.inf, np.nan]], np.float32)
    grays = [[0] * 3, [0] * 3, [255] * 3, [255] * 3, [128] * 3]
    assert false_colours(values, 0, 1)[0].tolist() == grays


def test_a_range_may_be_as_wide_as_floats_are() -> None:
    colours = false_colours(np.array([[-3e38, 3e38]], np.float32), -3e38, 3e38)
    assert colours[0].tolist() == [[0] * 3, [255] * 3]
