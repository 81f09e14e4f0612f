"""Bytes to pixels and back: every format, mode and limit, and whatever else may arrive."""

import io
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile
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
    encode_labels,
    read,
    read_header,
    write_bytes,
)
from i2i.image.picture import Depth
from tests.i2i.makers import code_of, encoded, noise, smooth

BadPictures = list[tuple[str, bytes, str | None]]


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
def test_labels_are_the_values_in_the_file(format: Format, labels: NDArray[np.uint8]) -> None:
    colours = [(index, 255 - index, 7) for index in range(256)]
    image = Image.open(io.BytesIO(encode_labels(labels, colours, format)))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), labels)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.array(colours)[labels])


def written(values: NDArray[Any], **options: Any) -> bytes:
    """A TIFF file by another program."""
    file = io.BytesIO()
    stored = np.moveaxis(values, 2, 0) if options.get("planarconfig") == "separate" else values
    tifffile.imwrite(file, stored, **options)
    return file.getvalue()


VALID = {
    "png": encoded(Image.fromarray(smooth()), "PNG"),
    "gray png": encoded(Image.fromarray(smooth()).convert("L"), "PNG"),
    "palette png": encoded(Image.fromarray(smooth()).convert("P"), "PNG", transparency=3),
    "jpeg": encoded(Image.fromarray(smooth()), "JPEG"),
    "progressive jpeg": encoded(Image.fromarray(smooth()), "JPEG", progressive=True),
    "cmyk jpeg": encoded(Image.fromarray(smooth()).convert("CMYK"), "JPEG"),
    "webp": encoded(Image.fromarray(smooth()), "WEBP"),
    "lossless webp": encoded(Image.fromarray(smooth()).convert("RGBA"), "WEBP", lossless=True),
    "tiff": encoded(Image.fromarray(smooth()), "TIFF"),
    "lzw tiff": encoded(Image.fromarray(smooth()), "TIFF", compression="tiff_lzw"),
    "jpeg tiff": encoded(Image.fromarray(smooth()), "TIFF", compression="jpeg"),
    "fax tiff": encoded(Image.fromarray(smooth()).convert("1"), "TIFF", compression="group4"),
    "deep png": encode(Picture(smooth().astype(np.uint16) * 257)),
    "deep tiff": encode(Picture(smooth().astype(np.uint16) * 257), "tiff"),
    "tiled big tiff": written(smooth(), tile=(16, 16), compression="zlib", bigtiff=True),
    "planar tiff": written(smooth(), planarconfig="separate", photometric="rgb"),
    "bmp": encoded(Image.fromarray(smooth()), "BMP"),
}


def is_picture_or_image_error(data: bytes, depth: Depth = 16) -> bool:
    try:
        return isinstance(decode(data, max_pixels=1_000_000, depth=depth), Picture)
    except ImageError as error:
        return bool(error.code and error.detail)


@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
@given(choice=st.data())
def test_any_beginning_is_a_picture_or_an_image_error(data: bytes, choice: st.DataObject) -> None:
    assert is_picture_or_image_error(data[: choice.draw(st.integers(0, len(data)))])


@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
@given(choice=st.data())
def test_any_changed_byte_is_a_picture_or_an_image_error(
    data: bytes, choice: st.DataObject
) -> None:
    changed = bytearray(data)
    changed[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    assert is_picture_or_image_error(bytes(changed))


@pytest.mark.slow
@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
def test_thousands_of_changed_files_are_pictures_or_image_errors(data: bytes) -> None:
    random = np.random.default_rng(0)
    for _ in range(3000):
        changed = np.frombuffer(data, np.uint8).copy()
        # Most changes near the ends, where headers and directories are.
        reach = len(changed) if random.random() < 0.3 else min(len(changed), 300)
        places = random.integers(0, reach, random.integers(1, 6))
        places = places if random.random() < 0.5 else len(changed) - 1 - places
        changed[places] = random.choice(np.array([0, 1, 2, 128, 255]), len(places))
        assert is_picture_or_image_error(changed.tobytes())


@given(start=st.sampled_from([b"", *(data[:16] for data in VALID.values())]), rest=st.binary())
def test_random_bytes_are_a_picture_or_an_image_error(start: bytes, rest: bytes) -> None:
    assert is_picture_or_image_error(start + rest)


def test_every_bad_picture_has_its_code(bad_pictures: BadPictures) -> None:
    codes: dict[str, str | None] = {}
    for name, data, _ in bad_pictures:
        try:
            decode(data)
            codes[name] = None
        except ImageError as error:
            codes[name] = error.code
    assert codes == {name: code for name, _, code in bad_pictures}


def test_every_bad_picture_is_decoded_in_little_memory() -> None:
    script = """
import resource, sys
from bad_pictures import bad_pictures
from i2i.image import ImageError, decode
table = bad_pictures()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for name, data, code in table:
    try:
        decode(data)
    except ImageError as error:
        assert error.code == code, (name, error.code)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert after - before < 32 * 1024, (before, after)
"""
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], check=True, env=place)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("JPEG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_a_large_picture_is_decoded_in_ten_bytes_a_pixel(
    format: str, options: dict[str, str], tmp_path: Path
) -> None:
    height, width = 4000, 6000
    Image.fromarray(smooth(height, width)).save(tmp_path / "picture", format, **options)
    script = """
import resource, sys
from pathlib import Path
from i2i.image import decode, read
decode(Path(sys.argv[2]).read_bytes())  # imports what it needs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read(Path(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
sys.exit(peak * 1024 > 10 * 4000 * 6000)
"""
    (tmp_path / "small").write_bytes(encoded(Image.fromarray(smooth()), format))
    names = [str(tmp_path / "picture"), str(tmp_path / "small")]
    subprocess.run([sys.executable, "-c", script, *names], check=True)


@pytest.mark.parametrize("name", VALID)
def test_a_file_cut_in_half_is_truncated(name: str) -> None:
    assert code_of(VALID[name][: len(VALID[name]) // 2]) == "truncated"


def test_an_error_says_what_works_and_nothing_of_the_decoder() -> None:
    with pytest.raises(ImageError) as caught:
        decode(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert "PNG, JPEG, WebP, TIFF or BMP" in str(caught.value)
    with pytest.raises(ImageError) as caught:
        decode(VALID["jpeg"][:-100])
    assert str(caught.value) == "the jpeg file ends early"


def test_the_limit_is_the_number_of_pixels() -> None:
    data = encode(Picture(noise(6, 7, 3)))
    assert decode(data, max_pixels=42).width == 7
    assert code_of(data, max_pixels=41) == "too_many_pixels"
    assert read_header(data) == Header("png", 7, 6)


def test_pillow_has_no_limit_of_its_own(pictures: ModuleType) -> None:
    picture = decode(pictures.huge_png(13_500), max_pixels=200_000_000)
    assert picture.pixels.shape == (13_500, 13_500, 1)


def test_the_format_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(VALID["bmp"])
    np.testing.assert_array_equal(read(path).pixels, smooth())
    assert {read_header(data).format for data in VALID.values()} == {*FORMATS, "bmp"}


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


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_labels_are_not_written_lossily(format: Format) -> None:
    with pytest.raises(ImageError) as caught:
        encode_labels(np.zeros((2, 2), np.uint8), [(0, 0, 0)], format)
    assert caught.value.code == "format_cannot_hold"


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


def test_read_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(VALID["png"][:60])
    with pytest.raises(ImageError, match=r"broken\.png") as caught:
        read(path)
    assert caught.value.code == "truncated"
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        read(tmp_path / "missing.png")


def test_write_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    for data in (b"first", b"second"):
        write_bytes(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_write_into_what_is_no_folder_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"file/picture\.png"):
        write_bytes(tmp_path / "file" / "picture.png", b"data")
    with pytest.raises(FileNotFoundError, match=r"folder/picture\.png"):
        write_bytes(tmp_path / "folder" / "picture.png", b"data")


def test_a_full_disk_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"earlier")
    script = """
import resource, signal, sys
from pathlib import Path
from i2i.image import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), bytes(5000))
except OSError as error:
    sys.exit(0 if error.filename == sys.argv[1] else 1)
sys.exit(2)
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]
