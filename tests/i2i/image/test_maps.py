"""Maps: what is written is what is read, and what is no map is refused with words."""

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from i2i.image import ImageError, Picture, decode, encode, encode_map, read_map
from tests.i2i.makers import code_of, encoded, noise


def read_back(data: bytes, folder: Path) -> NDArray[np.float32]:
    path = folder / "map"
    path.write_bytes(data)
    return read_map(path)


@given(values=arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_float_tiff_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, values: NDArray[np.float32]
) -> None:
    again = read_back(encode_map(values), tmp_path_factory.getbasetemp())
    assert again.tobytes() == values.tobytes()


@given(
    values=arrays(np.float32, (3, 4), elements=st.floats(-2, 5, width=32)),
    low=st.floats(-3, 0),
    high=st.floats(1, 6),
)
def test_a_png_holds_a_range_in_65535_steps(
    tmp_path_factory: pytest.TempPathFactory, values: NDArray[np.float32], low: float, high: float
) -> None:
    levels = read_back(encode_map(values, "png", low, high), tmp_path_factory.getbasetemp())
    again = low + levels.astype(np.float64) / 65535 * (high - low)
    assert np.abs(again - np.clip(values, low, high)).max() <= (high - low) / 65535 * 0.501


def test_the_ends_of_a_range_are_the_ends_of_16_bits(tmp_path: Path) -> None:
    values = np.array([[-1, 2, 9, 5.5]], np.float32)
    assert read_back(encode_map(values, "png", 2, 9), tmp_path).tolist() == [[0, 0, 65535, 32768]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_png_holds_no_nan_and_no_infinity(bad: float) -> None:
    with pytest.raises(ImageError, match="use tiff") as caught:
        encode_map(np.array([[1, bad]], np.float32), "png")
    assert caught.value.code == "format_cannot_hold"


def test_what_is_no_map_is_not_encoded() -> None:
    wrong: Any = "jpeg"
    for values in (np.zeros((2, 2, 1), np.float32), np.zeros((0, 2), np.float32)):
        with pytest.raises(ValueError, match=r"expected float32 \(H, W\)"):
            encode_map(values)
    for format in ("tiff", "png"):
        for low, high in ((1, 1), (-np.inf, 1), (0, np.nan)):
            with pytest.raises(ValueError, match="expected finite low < high"):
                encode_map(np.zeros((2, 2), np.float32), format, low, high)
    with pytest.raises(ImageError) as caught:
        encode_map(np.zeros((2, 2), np.float32), wrong)
    assert caught.value.code == "format_cannot_hold"


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_levels_are_numbers(format: Any, dtype: Any, tmp_path: Path) -> None:
    levels = np.array([[0, 1, 200, np.iinfo(dtype).max]], dtype)
    again = read_back(encode(Picture(levels[..., None]), format), tmp_path)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, levels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_floats_of_other_programs_are_read(
    order: Literal["<", ">"], kind: str, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).normal(size=(70, 50)).astype(order + kind)
    for options in ({}, {"compression": "zlib"}, {"tile": (16, 32)}, {"bigtiff": True}):
        file = io.BytesIO()
        tifffile.imwrite(file, values, byteorder=order, **options)
        np.testing.assert_array_equal(
            read_back(file.getvalue(), tmp_path), values.astype(np.float32)
        )


@pytest.mark.parametrize("predictor", [1, 2, 3])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_floats_packed_by_libtiff_are_read(
    compression: str, predictor: int, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).normal(size=(70, 50)).astype(np.float32)
    data = encoded(
        Image.fromarray(values), "TIFF", compression=compression, tiffinfo={317: predictor}
    )
    np.testing.assert_array_equal(read_back(data, tmp_path), values)


def test_a_map_is_turned_upright_as_its_picture_is(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(values)
    np.testing.assert_array_equal(
        read_back(encoded(image, "TIFF", exif=exif), tmp_path), np.rot90(values, -1)
    )


def test_colours_alpha_and_lossy_files_are_no_maps(tmp_path: Path) -> None:
    gray = Image.fromarray(noise(4, 4, 1)[..., 0])
    files = {
        "colour": encode(Picture(noise(4, 4, 3))),
        "colour tiff": encode(Picture(noise(4, 4, 3)), "tiff"),
        "alpha": encode(Picture(noise(4, 4, 1), noise(4, 4, 1)[..., 0])),
        "palette": encoded(gray.convert("P"), "TIFF"),
        "1 bit": encoded(gray.convert("1"), "PNG"),
        "1 bit tiff": encoded(gray.convert("1"), "TIFF"),
        "jpeg": encoded(gray, "JPEG"),
        "jpeg in tiff": encoded(gray, "TIFF", compression="jpeg"),
    }
    for name, data in files.items():
        with pytest.raises(ImageError, match="expected float TIFF") as caught:
            read_back(data, tmp_path)
        assert caught.value.code == "unsupported_format", name


def test_the_limit_of_pixels_holds_for_maps(tmp_path: Path) -> None:
    (tmp_path / "map").write_bytes(encode_map(np.zeros((6, 7), np.float32)))
    with pytest.raises(ImageError, match="too many pixels") as caught:
        read_map(tmp_path / "map", max_pixels=41)
    assert caught.value.code == "too_many_pixels"


def test_float_values_and_wide_numbers_are_no_picture() -> None:
    assert code_of(encode_map(np.zeros((2, 2), np.float32))) == "unsupported_format"
    wide = encoded(Image.fromarray(np.zeros((2, 2), np.int32)), "TIFF")
    with pytest.raises(ImageError, match="32-bit signed numbers"):
        decode(wide)
