"""What a model answered for a picture: its values, as pictures to look at, and as a file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from i2i.image import (
    Format,
    ImageError,
    Picture,
    StripWriter,
    check_format,
    encode,
    map_levels,
    open_writer,
    write_bytes,
)
from i2i.image.formats import check_known
from i2i.image.picture import to_8_bit
from i2i.spec import Kind, ModelSpec
from i2i.views import false_colours, overlay

Plane = NDArray[Any]
View = Literal["mask", "overlay", "confidence", "values", "colour"]

# What a prediction of each kind can be shown as. The first is exact, and the default; a picture is
# shown as what it is.
VIEWS: dict[Kind, tuple[View, ...]] = {
    "image": (),
    "labels": ("mask", "overlay", "confidence"),
    "map": ("values", "colour"),
}


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model answered for a picture, or for a band of its rows.

    Attributes:
        source: the picture asked about, or those rows of it.
        picture: kind `image`: the picture of scale x the size, of the source's bit depth.
        labels: kind `labels`: class ids (H, W) uint8.
        confidence: kind `labels`: probability of that class, (H, W) float32 in [0, 1].
        map: kind `map`: a number for every pixel, (H, W) float32, in the unit of `spec.map`.
    """

    spec: ModelSpec
    source: Picture
    picture: Picture | None = None
    labels: NDArray[np.uint8] | None = None
    confidence: NDArray[np.float32] | None = None
    map: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, spec: ModelSpec, source: Picture, planes: dict[str, Plane]) -> Prediction:
        """The prediction that `planes` gives back."""
        picture = None
        if "image" in planes:
            pixels = planes["image"]
            # A profile is one of gray or of colours.
            profile = source.profile if pixels.shape[2] == source.channels else None
            picture = Picture(pixels, planes.get("alpha"), profile)
        others = {name: planes.get(name) for name in ("labels", "confidence", "map")}
        return cls(spec, source, picture, **others)

    @property
    def planes(self) -> dict[str, Plane]:
        """Its arrays (H, W, ...) by the names of the graph's outputs, and `alpha`."""
        planes: dict[str, Plane | None] = {
            "image": None if self.picture is None else self.picture.pixels,
            "alpha": None if self.picture is None else self.picture.alpha,
            "labels": self.labels,
            "confidence": self.confidence,
            "map": self.map,
        }
        return {name: plane for name, plane in planes.items() if plane is not None}

    def encode(self, format: Format = "png", view: View | None = None) -> bytes:
        """The prediction as a file.

        Args:
            view: one of `VIEWS` of its kind, or None for the first. Of labels: `mask`, the class
                ids with their palette; `overlay`, the picture under the colours of its classes;
                `confidence` in gray. Of a map: `values`, in TIFF as they are, in PNG 16 bits from
                `spec.map.low` to `high`; or `colour`.

        Raises:
            ImageError: the format cannot hold it.
            ValueError: its kind has no such view.
        """
        source = self.source
        check_file(self.spec, format, view, source.height, source.width, source.depth)
        if format == "jpeg" or format == "webp":
            return encode(self._shown(view), format)
        buffer = io.BytesIO()
        write_bands(buffer, format, [self], source, view)
        return buffer.getvalue()

    def _shown(self, view: View | None) -> Picture:
        """The picture, or a view of labels or of a map that is one."""
        if self.picture is not None:
            return self.picture
        if self.map is not None:
            assert self.spec.map is not None
            return Picture(false_colours(self.map, self.spec.map.low, self.spec.map.high))
        assert self.labels is not None
        assert self.confidence is not None
        if view == "confidence":
            return Picture(to_samples(self.confidence, np.uint8)[..., None])
        colours = [entry.colour for entry in self.spec.classes]
        return Picture(overlay(to_8_bit(self.source.pixels), self.labels, colours))

    def _samples(self, format: Format, view: View | None) -> Plane:
        """What a PNG or TIFF file of this view holds, (H, W, C)."""
        if view == "mask":
            assert self.labels is not None
            return self.labels[..., None]
        if view == "values":
            assert self.map is not None
            assert self.spec.map is not None
            values, limits = self.map[..., None], self.spec.map
            return values if format == "tiff" else map_levels(values, limits.low, limits.high)
        shown = self._shown(view)
        if shown.alpha is None:
            return shown.pixels
        return np.dstack((shown.pixels, shown.alpha))


def check_file(
    spec: ModelSpec,
    format: Format,
    view: View | None,
    height: int,
    width: int,
    depth: Literal[8, 16] = 8,
) -> None:
    """Refuses a file that cannot hold what the model will answer, before it is asked.

    Args:
        height, width, depth: of the picture that the model is asked about.

    Raises:
        ImageError: format_cannot_hold.
        ValueError: the kind has no such view, or there is no such format.
    """
    view = _chosen(spec, view)
    check_known(format)
    if view in ("mask", "values") and format not in ("png", "tiff"):
        what = "labels" if view == "mask" else "a map"
        others = " or ".join(VIEWS[spec.kind][1:])
        raise ImageError(
            "format_cannot_hold",
            f"{format} would blur {what}; choose another format, or the view {others}",
            "png or tiff",
            format,
        )
    bits = {None: depth, "values": 32 if format == "tiff" else 16}.get(view, 8)
    check_format(format, spec.scale * height, spec.scale * width, bits)


class BandWriter:
    """Writes the bands of a prediction as one file: PNG and TIFF in constant memory.

    JPEG and WebP are encoded as a whole at the end. In a `with` block the file is completed at its
    end; after an exception nothing is left at a path.

    Args:
        target: a path, where the file appears when it is complete and not before; or an open file.
        source: the whole picture asked about.
        view: as in `Prediction.encode`.
    """

    def __init__(
        self,
        target: str | Path | BinaryIO,
        format: Format,
        source: Picture,
        view: View | None = None,
    ) -> None:
        self._target, self._format, self._source, self._view = target, format, source, view
        self._writer: StripWriter | None = None
        self._kept: list[Prediction] = []
        self._closed = False

    def write(self, band: Prediction) -> None:
        """Adds a band below those written.

        Raises:
            ImageError, ValueError: as `Prediction.encode`.
            OSError: the file cannot be written.
        """
        if self._format == "jpeg" or self._format == "webp":
            self._kept.append(band)
            return
        view = _chosen(band.spec, self._view)
        samples = band._samples(self._format, view)
        if self._writer is None:
            spec, source = band.spec, self._source
            self._writer = open_writer(
                self._target,
                self._format,
                spec.scale * source.height,
                spec.scale * source.width,
                samples.shape[2],
                samples.dtype,
                profile=band.picture.profile if band.picture else None,
                palette=[c.colour for c in spec.classes] if view == "mask" else None,
            )
        self._writer.write(samples)

    def close(self) -> None:
        """Completes the file; a second call does nothing.

        Raises:
            ImageError, OSError: as `write`; nothing is left at a path.
            ValueError: as `write`, or bands are missing; likewise.
        """
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        else:
            data = join(_emptied(self._kept), self._source).encode(self._format, self._view)
            if isinstance(self._target, str | Path):
                write_bytes(self._target, data)
            else:
                self._target.write(data)

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
        elif self._writer is not None:
            self._writer.__exit__(kind, error, trace)


def write_bands(
    target: str | Path | BinaryIO,
    format: Format,
    bands: Iterable[Prediction],
    source: Picture,
    view: View | None = None,
) -> None:
    """Writes the bands of a prediction, from top to bottom, as one file; see `BandWriter`."""
    with BandWriter(target, format, source, view) as writer:
        for band in bands:
            writer.write(band)


def _emptied(bands: list[Prediction]) -> Iterator[Prediction]:
    """The bands, each of which is let go before the next."""
    bands.reverse()
    while bands:
        yield bands.pop()


def join(bands: Iterable[Prediction], source: Picture) -> Prediction:
    """The prediction for a whole picture from its bands, top to bottom, at least one.

    Raises:
        ValueError: bands are missing.
    """
    planes: dict[str, Plane] = {}
    top, expected = 0, source.height
    for band in bands:
        spec, rows = band.spec, 0
        expected = spec.scale * source.height
        for name, part in band.planes.items():
            if name not in planes:
                shape = spec.scale * source.height, *part.shape[1:]
                planes[name] = np.empty(shape, part.dtype)
            rows = len(part)
            planes[name][top : top + rows] = part
        top += rows
    if top != expected:
        raise ValueError(f"rows: expected {expected}, got {top}")
    return Prediction.of(spec, source, planes)


def to_samples(values: NDArray[np.float32], dtype: DTypeLike) -> NDArray[Any]:
    """Values in [0, 1] as samples of uint8 or uint16: floor(255 · x + 0.5), or 65535 · x."""
    white = np.float32(np.iinfo(np.dtype(dtype)).max)
    return (values * white + np.float32(0.5)).astype(dtype)


def _chosen(spec: ModelSpec, view: View | None) -> View | None:
    """The view asked for, or the first of the kind; ValueError where it has no such view."""
    views = VIEWS[spec.kind]
    if view is None:
        return views[0] if views else None
    if view not in views:
        gives = f"none, for {spec.name} gives a picture"
        expected = f"{' or '.join(views)} of {spec.name}" if views else gives
        raise ValueError(f"view: expected {expected}, got {view}")
    return view
