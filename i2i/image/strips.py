"""The samples of a picture file, strip by strip, in sRGB.

Pixels leave Pillow in strips, so that other threads run in between.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from i2i.image.colour import apply, converted, to_srgb_of
from i2i.image.container import Parts
from i2i.image.picture import ImageError

_STRIP_PIXELS = 1 << 20
_COLOURS = {  # Pillow's mode: what it is converted to
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("LA", "La"), "LA"),
    **dict.fromkeys(("RGB", "RGBX", "CMYK", "YCbCr", "P"), "RGB"),
    **dict.fromkeys(("RGBA", "RGBa", "PA"), "RGBA"),
    **dict.fromkeys(("I;16", "I;16B"), "I;16"),
}
_GRAY_ALPHA_16 = "LA;16B"  # four bytes, as in RGBA: both halves of gray and alpha
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def open_pixels(parts: Parts, raw_mode: str = "") -> ImageFile.ImageFile:
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


def strips(image: ImageFile.ImageFile, parts: Parts) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """First row and (rows, W, 1 to 4) of every strip of the picture, as it lies in the file."""
    raw, low = _raw_mode(image), None
    key = _transparent_colour(image, parts)
    to_srgb = to_srgb_of(parts.profile, "L" if raw == _GRAY_ALPHA_16 else image.mode)
    if raw == _GRAY_ALPHA_16:
        image = open_pixels(parts, "RGBA")
    elif raw[:-1] in ("RGB;16", "RGBA;16", "RGBX;16"):
        # Pillow keeps the upper byte of 16 bits; read in the other byte order, it is the lower one.
        low = open_pixels(parts, raw[:-1] + _OTHER_ORDER[raw[-1]])
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        strip = image.crop(box)
        if to_srgb and strip.mode == "CMYK":
            samples = _samples(apply(to_srgb, strip))
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
            samples = converted(samples, to_srgb)
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
