"""A picture in memory, and the error of a picture that cannot be read or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Code = Literal[
    "empty",
    "too_many_pixels",
    "unsupported_format",
    "truncated",
    "damaged",
    "animated",
    "format_cannot_hold",
]


class ImageError(ValueError):
    """A picture that cannot be read or written.

    Attributes:
        code: what went wrong, one of the documented codes.
        detail: one sentence for people; never a decoder's own words, which may leak paths.
        expected: what would have worked, where it can be said in a word.
        got: what came.
    """

    def __init__(self, code: Code, detail: str, expected: str = "", got: str = "") -> None:
        super().__init__(detail + (f": expected {expected}, got {got}" if expected else ""))
        self.code: Code = code
        self.detail = detail
        self.expected = expected
        self.got = got


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright and in sRGB.

    Attributes:
        pixels: (H, W, C) uint8, C = 1 (gray) or 3 (RGB).
        alpha: (H, W) uint8, 255 = opaque, or None; not multiplied into the pixels.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype
        if kind != np.uint8 or len(shape) != 3 or shape[2] not in (1, 3) or 0 in shape:
            raise ValueError(f"pixels: expected uint8 (H, W, 1 or 3), got {kind} {shape}")
        if self.alpha is not None and (self.alpha.dtype, self.alpha.shape) != (kind, shape[:2]):
            raise ValueError(
                f"alpha: expected uint8 {shape[:2]}, got {self.alpha.dtype} {self.alpha.shape}"
            )

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])
