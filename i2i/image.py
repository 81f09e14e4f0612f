"""Bytes to pixels and back: the one door for pictures, in training, command line and service.

What comes in is untrusted. A file is told by its content and taken apart here, and Pillow gets only
the parts that hold pixels: metadata can neither cost memory nor raise. What matters of it,
orientation and colour profile, is applied. Every failure is an `ImageError` with a documented code.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin

from i2i.picture import ImageError, Picture
from i2i.picture_file import Parts, directory, take_apart

__all__ = [
    "FORMATS",
    "MEDIA_TYPES",
    "SUFFIXES",
    "Format",
    "Header",
    "ImageError",
    "Picture",
    "decode",
    "encode",
    "encode_labels",
    "read",
    "read_header",
    "write_bytes",
]

Format = Literal["png", "jpeg", "webp", "tiff"]
FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp", "tiff")
MEDIA_TYPES: dict[Format, str] = {name: f"image/{name}" for name in FORMATS}
SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tiff"}
MAX_PIXELS = 60_000_000

# Pillow warns and raises at a fixed size; `decode` has its own limit, checked before decoding.
Image.MAX_IMAGE_PIXELS = None

# libjpeg's JPEG_MAX_DIMENSION (the format could hold 65,535) and libwebp's WEBP_MAX_DIMENSION.
_MAX_SIDE: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383}
_STRIP_PIXELS = 1 << 20  # pixels leave Pillow in strips, so that other threads run in between


@dataclass(frozen=True)
class Header:
    """What a file says of its picture: format in lower case, upright width and height in pixels."""

    format: str
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """Format and size of the picture in `data`, without decoding it.

    Raises:
        ImageError: as `decode`, for what shows before the pixels.
    """
    parts = take_apart(data)
    with _blaming(parts):
        width, height = parts.size or _open(parts).size
    swapped = _orientation(parts.exif)[2]
    return Header(parts.format, *((height, width) if swapped else (width, height)))


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in PNG, JPEG, WebP, TIFF or BMP bytes: 8 bit, upright, sRGB.

    Gray stays gray. 16 bits become 8 by v / 257, rounded. An embedded profile other than sRGB is
    converted; a broken one is ignored, and so is an orientation outside 1..8.

    Raises:
        ImageError: empty, unsupported_format, too_many_pixels (told before decoding), animated,
            truncated or damaged.
    """
    parts = take_apart(data)
    with _blaming(parts):
        _check_pixels(parts.size or (0, 0), max_pixels)
        image = _open(parts)
        _check_pixels(image.size, max_pixels)
        return _picture(image, parts)


def encode(picture: Picture, format: Format = "png") -> bytes:
    """The picture as a file without metadata; PNG and TIFF are lossless.

    JPEG has no alpha: it is laid on white. WebP has no gray: it decodes to three equal channels.

    Raises:
        ImageError: format_cannot_hold, a side is too long for the format.
    """
    longest, most = max(picture.height, picture.width), _MAX_SIDE.get(format)
    if most is not None and longest > most:
        raise ImageError(
            "format_cannot_hold",
            f"the sides of a {format} picture are limited; use png or tiff",
            f"at most {most:,}",
            f"{longest:,}",
        )
    pixels = picture.pixels
    image = Image.fromarray(pixels if picture.channels == 3 else pixels[..., 0])
    if picture.alpha is not None:
        mask = Image.fromarray(picture.alpha)
        if format == "jpeg":
            paper = Image.new(image.mode, image.size, "white")
            paper.paste(image, mask=mask)
            image = paper
        else:
            image.putalpha(mask)
    return _save(image, format, **_OPTIONS[format])


def encode_labels(
    labels: NDArray[np.uint8],
    colours: Sequence[tuple[int, int, int]],
    format: Format = "png",
) -> bytes:
    """Labels (H, W) as an indexed picture: the values in the file are the labels themselves.

    Args:
        colours: (red, green, blue) of label 0, 1, ...; a label beyond them is black.

    Raises:
        ImageError: format_cannot_hold, the format is not png or tiff.
    """
    if format not in ("png", "tiff"):
        raise ImageError("format_cannot_hold", f"{format} would blur labels", "png or tiff", format)
    # All 256 entries: Pillow packs the labels into fewer bits where the palette is shorter.
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    image = Image.fromarray(labels)
    image.putpalette(palette.tobytes())
    return _save(image, format, **({"compression": "tiff_lzw"} if format == "tiff" else {}))


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in a file, as `decode`.

    Raises:
        ImageError: as `decode`; the message names the file.
        OSError: the file cannot be read.
    """
    try:
        return decode(path.read_bytes(), max_pixels=max_pixels)
    except ImageError as error:
        detail = f"{path}: {error.detail}"
        raise ImageError(error.code, detail, error.expected, error.got) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: an earlier file stays until the new one is on disk.

    Raises:
        OSError: naming `path`; nothing is left behind.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # gone after the rename
            temporary.unlink()


# Encoding. PNG level 1 is four times as fast as level 6 for some per cent more bytes; LZW with the
# horizontal predictor is five times as fast as deflate with it. JPEG keeps full colour resolution:
# halving it would take back what a model just drew.
_OPTIONS: dict[Format, dict[str, Any]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 92, "subsampling": "4:4:4"},
    "webp": {"quality": 90, "method": 2},
    "tiff": {"compression": "tiff_lzw", "tiffinfo": {TiffImagePlugin.PREDICTOR: 2}},
}


def _save(image: Image.Image, format: Format, **options: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **options)
    except (OSError, ValueError) as error:  # lossy WebP of a huge noisy picture: partition overflow
        detail = f"the picture does not fit into a {format} file; use png"
        raise ImageError("format_cannot_hold", detail) from error
    return buffer.getvalue()


# Decoding what was taken apart. By EXIF orientation: steps through rows, columns; do they swap?
_ORIENTATIONS = {
    1: (1, 1, False),
    2: (1, -1, False),
    3: (-1, -1, False),
    4: (-1, 1, False),
    5: (1, 1, True),
    6: (1, -1, True),
    7: (-1, -1, True),
    8: (-1, 1, True),
}
_COLOURS = {  # Pillow's mode: what it is converted to
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("LA", "La"), "LA"),
    **dict.fromkeys(("RGB", "RGBX", "CMYK", "YCbCr", "P"), "RGB"),
    **dict.fromkeys(("RGBA", "RGBa", "PA"), "RGBA"),
    **dict.fromkeys(("I;16", "I;16B"), "I;16"),
}
_GRAY_ALPHA_16 = "LA;16B"  # four bytes, as in RGBA: both halves of gray and alpha
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def _orientation(exif: bytes) -> tuple[int, int, bool]:
    exif = exif.removeprefix(b"Exif\0\0")
    try:
        order, entries, _ = directory(exif)
        kind, count, value = entries[0x0112]
    except (struct.error, KeyError):
        return _ORIENTATIONS[1]
    number = struct.unpack_from(order + "H", value)[0] if (kind, count) == (3, 1) else 1
    return _ORIENTATIONS.get(number, _ORIENTATIONS[1])


@contextlib.contextmanager
def _blaming(parts: Parts) -> Iterator[None]:
    """Whatever a decoder raises inside is the file's fault."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # a dozen kinds; the bytes are untrusted, so all are taken alike
        if parts.complete:
            raise ImageError("damaged", f"the {parts.format} file is damaged") from error
        raise ImageError("truncated", f"the {parts.format} file ends early") from error


def _open(parts: Parts, raw_mode: str = "") -> ImageFile.ImageFile:
    """The picture before its pixels are decoded, with samples to be read as `raw_mode` if given."""
    image = parts.decoder(io.BytesIO(parts.pixels))
    if raw_mode:
        image.tile = [
            tile._replace(
                args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
            )
            for tile in image.tile
        ]
    if image.mode not in _COLOURS:
        raise ImageError(
            "unsupported_format",
            "this kind of pixels is not read",
            "gray or colour of 8 or 16 bits",
            image.mode,
        )
    return image


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size  # Pillow's order
    if width * height > max_pixels:
        raise ImageError(
            "too_many_pixels",
            "the picture has too many pixels",
            f"at most {max_pixels:,}",
            f"{width:,} x {height:,}",
        )


def _picture(image: ImageFile.ImageFile, parts: Parts) -> Picture:
    width, height = image.size
    down, right, swap = _orientation(parts.exif)
    sides = (width, height) if swap else (height, width)
    planes: list[NDArray[np.uint8]] = []  # upright colours, and alpha if there is one
    for top, samples in _strips(image, parts):
        colours = 3 if samples.shape[2] > 2 else 1
        stored = [samples[..., :colours], samples[..., colours:]][: 2 - samples.shape[2] % 2]
        planes = planes or [np.empty((*sides, plane.shape[2]), np.uint8) for plane in stored]
        for plane, values in zip(planes, stored, strict=True):
            as_stored = plane[::down, ::right]
            as_stored = as_stored.swapaxes(0, 1) if swap else as_stored
            as_stored[top : top + len(values)] = values
    return Picture(planes[0], planes[1][..., 0] if len(planes) > 1 else None)


def _strips(image: ImageFile.ImageFile, parts: Parts) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """First row and (rows, W, 1 to 4) of every strip of the picture, as it lies in the file."""
    raw, low = _raw_mode(image), None
    key = _transparent_colour(image, parts)
    to_srgb = _to_srgb(parts.profile, "L" if raw == _GRAY_ALPHA_16 else image.mode)
    if raw == _GRAY_ALPHA_16:
        image = _open(parts, "RGBA")
    elif raw[:-1] in ("RGB;16", "RGBA;16", "RGBX;16"):
        # Pillow keeps the upper byte of 16 bits; read in the other byte order, it is the lower one.
        low = _open(parts, raw[:-1] + _OTHER_ORDER[raw[-1]])
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        strip = image.crop(box)
        if to_srgb and strip.mode == "CMYK":
            samples = _samples(_apply(to_srgb, strip))
        elif raw == _GRAY_ALPHA_16:
            samples = _samples(strip).view(">u2")
        elif low is not None:
            samples = _samples(strip).astype(np.uint16) << 8 | _samples(low.crop(box))
        else:
            samples = _samples(strip)
        opaque = None if key is None else (samples != key).any(axis=2, keepdims=True)
        if samples.dtype != np.uint8:
            samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if to_srgb and strip.mode != "CMYK":
            samples = _converted(samples, to_srgb)
        if opaque is not None:
            samples = np.concatenate((samples, opaque * np.uint8(255)), axis=2)
        yield top, samples


def _samples(strip: Image.Image) -> NDArray[Any]:
    target = "RGBA" if strip.mode == "P" and "transparency" in strip.info else _COLOURS[strip.mode]
    values = np.asarray(strip if target in (strip.mode, "I;16") else strip.convert(target))
    return values if values.ndim == 3 else values[..., None]


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How samples lie in the file, in Pillow's words; empty where Pillow has none."""
    arguments = image.tile[0].args if image.tile else None
    return str(arguments[0] if isinstance(arguments, tuple) else arguments or "")


def _transparent_colour(image: ImageFile.ImageFile, parts: Parts) -> NDArray[np.int64] | None:
    """PNG's transparent gray or colour, as the sample values of its pixels."""
    if image.mode == "P" or "transparency" not in image.info:
        return None
    key = np.atleast_1d(image.info["transparency"]).astype(np.int64)
    bits = parts.pixels[24]
    # Of less than 8 bits Pillow widens the samples to 0..255, but the key only of 1 bit.
    return np.minimum(key * (255 // ((1 << bits) - 1)), 255) if bits < 8 else key


def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What takes colours of the profile to sRGB; None where it changes nothing or is broken."""
    mode = "CMYK" if mode == "CMYK" else "L" if mode[0] in "1LI" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    # A profile that is sRGB in all but rounding leaves the pixels alone, whatever its name.
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    if mode != "CMYK":
        grid = np.stack(np.meshgrid(*[levels] * len(mode), indexing="ij"), axis=-1)
        probe = grid.reshape(1, -1, len(mode))
        if np.abs(_converted(probe, transform).astype(np.int64) - probe).max() <= 2:
            return None
    return transform


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only where it works in place
    return converted


def _converted(
    samples: NDArray[np.uint8], transform: ImageCms.ImageCmsTransform
) -> NDArray[np.uint8]:
    """Gray or RGB samples, with or without alpha, after the transform of their colours."""
    colours = 3 if samples.shape[2] > 2 else 1
    before = Image.fromarray(samples[..., :3] if colours == 3 else samples[..., 0])
    after = np.asarray(_apply(transform, before))[..., :colours]
    return np.concatenate((after, samples[..., colours:]), axis=2)
