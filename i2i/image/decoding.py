"""Bytes to pixels: a file is taken apart, decoded strip by strip, made upright and sRGB.

What comes in is untrusted. Pillow gets only the parts that hold pixels: metadata can neither cost
memory nor raise. What matters of it, orientation and colour profile, is applied. Every failure is
an `ImageError` with a documented code.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i.image.colour import is_of, to_srgb
from i2i.image.container import Parts, take_apart
from i2i.image.picture import Depth, ImageError, Picture, Samples, to_8_bit
from i2i.image.pillow_strips import stored_by_pillow
from i2i.image.stored import CHANNELS, Stored
from i2i.image.tiff import read_directory
from i2i.image.tiff_strips import stored_tiff

MAX_PIXELS = 60_000_000

# Pillow warns and raises at a fixed size; `decode` has its own limit, checked before decoding.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Header:
    """What a file says of its picture: format in lower case, upright width and height in pixels.

    Attributes:
        depth: bits of a sample; 8 also for less.
    """

    format: str
    width: int
    height: int
    depth: Depth = 8


def read_header(data: bytes | bytearray | memoryview) -> Header:
    """Format, size and depth of the picture in `data`, without decoding it.

    Raises:
        ImageError: as `decode`, for what shows before the pixels.
    """
    parts = take_apart(data)
    with blaming(parts):
        if parts.tiff is not None:
            stored_tiff(parts.tiff)  # raises for what is no picture
        width, height = parts.size or parts.open().size
        if width < 1 or height < 1:
            raise ValueError("a picture without pixels")
    if _orientation(parts.exif)[2]:
        width, height = height, width
    bits = 8 * parts.tiff.dtype.itemsize if parts.tiff is not None else 8
    bits = parts.png_bits if parts.format == "png" else bits
    return Header(parts.format, width, height, 16 if bits > 8 else 8)


def decode(
    data: bytes | bytearray | memoryview,
    *,
    max_pixels: int = MAX_PIXELS,
    depth: Depth = 8,
    profile: Literal["convert", "keep"] = "convert",
) -> Picture:
    """The picture in PNG, JPEG, WebP, TIFF or BMP bytes, upright and in sRGB.

    Gray stays gray. A broken profile is ignored, and so is an orientation outside 1..8.

    Args:
        depth: 8: 16-bit samples become 8 bits by v / 257, rounded; 16: they stay (8 bits stay 8).
        profile: convert: colours of an embedded profile other than sRGB become sRGB (at 16
            bits 8 of them are kept where the profile is made of tables); keep: gray and RGB stay as
            they are, and the picture carries the profile.

    Raises:
        ImageError: empty, unsupported_format, too_many_pixels (told before decoding), animated,
            truncated or damaged.
        ValueError: another depth or profile.
        TypeError: no bytes.
    """
    if depth not in (8, 16):
        raise ValueError(f"depth: expected 8 or 16, got {depth}")
    if profile not in ("convert", "keep"):
        raise ValueError(f"profile: expected convert or keep, got {profile}")
    parts = take_apart(data)
    with blaming(parts):
        check_pixels(parts.size or (0, 0), max_pixels)
        stored = stored_by_pillow(parts) if parts.tiff is None else stored_tiff(parts.tiff)
        check_pixels((stored.width, stored.height), max_pixels)
        keep = profile == "keep" and stored.space != "CMYK"
        pixels, *alpha = upright_planes(
            stored,
            parts.exif,
            to_8_bit if depth == 8 else None,
            to_srgb(b"" if keep else parts.profile, stored.space),
        )
        # One of another space is ignored either way.
        kept = parts.profile if keep and is_of(parts.profile, stored.space) else None
        return Picture(pixels, alpha[0][..., 0] if alpha else None, kept)


def read(
    path: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    depth: Depth = 8,
    profile: Literal["convert", "keep"] = "convert",
) -> Picture:
    """The picture in a file, as `decode`.

    Raises:
        ImageError: as `decode`; the message names the file.
        OSError: the file cannot be read.
    """
    with naming(path):
        return decode(Path(path).read_bytes(), max_pixels=max_pixels, depth=depth, profile=profile)


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """An ImageError inside names the file."""
    try:
        yield
    except ImageError as error:
        detail = f"{path}: {error.detail}"
        raise ImageError(error.code, detail, error.expected, error.got) from error


# By EXIF orientation: steps through rows, columns; do they swap?
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


def _orientation(exif: bytes) -> tuple[int, int, bool]:
    try:
        listed = read_directory(exif.removeprefix(b"Exif\0\0"))
        kind, count, _ = listed.entries[0x0112]
        number = listed.number(0x0112) if (kind, count) == (3, 1) else 1
    except (struct.error, KeyError, ImageError):
        number = 1
    return _ORIENTATIONS.get(number, _ORIENTATIONS[1])


@contextlib.contextmanager
def blaming(parts: Parts) -> Iterator[None]:
    """Whatever a decoder raises inside is the file's fault."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # a dozen kinds; the bytes are untrusted, so all are taken alike
        # A damaged header may ask for more than there is, so it is the file's fault all the same.
        also = ", or the memory is full" if isinstance(error, MemoryError) else ""
        if parts.complete:
            raise ImageError("damaged", f"the {parts.format} file is damaged{also}") from error
        raise ImageError("truncated", f"the {parts.format} file ends early") from error


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size  # Pillow's order
    if width * height > max_pixels:
        raise ImageError(
            "too_many_pixels",
            "the picture has too many pixels",
            f"at most {max_pixels:,}",
            f"{width:,} x {height:,}",
        )


def upright_planes(
    stored: Stored,
    exif: bytes,
    change: Callable[[Samples], Samples] | None = None,
    convert: Callable[[Samples], Samples] | None = None,
) -> list[NDArray[Any]]:
    """Upright colours (H, W, C), and alpha (H, W, 1) if there is one.

    Args:
        change: done to all samples of a strip first.
        convert: then done to its colours.
    """
    down, right, swap = _orientation(exif)
    sides = (stored.width, stored.height) if swap else (stored.height, stored.width)
    colours, top = CHANNELS[stored.space], 0
    planes: list[NDArray[Any]] = []
    for samples in stored.strips():
        changed = change(samples) if change else samples
        strip = [changed[..., :colours]]
        if convert:
            strip = [convert(strip[0])]
        if changed.shape[2] > colours:
            strip.append(changed[..., colours:])
        planes = planes or [np.empty((*sides, part.shape[2]), part.dtype) for part in strip]
        for plane, values in zip(planes, strip, strict=True):
            as_stored = plane[::down, ::right]
            as_stored = as_stored.swapaxes(0, 1) if swap else as_stored
            as_stored[top : top + len(values)] = values
        top += len(samples)
    return planes
