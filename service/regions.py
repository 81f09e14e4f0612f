"""Labels as regions in JSON: polygons along the edges of pixels, or run lengths.

The boundary between pixels of two classes turns at corners, of which each belongs to one of the
pixels around it; all else follows from them. Region on the right: a boundary that leaves a corner
ends at the next one on its line that it can arrive at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from i2i.image import ImageError
from i2i.prediction import Prediction
from i2i.spec import ModelSpec

Regions = Literal["polygons", "rle"]
REGIONS: tuple[Regions, ...] = get_args(Regions)

# Corners, or runs, of one answer: of a chequerboard 6 MB of JSON, and 60 MB and a second of the
# processor to make it. A mask holds more in less.
MOST_PARTS = 250_000

# Rows looked at together for corners, so that memory does not grow with the picture.
_STRIP = 256

Labels = NDArray[np.uint8]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Region:
    """Pixels of one class that are connected by their edges.

    Attributes:
        label: the class.
        area: how many pixels.
        rings: corners (N, 2) of its boundary as (x, y), from the picture's upper left: the outer
            ring clockwise as seen, then its holes the other way round. The last corner is joined
            to the first. A ring may touch itself or another at a corner.
    """

    label: int
    area: int
    rings: list[Numbers]


def polygons(labels: Labels, most: int = MOST_PARTS) -> Iterator[Region]:
    """The regions of all classes of (H, W), by their uppermost, then leftmost corner.

    Raises:
        ImageError: format_cannot_hold: they have more than `most` corners.
    """
    y, x, label, arriving, leaving = _corners(labels, most)
    following = np.empty(len(y), np.int64)
    rows, columns = np.lexsort((x, y)), np.lexsort((y, x))
    for direction, order in enumerate((rows, columns, rows, columns)):
        starts, ends = order[leaving[order] == direction], order[arriving[order] == direction]
        following[starts] = ends
        if direction == _UP:
            left_sides = ends
    sequence, begins = _rings(following)
    ring_of = np.empty(len(y), np.int64)
    ring_of[sequence] = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(sequence)))

    after = following[sequence]
    twice = x[sequence] * y[after] - x[after] * y[sequence]
    areas = np.add.reduceat(twice, begins) // 2

    # The run of pixels left of a hole begins at another ring of the same region, further left.
    holes = np.flatnonzero(areas < 0)
    first = sequence[begins[holes]]
    tops = x[left_sides] * (labels.shape[0] + 1) + y[left_sides]
    sought = _run_starts(labels, y[first], x[first] - 1) * (labels.shape[0] + 1) + y[first]
    outer = np.arange(len(begins))
    outer[holes] = ring_of[left_sides[np.searchsorted(tops, sought, "right") - 1]]
    while np.any(areas[outer] < 0):
        outer = outer[outer]

    corners = np.stack((x[sequence], y[sequence]), axis=1)
    rings = np.split(corners, begins[1:])
    by_region = np.lexsort((areas < 0, outer))
    for members in np.split(by_region, np.flatnonzero(np.diff(outer[by_region])) + 1):
        here = sequence[begins[members[0]]]
        yield Region(int(label[here]), int(areas[members].sum()), [rings[i] for i in members])


def run_lengths(labels: Labels, classes: int, most: int = MOST_PARTS) -> Iterator[list[int]]:
    """For each class the lengths of runs down the columns of (H, W): without it, with it, ...

    These are the uncompressed counts of COCO's annotations.

    Raises:
        ImageError: format_cannot_hold: there are more than `most` runs.
    """
    flat = labels.T.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] ^ 1))
    if len(starts) > most:
        raise _too_many("runs", most, len(starts))
    values = flat[starts]
    for label in range(classes):
        has = np.concatenate(([False], values == label, [False]))
        changes = np.flatnonzero(has[1:] != has[:-1])
        edges = np.append(starts, flat.size)[changes]
        counts = np.diff(edges, prepend=0).tolist()
        yield (
            counts if edges.size and edges[-1] == flat.size else [*counts, flat.size - sum(counts)]
        )


class RegionsWriter:
    """Takes the bands of a prediction of labels and writes its regions as JSON at the end.

    Args:
        target: an open file.
    """

    def __init__(self, target: BinaryIO, regions: Regions) -> None:
        self._target, self._regions = target, regions
        self._spec: ModelSpec | None = None
        self._bands: list[Labels] = []

    def write(self, band: Prediction) -> None:
        """Adds a band below those written."""
        assert band.labels is not None
        self._spec = band.spec
        self._bands.append(band.labels)

    def close(self) -> None:
        """Writes, once.

        Raises:
            ImageError: format_cannot_hold: the regions have too many corners or runs.
        """
        if self._spec is None or not self._bands:
            return
        labels = np.concatenate(self._bands)
        self._bands.clear()
        names = [entry.name for entry in self._spec.classes]
        parts = _polygons(labels, names) if self._regions == "polygons" else _runs(labels, names)
        head = {
            "model": self._spec.address,
            "height": labels.shape[0],
            "width": labels.shape[1],
            "type": self._regions,
        }
        # Part by part: as a whole it would stop the other threads for a second.
        self._target.write(json.dumps(head)[:-1].encode() + b', "regions": [')
        for i, part in enumerate(parts):
            self._target.write((",\n" if i else "\n").encode() + json.dumps(part).encode())
        self._target.write(b"\n]}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()


def _polygons(labels: Labels, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for region in polygons(labels):
        yield {
            "class": region.label,
            "name": names[region.label],
            "area": region.area,
            "rings": [ring.tolist() for ring in region.rings],
        }


def _runs(labels: Labels, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for label, counts in enumerate(run_lengths(labels, len(names))):
        yield {
            "class": label,
            "name": names[label],
            "area": sum(counts[1::2]),
            "size": list(labels.shape),
            "counts": counts,
        }


_UP = 3  # directions: right, down, left, up


def _corners(labels: Labels, most: int) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    """Every corner, row by row: y, x, label, and in which directions the boundary comes and goes.

    Of the four pixels around a point one has a corner there when its class is not that of the two
    beside it (it juts out), or that of both and not of the one across (it is jutted into).
    """
    found, count = [], 0
    for top in range(0, len(labels) + 1, _STRIP):
        # A row above and below, and beyond the picture a class that there is not.
        bottom = min(top + _STRIP, len(labels) + 1)
        strip = np.full((bottom - top + 1, labels.shape[1] + 2), -1, np.int16)
        inside = labels[max(top - 1, 0) : bottom]
        begin = 1 if top == 0 else 0
        strip[begin : begin + len(inside), 1:-1] = inside
        clockwise = strip[:-1, :-1], strip[:-1, 1:], strip[1:, 1:], strip[1:, :-1]
        for i, own in enumerate(clockwise):
            right, across, left = (clockwise[(i + turn) % 4] for turn in (1, 2, 3))
            like_right, like_left, there = own == right, own == left, own >= 0
            out = there & ~like_right & ~like_left
            into = there & like_right & like_left & (own != across)
            for corner, arriving, leaving in ((out, i + 1, i + 2), (into, i + 2, i + 1)):
                y, x = np.nonzero(corner)
                count += len(y)
                if count > most:
                    raise _too_many("corners", most, count)
                directions = np.full(len(y), arriving % 4), np.full(len(y), leaving % 4)
                found.append(np.stack((y + top, x, own[y, x].astype(np.int64), *directions)))
    y, x, label, arriving, leaving = np.concatenate(found, axis=1)
    order = np.lexsort((x, y))
    return y[order], x[order], label[order], arriving[order], leaving[order]


def _rings(following: Numbers) -> tuple[Numbers, Numbers]:
    """The cycles of a permutation, one after another, each from its least; and their begins."""
    to = following.tolist()
    seen = bytearray(len(to))
    sequence: list[int] = []
    begins: list[int] = []
    for first in range(len(to)):
        if seen[first]:
            continue
        begins.append(len(sequence))
        at = first
        while not seen[at]:
            seen[at] = True
            sequence.append(at)
            at = to[at]
    return np.array(sequence), np.array(begins)


def _run_starts(labels: Labels, rows: Numbers, columns: Numbers) -> Numbers:
    """The first column of the run of equal pixels in its row that holds each of these pixels.

    Args:
        rows: in ascending order.
    """
    starts = np.empty(len(rows), np.int64)
    each, begins = np.unique(rows, return_index=True)
    for row, here in zip(each, np.split(np.arange(len(rows)), begins[1:]), strict=False):
        changes = np.flatnonzero(np.diff(labels[row], prepend=labels[row, 0] ^ 1))
        starts[here] = changes[np.searchsorted(changes, columns[here], "right") - 1]
    return starts


def _too_many(what: str, most: int, got: int) -> ImageError:
    return ImageError(
        "format_cannot_hold",
        f"the regions have too many {what}; ask for the mask, which holds them all",
        f"at most {most:,} {what}",
        f"{got:,}" if what == "runs" else f"{got:,} or more",
    )
