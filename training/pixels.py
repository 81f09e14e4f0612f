"""Pictures of any depth: uint8, uint16, or float32 with black at 0 and white at 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

_BT601 = np.array([0.299, 0.587, 0.114], np.float32)

Pixels = NDArray[np.uint8]
# A picture (H, W, C) uint8, uint16 or float32; of a sample's target also a map (H, W) float32.
Values = NDArray[Any]


def white_of(dtype: DTypeLike) -> int:
    """The value of white: 255, 65535, or 1 of float32."""
    return {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(np.dtype(dtype), 1)


def to_float(image: Values) -> NDArray[np.float32]:
    """A picture as float32."""
    return np.multiply(image, np.float32(1 / white_of(image.dtype)), dtype=np.float32)


def brightness(image: Values) -> NDArray[np.float32]:
    """Of a picture (H, W, 1 or 3), by BT.601: (H, W) float32 with white at 1."""
    values = to_float(image)
    weighted: NDArray[np.float32] = values[..., 0] if image.shape[2] == 1 else values @ _BT601
    return weighted


def from_float(values: NDArray[np.float32], dtype: DTypeLike) -> Values:
    """A float32 picture as another type, clipped and rounded; as float32 it stays what it is."""
    if dtype == np.float32:
        return values
    return np.floor(values.clip(0, 1) * white_of(dtype) + 0.5).astype(dtype)


def to_8_bit(image: Values) -> Pixels:
    """A picture as an 8-bit file holds it: clipped and rounded."""
    return image if image.dtype == np.uint8 else from_float(to_float(image), np.uint8)


def as_stored(image: Values) -> Values:
    """A picture as a file holds it: float32 becomes 8 bit, others stay what they are."""
    return to_8_bit(image) if image.dtype == np.float32 else image


def in_colour(image: Values) -> Values:
    """(H, W, 1 or 3) with three channels, equal ones where it was gray."""
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def float_tensor(image: Tensor) -> Tensor:
    """A picture as a float32 tensor with white at 1; float32 stays what it is."""
    white = {torch.uint8: 255, torch.uint16: 65535}.get(image.dtype, 1)
    return image.float() / white
