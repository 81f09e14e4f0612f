"""A picture in memory, and the error of a picture that cannot be read or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from i2i.image.stored import row_strips

Code = Literal[
    "empty",
    "too_many_pixels",
    "unsupported_format",
    "truncated",
    "damaged",
    "animated",
    "format_cannot_hold",
]
Depth = Literal[8, 16]
Samples = NDArray[np.uint8 | np.uint16]

_MOST_SHOWN = 1 << 22  # pixels


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

    def __reduce__(self) -> tuple[object, ...]:
        """To be raised again in the process that asked for the picture."""
        return type(self), (self.code, self.detail, self.expected, self.got)


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A decoded picture, upright and in sRGB.

    Attributes:
        pixels: (H, W, C) uint8 or uint16, C = 1 (gray) or 3 (RGB).
        alpha: (H, W) of the same dtype, its maximum = opaque, or None; not multiplied into the
            pixels.
        profile: the ICC profile that says what the pixels mean; None is sRGB.

    Raises:
        TypeError: the pixels or alpha are no array.
        ValueError: they are of another shape or dtype.
    """

    pixels: Samples
    alpha: Samples | None = None
    profile: bytes | None = None

    def __post_init__(self) -> None:
        _check_array("pixels", self.pixels)
        shape, kind = self.pixels.shape, self.pixels.dtype
        if (
            kind not in (np.uint8, np.uint16)
            or len(shape) != 3
            or shape[2] not in (1, 3)
            or 0 in shape
        ):
            raise ValueError(
                f"pixels: expected uint8 or uint16 (H, W, 1 or 3), got {kind} {shape}"
                + _remedy(shape)
            )
        if self.alpha is None:
            return
        _check_array("alpha", self.alpha)
        if (self.alpha.dtype, self.alpha.shape) != (kind, shape[:2]):
            raise ValueError(
                f"alpha: expected {kind} {shape[:2]}, got {self.alpha.dtype} {self.alpha.shape}"
            )

    def __repr__(self) -> str:
        colours = "gray" if self.channels == 1 else "RGB"
        told = [f"{self.width} x {self.height}", colours, f"{self.depth} bits"]
        told += ["alpha"] if self.alpha is not None else []
        told += ["a profile"] if self.profile is not None else []
        return f"<Picture {', '.join(told)}>"

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows, and keeps: of a large picture the words alone."""
        from i2i.image.encoding import encode  # which knows pictures

        return encode(self) if self.height * self.width <= _MOST_SHOWN else None

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])

    @property
    def depth(self) -> Depth:
        """Bits of a sample."""
        return 8 if self.pixels.dtype == np.uint8 else 16

    def over(self, colour: tuple[int, int, int]) -> Picture:
        """The picture without alpha, laid on a colour.

        Mixed as browsers do: sample values, not light, are weighted by alpha, and rounded. A gray
        picture stays gray on black, white and gray.

        Args:
            colour: red, green, blue in 0..255.

        Raises:
            ValueError: the colour is none, or is no gray under a picture with a gray profile.
        """
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise ValueError(f"colour: expected red, green, blue in 0..255, got {colour}")
        if self.alpha is None:
            return self
        one_value = self.channels == 1 and len(set(colour)) == 1
        if self.channels == 1 and self.profile and not one_value:
            raise ValueError(f"colour: expected a gray for a profile of gray, got {colour}")
        most = np.iinfo(self.pixels.dtype).max
        paper = np.array(colour[:1] if one_value else colour, np.uint64) * (most // 255)
        laid = np.empty((self.height, self.width, len(paper)), self.pixels.dtype)
        for part in row_strips(self.height, self.width):
            weight = self.alpha[part, :, None].astype(np.uint64)
            mixed = self.pixels[part] * weight + paper * (most - weight)
            laid[part] = (mixed + most // 2) // most
        return Picture(laid, profile=self.profile)

    def to_8_bit(self) -> Picture:
        """The picture with uint8 samples: 16 bits become 8 by v / 257, rounded."""
        alpha = None if self.alpha is None else to_8_bit(self.alpha)
        return Picture(to_8_bit(self.pixels), alpha, self.profile)

    def to_16_bit(self) -> Picture:
        """The picture with uint16 samples: 8 bits become 16 by 257 v, and 16 stay as they are."""
        if self.depth == 16:
            return self
        alpha = None if self.alpha is None else self.alpha * np.uint16(257)
        return Picture(self.pixels * np.uint16(257), alpha, self.profile)


def _check_array(name: str, samples: object) -> None:
    if not isinstance(samples, np.ndarray):
        raise TypeError(
            f"{name}: expected an array, got {type(samples).__name__}; np.asarray makes one"
        )


def _remedy(shape: tuple[int, ...]) -> str:
    """What makes pixels of this shape a picture's, as far as one can guess."""
    if len(shape) == 2:
        return "; array[..., None] is a gray picture's"
    if len(shape) == 3 and shape[2] in (2, 4):
        last = shape[2] - 1
        return f"; alpha comes apart: Picture(array[..., :{last}], alpha=array[..., {last}])"
    return ""


def to_8_bit(samples: Samples) -> NDArray[np.uint8]:
    """Samples as uint8: 16 bits by v / 257, rounded; 8 bits as they are."""
    if samples.dtype == np.uint8:
        return samples.view(np.uint8)
    reduced = np.empty(samples.shape, np.uint8)
    for part in row_strips(len(samples), samples[:1].size):
        reduced[part] = (samples[part].astype(np.uint32) + 128) // 257
    return reduced


def darkness(samples: Samples) -> str | None:
    """What makes a picture nearly black, in words; None for others.

    Cameras and microscopes write numbers of 12 bits into 16 as they are: a sixteenth of the range.
    """
    largest, most = int(samples.max()), np.iinfo(samples.dtype).max
    if 16 * largest > most + 16:  # in 8 bits 4,095 is rounded up
        return None
    return f"its largest value is {largest:,} of {most:,}; scale it first, if it is 12 bits in 16"
