"""Bytes to pixels and back: every format and mode."""

import io
import pickle
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from i2i.image import (
    FORMATS,
    MEDIA_TYPES,
    SUFFIXES,
    Format,
    Header,
    ImageError,
    Picture,
    check_format,
    decode,
    encode,
    open_writer,
    read_header,
)
from tests.i2i.makers import VALID, encoded, noise, smooth


@st.composite
def pictures_of_any_kind(draw: st.DrawFn) -> Picture:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    dtype = draw(st.sampled_from((np.uint8, np.uint16)))
    pixels = draw(arrays(dtype, (height, width, draw(st.sampled_from((1, 3))))))
    alpha = draw(st.none() | arrays(dtype, (height, width)))
    return Picture(pixels, alpha)


@pytest.mark.parametrize("format", ["png", "tiff"])
@given(picture=pictures_of_any_kind())
def test_decode_undoes_encode(format: Format, picture: Picture) -> None:
    again = decode(encode(picture, format), depth=16)
    assert again.depth == picture.depth
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (picture.alpha is None)
    if picture.alpha is not None:
        np.testing.assert_array_equal(again.alpha, picture.alpha)


@given(picture=pictures_of_any_kind())
def test_8_bits_are_16_and_back(picture: Picture) -> None:
    deep = picture.to_16_bit()
    assert deep.depth == 16
    back, expected = deep.to_8_bit(), picture.to_8_bit()
    np.testing.assert_array_equal(back.pixels, expected.pixels)
    np.testing.assert_array_equal(back.alpha, expected.alpha)


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1100, 1000)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decode_undoes_encode_over_strips(
    format: Format, size: tuple[int, int], dtype: Any
) -> None:
    pixels = noise(*size, 3).astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    picture = decode(encode(Picture(pixels, pixels[..., 0]), format), depth=16)
    np.testing.assert_array_equal(picture.pixels, pixels)
    np.testing.assert_array_equal(picture.alpha, pixels[..., 0])


@pytest.mark.parametrize("format", ["png", "tiff"])
@given(labels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_labels_are_the_values_in_the_file(
    format: Literal["png", "tiff"], labels: NDArray[np.uint8]
) -> None:
    colours = [(index, 255 - index, 7) for index in range(256)]
    file, (height, width) = io.BytesIO(), labels.shape
    with open_writer(file, format, height, width, 1, palette=colours) as writer:
        writer.write(labels[..., None])
    image = Image.open(file)
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), labels)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.array(colours)[labels])


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("mode", "channels", "has_alpha"),
    [
        ("1", 1, False),
        ("L", 1, False),
        ("LA", 1, True),
        ("P", 3, False),
        ("RGB", 3, False),
        ("RGBA", 3, True),
    ],
)
def test_modes_keep_gray_and_alpha(format: str, mode: str, channels: int, has_alpha: bool) -> None:
    image = Image.fromarray(noise(5, 4, 4 if has_alpha else 3)).convert(mode)
    picture = decode(encoded(image, format))
    assert picture.channels == channels
    assert (picture.alpha is not None) == has_alpha
    expected = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(picture.pixels.squeeze(), expected)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, np.asarray(image)[..., -1])


def test_opaque_alpha_stays() -> None:
    alpha = decode(encode(Picture(noise(3, 3, 1), np.full((3, 3), 255, np.uint8)))).alpha
    assert alpha is not None
    assert (alpha == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_modes(mode: str) -> None:
    image = Image.fromarray(noise(5, 6, 3)).convert(mode)
    expected = np.asarray(image.convert("RGB" if mode in ("P", "RGB") else "L"))
    np.testing.assert_array_equal(decode(encoded(image, "BMP")).pixels.squeeze(), expected)


def test_a_palette_with_transparency_has_alpha() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture = decode(encoded(image, "PNG", transparency=bytes([0, 128, 255])))
    assert picture.pixels.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("bits", "colour", "row", "key", "alpha"),
    [
        (1, 0, b"\x40", struct.pack(">H", 1), [255, 0]),
        (2, 0, b"\x90", struct.pack(">H", 2), [0, 255]),
        (4, 0, b"\x3c", struct.pack(">H", 12), [255, 0]),
        (8, 0, b"\x07\x08", struct.pack(">H", 7), [0, 255]),
        (16, 0, b"\x01\x02\x01\x03", struct.pack(">H", 0x0103), [255, 0]),
        (8, 2, b"\1\2\3\1\2\4", struct.pack(">HHH", 1, 2, 3), [0, 255]),
        (16, 2, b"\1\0\2\0\3\0\1\0\2\0\3\1", struct.pack(">HHH", 256, 512, 769), [255, 0]),
    ],
)
def test_the_transparent_colour_of_a_png_is_compared_at_full_depth(
    pictures: ModuleType, bits: int, colour: int, row: bytes, key: bytes, alpha: list[int]
) -> None:
    chunk = pictures.png_chunk(b"tRNS", key)
    picture = decode(pictures.png_of(2, 1, bits, colour, zlib.compress(b"\0" + row), chunk))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [alpha]


def test_cmyk_becomes_the_colours_it_was() -> None:
    for format in ("JPEG", "TIFF"):
        for colour in ("red", "lime", "blue", "white", "black", "teal"):
            image = Image.new("RGB", (16, 16), colour)
            picture = decode(encoded(image.convert("CMYK"), format))
            assert np.abs(picture.pixels.astype(int) - np.asarray(image)).max() <= 3


def test_ycbcr_and_fax_tiff() -> None:
    expected = smooth().astype(int)
    assert np.abs(decode(VALID["jpeg tiff"]).pixels - expected).mean() < 8
    fax = np.asarray(Image.fromarray(smooth()).convert("1")).astype(np.uint8) * 255
    np.testing.assert_array_equal(decode(VALID["fax tiff"]).pixels[..., 0], fax)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_holds_gray_and_colour(format: Format, channels: int) -> None:
    pixels = smooth()[..., :channels]
    data = encode(Picture(pixels), format)
    picture = decode(data)
    assert read_header(data) == Header(format, 32, 24)
    assert picture.channels == (3 if format == "webp" else channels)
    assert np.abs(picture.pixels.astype(int) - pixels).mean() < 4


def test_jpeg_lays_transparent_pixels_on_white() -> None:
    for channels in (1, 3):
        alpha = np.zeros((16, 16), np.uint8)
        picture = decode(encode(Picture(np.zeros((16, 16, channels), np.uint8), alpha), "jpeg"))
        assert picture.alpha is None
        assert (picture.pixels == 255).all()


def test_webp_keeps_alpha() -> None:
    alpha = smooth()[..., 0]
    np.testing.assert_array_equal(decode(encode(Picture(smooth(), alpha), "webp")).alpha, alpha)


@pytest.mark.parametrize(("format", "longest"), [("jpeg", 65_500), ("webp", 16_383)])
def test_a_side_longer_than_the_format_holds_is_refused(format: Format, longest: int) -> None:
    assert decode(encode(Picture(np.zeros((longest, 1, 1), np.uint8)), format)).height == longest
    with pytest.raises(ImageError) as caught:
        encode(Picture(np.zeros((1, longest + 1, 1), np.uint8)), format)
    assert caught.value.code == "format_cannot_hold"


def test_an_unknown_format_is_answered_by_those_there_are() -> None:
    with pytest.raises(ValueError, match="format: expected png, jpeg, webp, tiff, got jpg"):
        encode(Picture(np.zeros((1, 1, 3), np.uint8)), "jpg")  # type: ignore[arg-type]


def test_every_format_has_a_media_type_and_a_suffix() -> None:
    assert set(MEDIA_TYPES) == set(SUFFIXES) == set(FORMATS)


def test_what_is_no_picture_is_refused() -> None:
    floats: Any = np.zeros((2, 2, 3))
    for pixels in (noise(2, 2, 4), noise(2, 2, 3)[0], floats, noise(0, 2, 3)):
        with pytest.raises(ValueError, match="pixels: expected uint8 or uint16"):
            Picture(pixels)
    for alpha in (noise(3, 2, 1)[..., 0], noise(2, 2, 1)[..., 0].astype(np.uint16)):
        with pytest.raises(ValueError, match="alpha: expected uint8"):
            Picture(noise(2, 2, 3), alpha)


def test_an_error_of_a_picture_passes_between_processes() -> None:
    error = ImageError("damaged", "the png file is damaged", "a whole one", "half of it")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_what_decode_cannot_do_is_refused() -> None:
    wrong: Any = "16"
    with pytest.raises(ValueError, match="depth: expected 8 or 16"):
        decode(VALID["png"], depth=wrong)
    with pytest.raises(ValueError, match="profile: expected convert or keep"):
        decode(VALID["png"], profile=wrong)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_16_bits_are_refused_where_a_format_has_8(format: Format) -> None:
    for refuse in (
        lambda: check_format(format, 2, 2, 16),
        lambda: encode(Picture(np.zeros((2, 2, 3), np.uint16)), format),
    ):
        with pytest.raises(ImageError, match="use png or tiff") as caught:
            refuse()
        assert caught.value.code == "format_cannot_hold"


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_holds_a_small_picture_of_8_bits(format: Format) -> None:
    check_format(format, 1, 1)


@given(
    pixels=arrays(np.uint8, (3, 4, 1)) | arrays(np.uint16, (3, 4, 3)),
    level=st.integers(0, 255),
    choice=st.data(),
)
def test_a_picture_is_laid_on_a_colour(
    pixels: NDArray[Any], level: int, choice: st.DataObject
) -> None:
    most = np.iinfo(pixels.dtype).max
    alpha = choice.draw(arrays(pixels.dtype, (3, 4)))
    laid = Picture(pixels, alpha).over((level, level, level))
    weight = alpha[..., None] / most
    exact = pixels * weight + level * (most // 255) * (1 - weight)
    assert laid.alpha is None
    assert laid.pixels.shape == pixels.shape
    assert np.abs(laid.pixels - exact).max() <= 0.5 + 1e-6
    assert Picture(pixels).over((1, 2, 3)).pixels is pixels


def test_a_gray_picture_on_a_colour_is_coloured() -> None:
    alpha = np.array([[0, 255]], np.uint8)
    laid = Picture(np.full((1, 2, 1), 9, np.uint8), alpha).over((1, 2, 3))
    assert laid.pixels.tolist() == [[[1, 2, 3], [9, 9, 9]]]
    with pytest.raises(ValueError, match="colour: expected"):
        laid.over((1, 2, 256))


def test_threads_decode_and_encode_at_once() -> None:
    picture = Picture(noise(64, 64, 3))
    with ThreadPoolExecutor(8) as threads:
        copies = threads.map(lambda _: decode(encode(picture, "tiff")).pixels, range(64))
    assert all((copy == picture.pixels).all() for copy in copies)


@pytest.mark.parametrize(
    ("begins", "named"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypmp42", "a film"),
        (b"GIF89a", "GIF"),
        (b"%PDF-1.7", "PDF"),
        (b"\xff\x0a\0", "JPEG XL"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\n<svg>", "SVG or XML"),
        (b"<!DOCTYPE html>", "an HTML page"),
    ],
)
def test_a_format_that_is_not_read_is_named_with_the_way_out(begins: bytes, named: str) -> None:
    with pytest.raises(ImageError, match="convert it, to PNG or JPEG") as refused:
        decode(begins + bytes(99))
    assert (refused.value.code, refused.value.got) == ("unsupported_format", named)
