"""Pictures that compress like photographs, of any size, the same at every run."""

from __future__ import annotations

import numpy as np

from i2i import Picture
from i2i.resize import bicubic


def photo(height: int, width: int) -> Picture:
    """Soft shapes under a little noise: about 1 byte a pixel as JPEG, 2 as PNG."""
    random = np.random.default_rng(0)
    shapes = random.integers(0, 256, (8, 8, 3), np.uint8)
    tile = bicubic(shapes, 256, 256).astype(np.int16) + random.integers(-6, 7, (256, 256, 3))
    rows, columns = -(-height // 256), -(-width // 256)
    pixels = np.tile(np.clip(tile, 0, 255).astype(np.uint8), (rows, columns, 1))
    return Picture(np.ascontiguousarray(pixels[:height, :width]))
