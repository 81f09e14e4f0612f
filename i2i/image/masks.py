"""Masks: the class ids of a segmentation, one a pixel, as files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from i2i.image.container import Parts, take_apart
from i2i.image.decoding import MAX_PIXELS, blaming, check_pixels, naming, upright_planes
from i2i.image.picture import ImageError
from i2i.image.stored import Stored

MASK_FORMATS = ("PNG", "TIFF", "BMP")
# By what Pillow multiplies grays of 2 and 4 bits, which it calls so.
_WIDENED = {"L;2": 85, "L;4": 17}


def read_mask(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The class ids in a file, as `decode_mask`.

    Raises:
        ImageError: as `decode_mask`; the message names the file.
        OSError: the file cannot be read.
    """
    with naming(path):
        return decode_mask(Path(path).read_bytes(), max_pixels=max_pixels)


def decode_mask(data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The class ids in the bytes of a PNG, TIFF or BMP, (H, W), upright.

    Of an indexed file the indices, whatever its palette; of a gray one the numbers in the file, but
    for a TIFF whose 0 is white: there 0 is black, as in a picture. Gray may be stored as three
    equal colours, and ids up to 255 in 16 bits, as some tools write them.

    Raises:
        ImageError: as `decode`; unsupported_format for colours, larger numbers and formats that
            blur.
    """
    parts = take_apart(data)
    if parts.format.upper() not in MASK_FORMATS:
        raise _no_mask(f"a {parts.format} file")
    with blaming(parts), _opened(parts, data) as file:
        check_pixels(file.size, max_pixels)
        ids = _stored_ids(file) if file.mode in ("P", "L", "1") else _narrowed_ids(file)
        # Pillow turns TIFF files upright by itself, though not those that it reads from a path.
        return _upright(ids, parts.exif) if parts.format == "png" else ids


def _opened(parts: Parts, data: bytes) -> ImageFile.ImageFile:
    """Without its metadata, as every picture; but TIFF files, whose indices are wanted, whole."""
    return parts.open() if parts.decoder else Image.open(io.BytesIO(data), formats=["TIFF"])


def _no_mask(got: str) -> ImageError:
    return ImageError(
        "unsupported_format",
        "this is no mask of class ids; save it as indexed PNG, one palette entry for each class",
        "an indexed or gray PNG, TIFF or BMP of numbers up to 255",
        got,
    )


def _stored_ids(file: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """The numbers in a gray or indexed file, as Pillow has opened it."""
    raw_mode = str(file.tile[:1])
    step = next((step for name, step in _WIDENED.items() if name in raw_mode), 1)
    return np.array(file, dtype=np.uint8) // np.uint8(step)


def _narrowed_ids(file: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """The numbers in a file that spends more bits on them than they need."""
    # Of 16-bit colours Pillow keeps the upper halves, in which ids are lost.
    halved = file.mode == "RGB" and "16" in str(file.tile[:1])
    numbers = np.array(file)
    if file.mode.startswith("I"):
        if numbers.min() < 0 or numbers.max() > 255:
            raise _no_mask(f"gray from {numbers.min()} to {numbers.max()}")
        return numbers.astype(np.uint8)
    if file.mode != "RGB" or halved or (numbers != numbers[..., :1]).any():
        raise _no_mask(f"{file.mode} colours")
    return numbers[..., 0]


def _upright(ids: NDArray[np.uint8], exif: bytes) -> NDArray[np.uint8]:
    """Ids (H, W) turned as a picture with this EXIF is."""
    height, width = ids.shape
    stored = Stored(height, width, "GRAY", lambda: iter([ids[..., None]]))
    return upright_planes(stored, exif)[0][..., 0]
