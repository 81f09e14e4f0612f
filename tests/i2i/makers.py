"""Pixels and Pillow files for the tests of pictures."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from i2i.image import ImageError, decode


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
