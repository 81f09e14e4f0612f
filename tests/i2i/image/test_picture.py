"""A picture in memory: what it is made of, and how it tells of itself."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2i.image import Picture, decode
from tests.i2i.makers import noise


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((5, 6), r"got uint8 \(5, 6\); array\[..., None\] is a gray picture's"),
        ((5, 6, 4), r"alpha comes apart: Picture\(array\[..., :3\], alpha=array\[..., 3\]\)"),
        ((5, 6, 2), r"alpha comes apart: Picture\(array\[..., :1\], alpha=array\[..., 1\]\)"),
    ],
)
def test_an_array_that_is_nearly_a_picture_is_told_how_to_be_one(
    shape: tuple[int, ...], remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        Picture(np.zeros(shape, np.uint8))


def test_what_is_no_array_is_named() -> None:
    image: Any = Image.new("RGB", (3, 3))
    others: list[tuple[Any, str]] = [(image, "Image"), (None, "NoneType"), ("photo.png", "str")]
    for wrong, name in others:
        with pytest.raises(TypeError, match=f"pixels: expected an array, got {name}; np.asarray"):
            Picture(wrong)
    with pytest.raises(TypeError, match="alpha: expected an array, got Image"):
        Picture(noise(3, 3, 3), image)


def test_a_picture_tells_of_itself_in_a_line() -> None:
    assert repr(Picture(noise(5, 6, 1))) == "<Picture 6 x 5, gray, 8 bits>"
    deep = Picture(noise(5, 6, 3), noise(5, 6, 1)[..., 0], b"profile").to_16_bit()
    assert repr(deep) == "<Picture 6 x 5, RGB, 16 bits, alpha, a profile>"


def test_a_notebook_shows_pictures_but_not_huge_ones() -> None:
    picture = Picture(noise(5, 6, 3))
    shown = picture._repr_png_()
    assert shown is not None
    np.testing.assert_array_equal(decode(shown).pixels, picture.pixels)
    assert Picture(np.zeros((2048, 2049, 1), np.uint8))._repr_png_() is None
