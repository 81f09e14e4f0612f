"""Pixels and Pillow files for the tests of pictures."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from i2i.image import ImageError, Picture, decode, encode


def noise(height: int, width: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def smooth(height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((x * 7, y * 9, (x + y) * 4), axis=-1).astype(np.uint8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def code_of(data: bytes, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, **options)
    return caught.value.code


def written(values: NDArray[Any], **options: Any) -> bytes:
    """A TIFF file by another program."""
    file = io.BytesIO()
    stored = np.moveaxis(values, 2, 0) if options.get("planarconfig") == "separate" else values
    tifffile.imwrite(file, stored, **options)
    return file.getvalue()


# A file of every kind that is read.
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
