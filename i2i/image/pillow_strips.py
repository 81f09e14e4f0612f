"""The samples of a PNG, JPEG, WebP or BMP file, decoded by Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from i2i.image.container import Parts
from i2i.image.picture import ImageError, Samples
from i2i.image.stored import Space, Stored, row_strips

_MODES = {  # Pillow's mode: what it is converted to
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("LA", "La"), "LA"),
    **dict.fromkeys(("RGB", "RGBX", "YCbCr", "P"), "RGB"),
    **dict.fromkeys(("RGBA", "RGBa", "PA"), "RGBA"),
    "CMYK": "CMYK",
    "I;16": "I;16",
}
_SPACES: dict[str, Space] = {"L": "GRAY", "LA": "GRAY", "I;16": "GRAY", "CMYK": "CMYK"}
_GRAY_ALPHA_16 = "LA;16B"  # four bytes, as in RGBA: both halves of gray and alpha


def stored_by_pillow(parts: Parts) -> Stored:
    """The samples of a file that Pillow shall decode.

    Raises:
        ImageError: unsupported_format.
        Exception: whatever Pillow raises for bad bytes, here or in a strip.
    """
    image = _open(parts)
    deep_alpha = _raw_mode(image) == _GRAY_ALPHA_16
    space = "GRAY" if deep_alpha else _SPACES.get(_MODES[image.mode], "RGB")
    return Stored(image.height, image.width, space, lambda: _strips(image, parts))


def samples_of(image: Image.Image) -> NDArray[Any]:
    """Pixels of an image of Pillow as (H, W, channels of its colour space, and alpha)."""
    target = "RGBA" if image.mode == "P" and "transparency" in image.info else _MODES[image.mode]
    values = np.asarray(image if target in (image.mode, "I;16") else image.convert(target))
    return values if values.ndim == 3 else values[..., None]


def _open(parts: Parts, raw_mode: str = "") -> ImageFile.ImageFile:
    """The picture before its pixels are decoded, with samples to be read as `raw_mode` if given."""
    image = parts.open()
    if raw_mode:
        image.tile = [
            tile._replace(
                args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
            )
            for tile in image.tile
        ]
    if image.mode not in _MODES:
        raise ImageError(
            "unsupported_format",
            "this kind of pixels is not read",
            "gray or colour of 8 or 16 bits",
            image.mode,
        )
    return image


def _strips(image: ImageFile.ImageFile, parts: Parts) -> Iterator[Samples]:
    raw, low = _raw_mode(image), None
    key = _transparent_colour(image, parts)
    if raw == _GRAY_ALPHA_16:
        image = _open(parts, "RGBA")
    elif raw in ("RGB;16B", "RGBA;16B"):
        # Pillow keeps the upper byte of 16 bits; read in the other byte order, it is the lower one.
        low = _open(parts, raw[:-1] + "L")
    for rows in row_strips(image.height, image.width):
        box = (0, rows.start, image.width, rows.stop)
        samples = samples_of(image.crop(box))
        if raw == _GRAY_ALPHA_16:
            samples = samples.view(">u2").astype(np.uint16)
        elif low is not None:
            samples = samples.astype(np.uint16) << 8 | samples_of(low.crop(box))
        if key is not None:
            most = samples.dtype.type(np.iinfo(samples.dtype).max)
            opaque = (samples != key).any(axis=2, keepdims=True)
            samples = np.concatenate((samples, opaque * most), axis=2)
        yield samples


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How samples lie in the file, in Pillow's words; empty where Pillow has none."""
    arguments = image.tile[0].args if image.tile else None
    return str(arguments[0] if isinstance(arguments, tuple) else arguments or "")


def _transparent_colour(image: ImageFile.ImageFile, parts: Parts) -> NDArray[np.int64] | None:
    """PNG's transparent gray or colour, as the sample values of its pixels."""
    if image.mode == "P" or "transparency" not in image.info:
        return None
    key = np.atleast_1d(image.info["transparency"]).astype(np.int64)
    bits = parts.png_bits
    # Of less than 8 bits Pillow widens the samples to 0..255, but the key only of 1 bit.
    return np.minimum(key * (255 // ((1 << bits) - 1)), 255) if bits < 8 else key
