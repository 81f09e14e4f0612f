"""Depth, orientation and colour profile of a file decide its pixels, and are then gone."""

import io
import struct
import zlib
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from i2i.image import (
    FORMATS,
    Format,
    Header,
    ImageError,
    Picture,
    decode,
    encode,
    read_header,
)
from tests.i2i.makers import code_of, encoded, noise, smooth

DEEP = np.array([[0, 127, 128, 129, 255, 256, 257, 32767, 32768, 65280, 65406, 65407, 65535]])


def as_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.floor(values / 257 + 0.5).astype(np.uint8)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_png_is_scaled_and_rounded(pictures: ModuleType, colour: int, channels: int) -> None:
    values = np.random.default_rng(colour).permuted(np.repeat(DEEP, channels, axis=0), axis=1).T
    rows = zlib.compress(b"\0" + values.astype(">u2").tobytes())
    picture = decode(pictures.png_of(len(values), 1, 16, colour, rows))
    expected = as_8_bits(values)
    colours = 3 if channels > 2 else 1
    deep = decode(pictures.png_of(len(values), 1, 16, colour, rows), depth=16)
    np.testing.assert_array_equal(deep.pixels[0], values[:, :colours])
    np.testing.assert_array_equal(picture.pixels[0], expected[:, :colours])
    if channels % 2 == 0:
        assert picture.alpha is not None
        np.testing.assert_array_equal(picture.alpha[0], expected[:, -1])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_gray_tiff_is_scaled_and_rounded(order: str, compression: str | None) -> None:
    image = Image.fromarray(DEEP.astype(order + "u2"))
    picture = decode(encoded(image, "TIFF", compression=compression))
    np.testing.assert_array_equal(picture.pixels[..., 0], as_8_bits(DEEP))


@pytest.mark.parametrize("packed", [False, True])
def test_16_bit_rgb_tiff_is_scaled_and_rounded(pictures: ModuleType, packed: bool) -> None:
    values = np.stack((DEEP[0], DEEP[0, ::-1], DEEP[0] // 2), axis=-1)
    strip = values.astype("<u2").tobytes()
    strip = zlib.compress(strip) if packed else strip
    entries = [(256, 4, 1, len(values)), (257, 4, 1, 1), (262, 3, 1, 2), (277, 3, 1, 3)]
    entries += [(259, 3, 1, 8 if packed else 1), (279, 4, 1, len(strip))]
    behind = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [(258, 3, 3, behind), (273, 4, 1, behind + 6)]
    data = pictures.tiff_of(entries, struct.pack("<HHH", 16, 16, 16) + strip)
    np.testing.assert_array_equal(decode(data).pixels[0], as_8_bits(values))


def exif_of(orientation: int, kind: int = 3, order: str = "<") -> bytes:
    header = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(order + {3: "Hxx", 4: "I"}[kind], orientation)
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + value
    return b"Exif\0\0" + header + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation_is_applied(orientation: int, format: str) -> None:
    image = Image.fromarray(smooth(3, 5))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(image, format, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    picture = decode(data)
    np.testing.assert_array_equal(picture.pixels, np.asarray(upright))
    assert read_header(data) == Header(format.lower(), picture.width, picture.height)


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_in_both_byte_orders(order: str) -> None:
    data = encoded(Image.fromarray(smooth(3, 5)), "PNG", exif=exif_of(6, order=order))
    assert decode(data).pixels.shape == (5, 3, 3)


@pytest.mark.parametrize(
    "exif",
    [exif_of(0), exif_of(9), exif_of(65535), exif_of(6, kind=4), exif_of(6)[:20], b"Exif\0\0"],
)
def test_an_invalid_orientation_is_ignored(exif: bytes) -> None:
    for format in ("PNG", "JPEG", "WEBP"):
        data = encoded(Image.fromarray(smooth(3, 5)), format, exif=exif)
        assert decode(data).pixels.shape == (3, 5, 3)


def profile_of(gamma: float, space: bytes = b"RGB ", curve: bytes = b"") -> bytes:
    """A matrix or gray ICC profile of the sRGB primaries and a pure gamma, or another curve."""
    curve = curve or b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(gamma * 256))
    white = (0.9642, 1.0, 0.8249)
    primaries = [(0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)]
    tags = {b"wtpt": xyz(white), b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0"}
    tags[b"desc"] += bytes(78)
    if space == b"RGB ":
        tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
        names = (b"rXYZ", b"gXYZ", b"bXYZ")
        tags |= {name: xyz(value) for name, value in zip(names, primaries, strict=True)}
    else:
        tags[b"kTRC"] = curve
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", place + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12x4s",
        place + len(body),
        bytes(4),
        0x02400000,
        b"mntr",
        space,
        b"XYZ ",
        b"acsp",
    )
    head += bytes(28) + struct.pack(">3i", *(round(v * 65536) for v in white))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in value))


def srgb_of_linear(levels: NDArray[Any]) -> NDArray[np.float64]:
    """The published sRGB transfer curve, of linear light in 0..255."""
    light = levels / 255
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_linear_profile_is_converted_to_srgb(format: str, mode: str) -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = Image.fromarray(np.tile(levels, (16, 1))).convert(mode)
    exact: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}
    options = exact.get(format, {})
    space = b"GRAY" if mode == "L" and format != "WEBP" else b"RGB "
    picture = decode(encoded(image, format, icc_profile=profile_of(1.0, space), **options))
    assert picture.channels == (1 if space == b"GRAY" else 3)
    difference = np.abs(picture.pixels[8] - srgb_of_linear(levels)[:, None])
    # A level of a JPEG may be one off, which in the dark of linear light is 13.
    assert difference[:10].max() <= (14 if format == "JPEG" else 1)
    assert difference[10:].max() <= (8 if format == "JPEG" else 1)


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_a_profile_is_converted_at_16_bits(
    format: Literal["png", "tiff"], channels: int, gamma: float
) -> None:
    levels = np.repeat(np.linspace(0, 65535, 700).astype(np.uint16)[None, :, None], channels, 2)
    profile = profile_of(gamma, b"GRAY" if channels == 1 else b"RGB ")
    data = encode(Picture(levels, profile=profile), format)
    light = 255 * (levels / 65535) ** (round(gamma * 256) / 256)
    deep = decode(data, depth=16).pixels
    # The primaries in the profile have four digits.
    assert np.abs(deep / 257 - srgb_of_linear(light)).max() <= (0.05 if channels == 3 else 0.003)


def test_16_bit_colours_are_those_of_little_cms() -> None:
    pixels = noise(40, 40, 3)
    wide = profile_of(1.8)
    wide = wide.replace(xyz((0.4360, 0.2225, 0.0139)), xyz((0.6097, 0.3111, 0.0195)))
    wide = wide.replace(xyz((0.3851, 0.7169, 0.0971)), xyz((0.2053, 0.6257, 0.0609)))
    wide = wide.replace(xyz((0.1431, 0.0606, 0.7139)), xyz((0.1492, 0.0632, 0.7446)))
    expected = decode(encode(Picture(pixels, profile=wide))).pixels
    deep = Picture(pixels.astype(np.uint16) * 257, profile=wide)
    assert np.abs(decode(encode(deep), depth=16).pixels / 257 - expected).max() <= 1
    assert (expected != pixels).any()


@given(choice=st.data())
def test_a_broken_profile_is_no_error_at_16_bits(choice: st.DataObject) -> None:
    formula = b"para" + bytes(4) + struct.pack(">Hxx5i", 3, 1 << 17, 1 << 16, 0, 1 << 16, 0)
    broken = bytearray(profile_of(1.0, curve=choice.draw(st.sampled_from([b"", formula]))))
    for _ in range(choice.draw(st.integers(1, 3))):
        broken[choice.draw(st.integers(128, len(broken) - 1))] = choice.draw(st.integers(0, 255))
    profile = bytes(broken[: choice.draw(st.integers(1, len(broken)))])
    deep = Picture(noise(4, 4, 3).astype(np.uint16) * 257, profile=profile)
    assert decode(encode(deep), depth=16).depth == 16


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (0, [2.2]),
        (1, [2.2, 0.9, -0.05]),
        (1, [2.2, 0.9, 0.1]),  # black gives light
        (2, [2.2, 1.05, -0.05, 0]),
        (3, [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.3]),
        (4, [3, 0.9, 0.1, 0.5, 0.1, 0.02, 0]),
    ],
)
def test_curves_of_formulas_are_those_of_little_cms(kind: int, numbers: list[float]) -> None:
    values = struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
    profile = profile_of(1.0, b"RGB ", b"para" + bytes(4) + struct.pack(">Hxx", kind) + values)
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    expected = decode(encode(Picture(levels, profile=profile))).pixels
    deep = Picture(levels.astype(np.uint16) * 257, profile=profile)
    assert np.abs(decode(encode(deep), depth=16).pixels / 257 - expected).max() <= 1


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_profile_leaves_alpha_alone(format: str) -> None:
    pixels = noise(8, 8, 4)
    data = encoded(Image.fromarray(pixels), format, icc_profile=profile_of(1.0))
    picture = decode(data)
    np.testing.assert_array_equal(picture.alpha, pixels[..., 3])
    assert np.abs(picture.pixels - srgb_of_linear(pixels[..., :3])).max() <= 1.5


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        profile_of(1.0, b"GRAY"),  # of another colour space than the picture
        profile_of(1.0)[:200],
        b"no profile",
    ],
    ids=["srgb", "lab", "gray", "cut", "garbage"],
)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_srgb_and_broken_profiles_leave_pixels_alone(format: str, profile: bytes) -> None:
    pixels = noise(8, 8, 3)
    picture = decode(encoded(Image.fromarray(pixels), format, icc_profile=profile))
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_the_first_profile_of_a_png_counts(pictures: ModuleType) -> None:
    chunks = [
        pictures.png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile_of(gamma, b"GRAY")))
        for gamma in (1.0, 2.2)
    ]
    rows = zlib.compress(b"\0" + bytes(range(0, 256, 5)))
    first, second, both = (
        decode(pictures.png_of(52, 1, 8, 0, rows, *profiles)).pixels
        for profiles in (chunks[:1], chunks[1:], chunks)
    )
    np.testing.assert_array_equal(both, first)
    assert (first != second).any()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("space", [b"GRAY", b"RGB "])
def test_a_profile_is_kept_and_written_back(format: Format, space: bytes) -> None:
    mode, profile = "RGB" if space == b"RGB " else "L", profile_of(1.0, space)
    image = Image.fromarray(smooth()).convert(mode)
    picture = decode(encoded(image, "PNG", icc_profile=profile), profile="keep")
    assert picture.profile == profile
    np.testing.assert_array_equal(picture.pixels.squeeze(), np.asarray(image))
    if format == "webp" and mode == "L":
        with pytest.raises(ImageError, match="webp has no gray for a profile"):
            encode(picture, format)
        return
    again = decode(encode(picture, format), profile="keep")
    assert again.profile == profile
    assert np.abs(again.pixels.astype(int) - picture.pixels).mean() < 4
    assert decode(encode(picture, format)).profile is None


def test_what_is_no_profile_is_not_kept() -> None:
    junk = bytes(16) + b"RGB " + b"junk" * 30  # but for the place where a profile names its space
    data = encoded(Image.fromarray(smooth()), "PNG", icc_profile=junk)
    assert decode(data, profile="keep").profile is None


def test_a_profile_of_another_space_is_not_kept() -> None:
    image = Image.fromarray(smooth()).convert("LA")
    data = encoded(image, "PNG", icc_profile=profile_of(1.0, b"RGB "))
    assert decode(data, profile="keep").profile is None


def test_a_gray_profile_needs_a_gray_background() -> None:
    alpha = np.zeros((2, 2), np.uint8)
    picture = Picture(noise(2, 2, 1), alpha, profile_of(1.0, b"GRAY"))
    assert picture.over((7, 7, 7)).profile == picture.profile
    with pytest.raises(ValueError, match="expected a gray for a profile of gray"):
        picture.over((7, 7, 8))


def test_cmyk_is_converted_even_where_profiles_are_kept() -> None:
    image = Image.fromarray(smooth()).convert("CMYK")
    assert decode(encoded(image, "JPEG", icc_profile=b"x"), profile="keep").profile is None


@pytest.mark.parametrize("scans", [1, 90])
def test_scans_are_counted_up_to_the_end_of_the_picture(pictures: ModuleType, scans: int) -> None:
    image = Image.fromarray(smooth())
    data = pictures.many_scans(image, scans, b"\xff\xfe\0\4\xff\xd9")
    expected = decode(data).pixels
    np.testing.assert_array_equal(decode(data + data * 3).pixels, expected)
    assert code_of(data[:-1]) == "truncated"


@pytest.mark.parametrize("format", FORMATS)
def test_output_has_no_metadata(format: Format) -> None:
    exif, profile = exif_of(6), profile_of(1.0)
    source = encoded(Image.fromarray(smooth()), "JPEG", exif=exif, icc_profile=profile)
    output = Image.open(io.BytesIO(encode(decode(source), format)))
    assert not {"exif", "icc_profile", "comment", "xmp"} & set(output.info)
    storage = {256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 338, 339}
    assert set(getattr(output, "tag_v2", {})) <= storage
