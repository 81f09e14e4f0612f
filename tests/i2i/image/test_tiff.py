"""Every layout of a TIFF file gives the same picture: order, planes, tiles, packing, place size."""

import io
import struct
import warnings
import zlib
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from i2i.image import ImageError, Picture, decode, encode, read_header
from i2i.image.tiff import pack_directory, read_directory
from tests.i2i.makers import code_of, encoded, noise, smooth

ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")


def written(values: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "deflated strips": {"rowsperstrip": 7, "compression": "zlib"},
    "tiles": {"tile": (16, 32)},
    "deflated tiles": {"tile": (32, 16), "compression": "zlib"},
    "big": {"bigtiff": True},
    "big, deflated tiles": {"bigtiff": True, "tile": (16, 16), "compression": "zlib"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_a_layout_does_not_show(
    layout: dict[str, Any], order: Literal["<", ">"], dtype: Any, planes: str
) -> None:
    most = np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, most, (45, 53, 3), dtype, endpoint=True)
    stored = np.moveaxis(values, 2, 0) if planes == "separate" else values
    data = written(stored, byteorder=order, photometric="rgb", planarconfig=planes, **layout)
    picture = decode(data, depth=16)
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels, values)
    assert (read_header(data).width, read_header(data).height) == (53, 45)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", None])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "I;16", "LA"])
def test_files_of_libtiff_are_read(compression: str | None, predictor: int, mode: str) -> None:
    image: Image.Image = Image.fromarray(smooth(60, 50))
    if mode == "I;16":
        image = Image.fromarray(noise(60, 50, 2).view(np.uint16)[..., 0])
    else:
        image = image.convert(mode)
    data = encoded(image, "TIFF", compression=compression, tiffinfo={317: predictor, 278: 9})
    picture = decode(data, depth=16)
    expected = np.asarray(image.convert("RGB") if mode == "CMYK" else image).reshape(60, 50, -1)
    np.testing.assert_array_equal(picture.pixels, expected[..., : picture.channels])
    assert (picture.alpha is not None) == (mode in ("LA", "RGBA"))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_differences_to_the_left_are_summed_in_both_orders(
    order: Literal["<", ">"], dtype: str
) -> None:
    values = noise(20, 30, 6).view(dtype)[..., :3].astype(order + dtype)
    stored = values.copy()
    stored[:, 1:] -= values[:, :-1]
    packed = zlib.compress(stored.tobytes())
    bits = 8 * values.itemsize
    tags = {256: [30], 257: [20], 258: [bits] * 3, 259: [8], 262: [2], 273: [8], 277: [3]}
    tags |= {279: [len(packed)], 317: [2]}
    start = 8 + len(packed)
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, start)
    listing = pack_directory({tag: np.array(tags[tag], "u4") for tag in tags}, start, order)
    picture = decode(head + packed + listing, depth=16)
    np.testing.assert_array_equal(picture.pixels, values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_that_is_multiplied_into_colours_is_divided_out(dtype: Any) -> None:
    most = np.iinfo(dtype).max
    values = np.array([[[most, most // 2, 0, most], [60, 30, 0, most // 2], [9, 9, 9, 0]]], dtype)
    data = written(values, photometric="rgb", extrasamples=["assocalpha"])
    picture = decode(data, depth=16)
    np.testing.assert_array_equal(picture.alpha, values[..., 3])
    exact = values[0, 1, :3] / (values[0, 1, 3] / most)
    assert np.abs(picture.pixels[0, 1] - exact).max() <= 0.5
    np.testing.assert_array_equal(picture.pixels[0, 0], values[0, 0, :3])


def test_a_sample_that_means_nothing_is_left_out() -> None:
    values = noise(5, 6, 4)
    picture = decode(written(values, photometric="rgb", extrasamples=["unspecified"]))
    assert picture.alpha is None
    np.testing.assert_array_equal(picture.pixels, values[..., :3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_may_be_zero(dtype: Any) -> None:
    values = np.arange(24, dtype=dtype).reshape(4, 6)
    picture = decode(written(values, photometric="miniswhite"), depth=16)
    np.testing.assert_array_equal(picture.pixels[..., 0], np.iinfo(dtype).max - values)


def test_a_palette_gives_its_colours() -> None:
    palette = np.random.default_rng(0).integers(0, 65536, (3, 256), np.uint16)
    labels = noise(9, 8, 1)[..., 0]
    picture = decode(written(labels, photometric="palette", colormap=palette))
    np.testing.assert_array_equal(picture.pixels, palette.T[labels] >> 8)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_strips_are_read(mode: str) -> None:
    image = Image.fromarray(smooth(64, 48)).convert(mode)
    data = encoded(image, "TIFF", compression="jpeg", quality=95, tiffinfo={278: 16})
    expected = np.asarray(image.convert("RGB") if mode == "CMYK" else image).reshape(64, 48, -1)
    assert np.abs(decode(data).pixels.astype(int) - expected).mean() < 8


def test_a_jpeg_strip_of_fewer_rows_is_damage_and_not_black() -> None:
    image = Image.fromarray(smooth(64, 48))
    data = bytearray(encoded(image, "TIFF", compression="jpeg", quality=95, tiffinfo={278: 16}))
    frame = data.index(b"\xff\xc0\x00\x11\x08\x00\x10\x00\x30")
    data[frame + 6] = 4
    assert code_of(bytes(data)) == "damaged"


SLOPE = np.tile(np.arange(0, 192, 4, dtype=np.uint8), (32, 1))


def of_jpeg_tiles(side: int) -> bytes:
    """A gray TIFF of 43 × 29 pixels in six tiles of 16 × 16, whose JPEGs have another side."""
    tiles = [
        encoded(Image.fromarray(SLOPE[top : top + side, left : left + side]), "JPEG", quality=95)
        for top in (0, 16)
        for left in (0, 16, 32)
    ]
    places = 8 + np.cumsum([0, *map(len, tiles)])
    tags = {256: [43], 257: [29], 258: [8], 259: [7], 262: [1], 277: [1], 322: [16], 323: [16]}
    tags |= {324: list(places[:-1]), 325: [len(tile) for tile in tiles]}
    start = int(places[-1])
    data = b"II*\0" + struct.pack("<I", start) + b"".join(tiles)
    return data + pack_directory({tag: np.array(tags[tag], np.uint32) for tag in tags}, start)


def test_jpeg_tiles_are_read() -> None:
    pixels = decode(of_jpeg_tiles(16)).pixels
    assert pixels.shape == (29, 43, 1)
    assert np.abs(pixels[..., 0].astype(int) - SLOPE[:29, :43]).max() <= 4


@pytest.mark.parametrize("side", [1, 8, 15])
def test_jpeg_tiles_that_do_not_fill_their_place_are_damage_and_not_black(side: int) -> None:
    assert code_of(of_jpeg_tiles(side)) == "damaged"


@pytest.mark.parametrize("dtype", [np.uint32, np.int16, np.int32, np.uint64])
def test_wide_and_signed_numbers_are_refused_with_words(dtype: Any) -> None:
    assert code_of(written(np.zeros((4, 4), dtype))) == "unsupported_format"


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "complaint"),
    [
        (
            (8, 8, 5),
            "u1",
            {"photometric": "rgb", "extrasamples": [0, 0]},
            "3 or 4 samples .* got 5",
        ),
        ((8, 8, 5), "u1", {"photometric": "minisblack"}, "1 or 2 samples a pixel, got 5"),
        ((8, 8, 3), "u1", {"photometric": "cielab"}, "gray, RGB, .* got photometric inter.* 8"),
        ((8, 8), "u4", {}, "8 or 16 bits, .* got 32-bit whole"),
        ((8, 8), "i2", {}, "whole numbers from 0 on .* got 16-bit signed numbers"),
        ((8, 8), "u1", {"compression": "lzma"}, "LZW, .* compression, got compression 34925"),
    ],
)
def test_what_is_not_read_is_told_by_its_reason(
    shape: tuple[int, ...], dtype: str, options: dict[str, Any], complaint: str
) -> None:
    given = {"photometric": "minisblack", "planarconfig": "contig" if len(shape) > 2 else None}
    data = written(np.zeros(shape, dtype), metadata=None, **given | options)
    with pytest.raises(ImageError, match=f"kind of TIFF is not read: expected .*{complaint}") as no:
        decode(data)
    assert no.value.code == "unsupported_format"


def plain_file(tags: dict[int, list[int]], data: bytes) -> bytes:
    """A TIFF of 16 x 16 pixels in one strip of these tags, not compressed."""
    tags = {256: [16], 257: [16], 259: [1], 273: [8], 278: [16], 279: [len(data)], **tags}
    listing = pack_directory({tag: np.array(tags[tag], np.uint32) for tag in tags}, 8 + len(data))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + listing


@pytest.mark.parametrize(
    ("tags", "size"),
    [
        ({258: [4, 4, 4], 262: [2], 277: [3]}, 24 * 16),
        ({258: [4, 4], 262: [1], 277: [2], 338: [2]}, 16 * 16),
        ({258: [8, 8, 8], 262: [6], 277: [3], 530: [2, 2]}, 24 * 16),
    ],
)
def test_few_bits_and_fewer_colours_are_refused_by_the_header(
    tags: dict[int, list[int]], size: int
) -> None:
    with pytest.raises(ImageError, match="this kind of TIFF is not read") as no:
        read_header(plain_file(tags, bytes(size)))
    assert no.value.code == "unsupported_format"


@pytest.mark.parametrize("one", [1, 257])
def test_a_palette_of_8_bits_is_read_as_one_of_16(one: int) -> None:
    ids, levels = np.arange(256, dtype=np.uint8), np.arange(256)
    palette = [*(levels * one), *(levels[::-1] * one), *([7 * one] * 256)]
    pixels = decode(plain_file({258: [8], 262: [3], 277: [1], 320: palette}, ids.tobytes())).pixels
    expected = np.stack((ids, ids[::-1], np.full(256, 7)), axis=1)
    np.testing.assert_array_equal(pixels.reshape(256, 3), expected)


def test_pages_are_refused() -> None:
    for big in (False, True):
        file = io.BytesIO()
        with tifffile.TiffWriter(file, bigtiff=big) as writer:
            writer.write(noise(4, 4, 1)[..., 0])
            writer.write(noise(4, 4, 1)[..., 0])
        assert code_of(file.getvalue()) == "animated"


def test_thumbnails_overviews_and_masks_are_no_further_pages() -> None:
    values, file = noise(20, 30, 3), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(values, photometric="rgb")
        for step in (2, 4):
            writer.write(values[::step, ::step], photometric="rgb", subfiletype=1)
        writer.write(values[..., 0] > 99, photometric="mask", subfiletype=4)
    np.testing.assert_array_equal(decode(file.getvalue()).pixels, values)


def test_a_raw_file_is_not_taken_for_its_thumbnail() -> None:
    values, file = noise(20, 30, 3), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(values[::5, ::5], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(values, photometric="rgb")
    with pytest.raises(ImageError, match="a raw file of a camera is not read; develop it") as no:
        decode(file.getvalue())
    assert no.value.code == "unsupported_format"
    version = (50706, "B", 4, b"\1\4\0\0", True)
    assert code_of(written(values, photometric="rgb", extratags=[version])) == "unsupported_format"


def test_a_kind_of_subfile_that_makes_no_sense_does_not_cost_the_picture() -> None:
    values = noise(20, 30, 3)
    data = written(values, photometric="rgb", subfiletype=1)
    sound, senseless = struct.pack("<HHI", 254, 4, 1), struct.pack("<HHI", 254, 99, 1)
    assert data.count(sound) == 1
    np.testing.assert_array_equal(decode(data.replace(sound, senseless)).pixels, values)


def test_directories_in_a_circle_end() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(2):
            writer.write(noise(4, 4, 1)[..., 0], subfiletype=1)
    data = bytearray(file.getvalue())
    first = read_directory(bytes(data))
    second = read_directory(bytes(data), first.following)
    struct.pack_into("<I", data, second.end, first.following)
    assert decode(bytes(data)).width == 4


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_differences_of_ycbcr_are_summed(compression: str) -> None:
    image = Image.fromarray(smooth(60, 50))
    plain = encoded(image.convert("YCbCr"), "TIFF", compression=compression)
    data = encoded(image.convert("YCbCr"), "TIFF", compression=compression, tiffinfo={317: 2})
    np.testing.assert_array_equal(decode(data).pixels, decode(plain).pixels)
    assert np.abs(decode(data).pixels.astype(int) - np.asarray(image)).max() <= 4


@given(
    values=st.dictionaries(
        st.integers(1, 65535), st.lists(st.integers(0, 255), min_size=1, max_size=9), max_size=9
    ),
    order=st.sampled_from(ORDERS),
    big=st.booleans(),
    dtype=st.sampled_from(["u1", "u2", "u4"]),
)
def test_a_directory_is_read_as_it_was_packed(
    values: dict[int, list[int]], order: Literal["<", ">"], big: bool, dtype: str
) -> None:
    start = 16 if big else 8
    tags = {tag: np.array(numbers, dtype) for tag, numbers in values.items()}
    head = b"II" if order == "<" else b"MM"
    head += struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0) if big else (42,)), start)
    listed = read_directory(head + pack_directory(tags, start, order, big=big))
    assert {tag: listed.numbers(tag).tolist() for tag in listed.entries} == values
    assert not listed.following


def test_a_tiff_of_ours_is_read_without_warning_by_others() -> None:
    pixels = noise(50, 60, 3).astype(np.uint16) * 257
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with tifffile.TiffFile(io.BytesIO(encode(Picture(pixels), "tiff"))) as file:
            page = file.pages[0]
            assert (page.shape, page.dtype) == (pixels.shape, pixels.dtype)
