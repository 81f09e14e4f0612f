"""The samples of a picture as its file stores them, strip by strip.

Strips bound the memory of what is done with the samples, and other threads run in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

STRIP_PIXELS = 1 << 20

Space = Literal["GRAY", "RGB", "CMYK"]
CHANNELS: dict[Space, int] = {"GRAY": 1, "RGB": 3, "CMYK": 4}


def row_strips(height: int, width: int) -> Iterator[slice]:
    """The rows of a picture from top to bottom, as many at a time as STRIP_PIXELS allow."""
    rows = max(1, STRIP_PIXELS // max(1, width))
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


@dataclass(frozen=True)
class Stored:
    """A picture before orientation and profile are applied.

    Attributes:
        strips: gives strips (rows, W, channels of the space, and alpha if there is one), from top
            to bottom.
    """

    height: int
    width: int
    space: Space
    strips: Callable[[], Iterator[NDArray[Any]]]
