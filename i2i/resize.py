"""Resizing of pixels: the bicubic of the super-resolution papers, and pixelation.

Training makes its low-resolution inputs here and the baselines enlarge with it. Published numbers
hold for this bicubic only: Pillow's and OpenCV's have another kernel or border, or no antialiasing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from i2i.windows import reflect

Pixel = TypeVar("Pixel", bound=np.generic)

# Outputs computed by one matrix product: wide enough for BLAS, narrow enough that the zeros beside
# the band cost little on a large picture (16 to 128 tried, on crops and on 3 megapixels).
_BAND = 32
# Outputs whose weights are made at once and kept for the next picture or strip of that size: those
# of a long side would not fit into memory.
_CHUNK = 32 * _BAND
# A sum that ends in .5 in exact arithmetic may come out 1e-14 beside it, on a side that depends on
# the order of summation (17 values in 10,000 at factor 3/2; none at 2, 3, 4). This lifts it over
# the tie, so that the pixels are those of exact arithmetic on every machine.
_TIE = 1e-9


def bicubic(image: NDArray[Pixel], height: int, width: int) -> NDArray[Pixel]:
    """The image at a new size, as MATLAB's `imresize(image, [height width], "bicubic")`.

    Kernel a = -0.5 (Keys), widened when shrinking (antialiasing), weights normalised, border
    reflected symmetrically, the axis with the smaller scale first. Integers are rounded (half up)
    and clamped after each axis, not only at the end: that gives the published 33.66 / 30.39 / 28.42
    dB (33.673 / 30.403 / 28.429) on Set5 and 29.56 / 27.21 / 25.96 (29.560 / 27.209 / 25.961) on
    B100 at factors 2 / 3 / 4, where one rounding at the end is up to 0.008 dB further away.

    Args:
        image: (H, W) or (H, W, C); unsigned integers or floats.
        height: rows of the result.
        width: columns of the result.

    Returns:
        (height, width) or (height, width, C), of the image's type; floats are not clamped.

    Raises:
        ValueError: the image has another rank or type, is empty, or a side is below 1.
    """
    _check(image)
    if height < 1 or width < 1:
        raise ValueError(f"expected a height and width of at least 1, got {height} x {width}")
    return _resize(image, _axis(image.shape[0], height), _axis(image.shape[1], width))


def bicubic_part(
    image: NDArray[Pixel],
    height: int,
    width: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> NDArray[Pixel]:
    """A part of `bicubic(image, height, width)`, from the input it needs alone.

    Args:
        image, height, width: as of `bicubic`; the image and the size are those of the whole.
        rows, columns: first, and last + 1, of the result.

    Raises:
        ValueError: as `bicubic`, or there is no such part.
    """
    _check(image)
    for name, (start, stop), size in (("rows", rows, height), ("columns", columns, width)):
        if not 0 <= start < stop <= size:
            raise ValueError(f"expected {name} within 0..{size}, got {start}..{stop}")
    # The same products of matrices as for the whole, so that the sums are the same.
    down, above, top, bottom = _part(image.shape[0], height, *rows)
    right, before, first, last = _part(image.shape[1], width, *columns)
    part = _resize(image[top:bottom, first:last], down, right)
    return part[above : above + rows[1] - rows[0], before : before + columns[1] - columns[0]]


def pixelate(image: NDArray[Pixel], block: int) -> NDArray[Pixel]:
    """The image with every block of pixels replaced by its mean (integers rounded half up).

    Blocks start at the top left; those cut by the right and bottom edge are means of what is there.

    Args:
        image: (H, W) or (H, W, C); unsigned integers or floats.
        block: side of a block in pixels, at least 1.

    Raises:
        ValueError: the block is below 1, or the image is refused by `bicubic`.
    """
    _check(image)
    if block < 1:
        raise ValueError(f"expected a block of at least 1 pixel, got {block}")
    means = image.astype(np.float64)
    for axis in (0, 1):
        starts = np.arange(0, image.shape[axis], block)
        counts = np.diff(starts, append=image.shape[axis])
        sums = np.add.reduceat(means, starts, axis=axis)
        column = counts.reshape(-1, *(1,) * (image.ndim - axis - 1))
        means = np.repeat(sums / column, counts, axis=axis)
    return _as_type(means, image.dtype)


class _Band(NamedTuple):
    """Consecutive outputs = matrix @ inputs[start:stop]."""

    start: int
    stop: int
    matrix: NDArray[np.float64]


class _Axis(NamedTuple):
    """How one axis is resized: the outputs are those of all bands, in order."""

    scale: float
    bands: Iterable[_Band]


def _axis(length: int, size: int, start: int = 0, stop: int | None = None) -> _Axis:
    """An axis of `length` inputs; the bands that hold outputs `start` up to `stop` of `size`."""
    return _Axis(size / length, _bands(length, size, start, size if stop is None else stop))


def _part(length: int, size: int, start: int, stop: int) -> tuple[_Axis, int, int, int]:
    """The bands that hold some outputs, as of the inputs they need alone.

    Returns:
        the axis, how many outputs it has before `start`, and where its inputs begin and end.
    """
    scale, bands = _axis(length, size, start, stop)
    bands = list(bands)
    first, last = min(band.start for band in bands), max(band.stop for band in bands)
    moved = [_Band(band.start - first, band.stop - first, band.matrix) for band in bands]
    return _Axis(scale, moved), start % _BAND, first, last


def _bands(length: int, size: int, start: int, stop: int) -> Iterator[_Band]:
    for first in range(start // _CHUNK * _CHUNK, stop, _CHUNK):
        begin, end = max(start - first, 0) // _BAND, -(-(stop - first) // _BAND)
        yield from _chunk(length, size, first)[begin:end]


def _resize(image: NDArray[Pixel], *axes: _Axis) -> NDArray[Pixel]:
    for number in sorted((0, 1), key=lambda number: axes[number].scale):
        lines = np.moveaxis(image, number, 0)
        flat = lines.reshape(lines.shape[0], -1).astype(np.float64, copy=False)
        bands = axes[number].bands
        sums = np.concatenate([band.matrix @ flat[band.start : band.stop] for band in bands])
        resized = _as_type(sums, image.dtype).reshape(-1, *lines.shape[1:])
        image = np.moveaxis(resized, 0, number)
    return np.ascontiguousarray(image)


@lru_cache(maxsize=64)
def _chunk(length: int, size: int, first: int) -> tuple[_Band, ...]:
    """The weights of a chunk of outputs over `length` inputs, zero outside narrow bands."""
    places = np.arange(first, min(first + _CHUNK, size))
    return tuple(_cut_bands(*_taps(length, size / length, places)))


def _taps(
    length: int, scale: float, places: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(places, taps) of the inputs each output is made of, and their weights, which sum to 1."""
    shrink = min(scale, 1.0)
    support = 4 / shrink
    centres = (places + 0.5) / scale - 0.5
    first = np.floor(centres - support / 2).astype(np.intp)
    indices = first[:, None] + np.arange(math.ceil(support) + 2)
    weights = cubic(shrink * (centres[:, None] - indices))
    weights /= weights.sum(axis=1, keepdims=True)
    return reflect(indices, length), weights


def _cut_bands(indices: NDArray[np.intp], weights: NDArray[np.float64]) -> Iterator[_Band]:
    for begin in range(0, len(indices), _BAND):
        inputs, shares = indices[begin : begin + _BAND], weights[begin : begin + _BAND]
        start, stop = int(inputs.min()), int(inputs.max()) + 1
        matrix = np.zeros((len(inputs), stop - start))
        np.add.at(matrix, (np.arange(len(inputs))[:, None], inputs - start), shares)
        yield _Band(start, stop, matrix)


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The kernel of cubic convolution with a = -0.5: Keys, IEEE Trans. ASSP 29(6), 1981."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _as_type(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return values.astype(dtype)
    return np.clip(np.floor(values + (0.5 + _TIE)), 0, np.iinfo(dtype).max).astype(dtype)


def _check(image: NDArray[Any]) -> None:
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"expected a non-empty (H, W) or (H, W, C) image, got {image.shape}")
    # Numbers between, of which wider integers hold more than they can, are of 64 bits.
    if image.dtype.kind != "f" and image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected pixels of uint8, uint16 or floats, got {image.dtype}")
