"""Maps: one number a pixel (a depth, a height, a probability) as files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from i2i.image.container import Parts, take_apart
from i2i.image.decoding import MAX_PIXELS, blaming, check_pixels, naming, upright_planes
from i2i.image.formats import check_format
from i2i.image.picture import ImageError
from i2i.image.pillow_strips import stored_by_pillow
from i2i.image.stored import Stored, row_strips
from i2i.image.strip_writer import open_writer
from i2i.image.tiff import BLACK_IS_ZERO, WHITE_IS_ZERO
from i2i.image.tiff_strips import numbers_of


def read_map(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.float32]:
    """The numbers in a file, as `decode_map`.

    Raises:
        ImageError: as `decode_map`; the message names the file.
        OSError: the file cannot be read.
    """
    with naming(path):
        return decode_map(Path(path).read_bytes(), max_pixels=max_pixels)


def decode_map(
    data: bytes | bytearray | memoryview, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.float32]:
    """The numbers in the bytes of a file, (H, W), upright.

    Float TIFF (16, 32 or 64 bits) as it is, NaN and infinities too; gray PNG and TIFF of 8 or 16
    bits as the numbers in the file, 0..255 or 0..65535.

    Raises:
        ImageError: as `decode`; unsupported_format for colours, alpha, less than 8 bits and formats
            that blur.
    """
    parts = take_apart(data)
    with blaming(parts):
        check_pixels(parts.size or (0, 0), max_pixels)
        stored = _stored_numbers(parts)
        check_pixels((stored.width, stored.height), max_pixels)
        planes = upright_planes(stored, parts.exif)
        if len(planes) == 1:
            return planes[0][..., 0].astype(np.float32, copy=False)
        raise _no_map("a gray picture with alpha")


def encode_map(
    values: NDArray[np.float32],
    format: Literal["tiff", "png"] = "tiff",
    low: float = 0.0,
    high: float = 1.0,
) -> bytes:
    """The map as a file: TIFF holds the float values as they are, PNG 16 bits of a range.

    Args:
        values: (H, W).
        low, high: PNG only: the values that become 0 and 65535; those beyond are clamped.

    Raises:
        ImageError: format_cannot_hold: NaN or infinity for PNG; jpeg or webp.
        ValueError: another shape or dtype, or no finite low < high.
    """
    if values.ndim != 2 or values.dtype != np.float32 or 0 in values.shape:
        raise ValueError(f"values: expected float32 (H, W), got {values.dtype} {values.shape}")
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"expected finite low < high, got {low} and {high}")
    height, width = values.shape
    check_format(format, height, width, 32 if format == "tiff" else 16)
    buffer, kind = io.BytesIO(), np.float32 if format == "tiff" else np.uint16
    with open_writer(buffer, format, height, width, 1, kind) as writer:
        for rows in row_strips(height, width):
            strip = values[rows, :, None]
            writer.write(strip if format == "tiff" else map_levels(strip, low, high))
    return buffer.getvalue()


def map_levels(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint16]:
    """The numbers of a 16-bit PNG: 0..65535 for low..high, those beyond clamped.

    Raises:
        ImageError: format_cannot_hold, there is NaN or infinity.
    """
    if not np.isfinite(values).all():
        raise ImageError(
            "format_cannot_hold",
            "a png holds neither NaN nor infinity; use tiff",
            "finite values",
            "others too",
        )
    levels = np.empty(values.shape, np.uint16)
    for rows in row_strips(len(values), values[:1].size):
        share = (values[rows].astype(np.float64) - low) / (high - low)
        levels[rows] = np.floor(np.clip(share, 0, 1) * 65535 + 0.5)
    return levels


def _stored_numbers(parts: Parts) -> Stored:
    tiff = parts.tiff
    if tiff is not None:
        if not tiff.plain or tiff.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO):
            raise _no_map("a TIFF file of another kind")
        if tiff.samples > 1:
            raise _no_map("a TIFF file of several samples a pixel")

        def strips() -> Iterator[NDArray[np.float32]]:
            with np.errstate(over="ignore"):  # 64 bits beyond 32 become infinite
                for band in numbers_of(tiff):
                    yield band.astype(np.float32)

        return Stored(tiff.height, tiff.width, "GRAY", strips)
    if parts.format != "png":
        raise _no_map(f"a {parts.format} file")
    if parts.png_bits < 8:
        raise _no_map(f"{parts.png_bits} bits")
    stored = stored_by_pillow(parts)
    if stored.space != "GRAY":
        raise _no_map("a picture in colour")
    return stored


def _no_map(got: str) -> ImageError:
    expected = "float TIFF, or gray PNG or TIFF of 8 or 16 bits"
    return ImageError("unsupported_format", "this is no map of one number a pixel", expected, got)
