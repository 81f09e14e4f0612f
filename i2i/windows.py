"""The law of prediction: a picture as an endless plane, windows cut from it, what is kept of them.

A picture stands for a plane, extended on all sides by symmetric reflection. A net's output is valid
at least `margin` pixels away from a window's cuts, and only that is kept; therefore the prediction
does not depend on the plan of windows. Origins are multiples of the net's `size_multiple`, so every
window meets the net's strides in the same phase.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

SMALLEST_SIDE = 64


@dataclass(frozen=True)
class Axis:
    """Windows along one axis, in input pixels.

    Window i has its origin at `i * step - margin` in the plane and its outputs are kept from
    `i * step` up to `(i + 1) * step`, or to the picture's end.
    """

    length: int
    side: int
    margin: int

    @property
    def step(self) -> int:
        return self.side - 2 * self.margin

    def __len__(self) -> int:
        return -(-self.length // self.step)

    def origin(self, index: int) -> int:
        return index * self.step - self.margin

    def kept(self, index: int) -> tuple[int, int]:
        """First and last + 1 of the pixels kept from window `index`, in the picture."""
        return index * self.step, min((index + 1) * self.step, self.length)


@dataclass(frozen=True)
class Window:
    """One window: (top, left) in the plane, its sides, and the part of the picture it gives."""

    top: int
    left: int
    height: int
    width: int
    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """All windows of a picture, rows first; every window of a plan has the same shape."""

    rows: Axis
    columns: Axis

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Window]:
        for i in range(len(self.rows)):
            for j in range(len(self.columns)):
                yield Window(
                    self.rows.origin(i),
                    self.columns.origin(j),
                    self.rows.side,
                    self.columns.side,
                    self.rows.kept(i),
                    self.columns.kept(j),
                )


def plan_windows(
    height: int, width: int, *, window: int | None, margin: int, size_multiple: int
) -> Plan:
    """The windows of a picture of (height, width): a function of these numbers only.

    Args:
        window: largest side of a window; None cuts the picture as a whole.
        margin: pixels from a window's cuts to its first valid output; a multiple of
            `size_multiple`.
        size_multiple: sides and origins are multiples of this.

    Raises:
        ValueError: the picture is empty, or the window leaves nothing after its margins.
    """
    if height < 1 or width < 1:
        raise ValueError(f"expected a picture of at least 1 x 1, got {height} x {width}")
    if margin % size_multiple:
        raise ValueError(f"margin: expected a multiple of {size_multiple}, got {margin}")
    if window is not None and window // size_multiple * size_multiple <= 2 * margin:
        raise ValueError(f"window: expected more than twice the margin {margin}, got {window}")
    return Plan(
        _plan_axis(height, window, margin, size_multiple),
        _plan_axis(width, window, margin, size_multiple),
    )


def _plan_axis(length: int, window: int | None, margin: int, multiple: int) -> Axis:
    """As few windows as the largest side allows, then the smallest side that covers as much."""
    whole = _round_up(length, multiple) + 2 * margin
    if window is None:
        return Axis(length, whole, margin)
    largest = window // multiple * multiple
    count = -(-length // (largest - 2 * margin))
    needed = _round_up(-(-length // count), multiple) + 2 * margin
    return Axis(length, min(_bucket(needed, multiple), largest), margin)


def _bucket(needed: int, multiple: int) -> int:
    """The smallest bucket side that holds `needed` pixels.

    Four sides an octave (64, 80, 96, 112, 128, 160, …): at most a quarter of a window is spare, and
    an engine sees few shapes, for each of which it keeps a compiled kernel.
    """
    octave = SMALLEST_SIDE
    while True:
        for quarters in range(4, 8):
            side = _round_up(octave * quarters // 4, multiple)
            if side >= needed:
                return side
        octave *= 2


def cut(pixels: NDArray[Pixel], window: Window) -> NDArray[Pixel]:
    """The window's (height, width, C) part of the plane around `pixels` (H, W, C)."""
    rows = reflect(np.arange(window.top, window.top + window.height), pixels.shape[0])
    columns = reflect(np.arange(window.left, window.left + window.width), pixels.shape[1])
    # Rows first: a gather of rows is a few large copies, if they are not those of a wide picture.
    left, right = columns.min(), columns.max() + 1
    cut_pixels: NDArray[Pixel] = pixels[rows, left:right].take(columns - left, axis=1)
    return cut_pixels


def keep(output: NDArray[np.generic], window: Window, scale: int) -> NDArray[np.generic]:
    """The valid part of a window's (height · scale, width · scale, …) output, as a view."""
    top, left = window.rows[0] - window.top, window.columns[0] - window.left
    bottom = top + window.rows[1] - window.rows[0]
    right = left + window.columns[1] - window.columns[0]
    return output[scale * top : scale * bottom, scale * left : scale * right]


def stitch(
    canvas: NDArray[np.generic],
    kept: NDArray[np.generic],
    window: Window,
    scale: int,
    first: int = 0,
) -> None:
    """Writes what was kept of a window to its place in the output picture.

    Args:
        first: the input row where the canvas begins, for a canvas of some rows only.
    """
    (top, bottom), (left, right) = window.rows, window.columns
    rows = slice(scale * (top - first), scale * (bottom - first))
    canvas[rows, scale * left : scale * right] = kept


def reflect(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Where in 0..length-1 each index of the plane lies: … 1 0 | 0 1 … n-1 | n-1 n-2 …"""
    period = index % (2 * length)
    return np.minimum(period, 2 * length - 1 - period)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
