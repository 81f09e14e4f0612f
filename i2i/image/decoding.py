"""Bytes to pixels: a file is taken apart, decoded strip by strip, made upright and sRGB.

What comes in is untrusted. Pillow gets only the parts that hold pixels: metadata can neither cost
memory nor raise. What matters of it, orientation and colour profile, is applied. Every failure is
an `ImageError` with a documented code.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from i2i.image.container import Parts, directory, take_apart
from i2i.image.picture import ImageError, Picture
from i2i.image.strips import open_pixels, strips

MAX_PIXELS = 60_000_000

# Pillow warns and raises at a fixed size; `decode` has its own limit, checked before decoding.
Image.MAX_IMAGE_PIXELS = None


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
        width, height = parts.size or open_pixels(parts).size
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
        image = open_pixels(parts)
        _check_pixels(image.size, max_pixels)
        return _picture(image, parts)


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
    for top, samples in strips(image, parts):
        colours = 3 if samples.shape[2] > 2 else 1
        stored = [samples[..., :colours], samples[..., colours:]][: 2 - samples.shape[2] % 2]
        planes = planes or [np.empty((*sides, plane.shape[2]), np.uint8) for plane in stored]
        for plane, values in zip(planes, stored, strict=True):
            as_stored = plane[::down, ::right]
            as_stored = as_stored.swapaxes(0, 1) if swap else as_stored
            as_stored[top : top + len(values)] = values
    return Picture(planes[0], planes[1][..., 0] if len(planes) > 1 else None)
