"""From picture to picture: cut windows, run the engine on each, keep what is valid, stitch.

The unit is the window; a row of windows gives a band of the prediction, and all bands the whole.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from i2i.engines import Engine, open_engine
from i2i.engines.engine import Outputs
from i2i.engines.halves import run_window
from i2i.image import ImageError, Picture
from i2i.image.hidden import with_colours_carried_on
from i2i.image.picture import Samples
from i2i.model_folder import ModelError, ModelFolder, find_model
from i2i.prediction import Plane, Prediction, join, to_samples
from i2i.resize import bicubic_part
from i2i.spec import OUTPUTS
from i2i.windows import Plan, Window, cut, keep, plan_windows, stitch

__all__ = [
    "Band",
    "Cancelled",
    "DeadlineExceeded",
    "Prediction",
    "Predictor",
    "Sweep",
    "golden_difference",
    "load",
    "to_float",
    "with_channels",
]

# A band is the prediction for some rows of a picture, over its whole width.
Band = Prediction


class DeadlineExceeded(Exception):
    """The deadline passed between two windows."""


class Cancelled(Exception):
    """The caller asked to stop between two windows."""


class Predictor:
    """A model, ready to predict. One thread at a time may call `predict` or go through `bands`."""

    def __init__(self, folder: ModelFolder, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.spec = folder.spec

    def check_precision(self) -> None:
        """Raises ModelError where the export found the engine's precision too coarse."""
        self._tolerance()

    def _tolerance(self) -> float:
        """How far from the golden sample an answer of this engine may be, in [0, 1]."""
        tolerance = self.spec.tolerance.get(self.engine.name, {}).get(self.engine.precision)
        if tolerance is None:
            raise ModelError(
                f"{self.spec.name}: expected a tolerance for {self.engine.name} "
                f"{self.engine.precision}, got none; export again, or use another precision"
            )
        return tolerance

    def plan(self, height: int, width: int) -> Plan:
        """The windows of a picture of this size.

        Raises:
            ImageError: the model takes pictures as a whole, and this one is too large.
        """
        spec = self.spec
        if spec.max_pixels is not None and height * width > spec.max_pixels:
            raise ImageError(
                "too_many_pixels",
                "the model takes a picture as a whole",
                expected=f"at most {spec.max_pixels} pixels",
                got=f"{width} x {height}",
            )
        return plan_windows(
            height,
            width,
            window=spec.window if spec.tiling == "windows" else None,
            margin=spec.margin,
            size_multiple=spec.size_multiple,
        )

    def predict(
        self,
        picture: Picture,
        *,
        plan: Plan | None = None,
        progress: Callable[[int, int], None] | None = None,
        deadline: float | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Prediction:
        """The prediction of a whole picture of any size; arguments and errors as of `bands`.

        Raises:
            TypeError: no Picture.
        """
        _check_picture(picture)
        bands = self.bands(
            picture, plan=plan, progress=progress, deadline=deadline, cancelled=cancelled
        )
        return join(bands, picture)

    def bands(
        self,
        picture: Picture,
        *,
        plan: Plan | None = None,
        progress: Callable[[int, int], None] | None = None,
        deadline: float | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[Band]:
        """The prediction of a picture in horizontal bands, from top to bottom.

        Each is made when it is asked for, so that one is in memory at a time, whatever the
        picture's height; errors are raised then too.

        Args:
            plan: other windows than `self.plan`. With the spec's margin or more the prediction does
                not depend on them; with less, which is not refused, their cuts show.
            progress: called with (windows done, windows in all) after each window.
            deadline: moment of `time.monotonic()` after which no further window is begun.
            cancelled: asked before each window.

        Raises:
            DeadlineExceeded, Cancelled: as asked for, between two windows.
            TypeError, ValueError: no Picture, or a plan for another size or another size_multiple.
            ImageError: the model cannot take a picture of this size.
            ModelError: the graph's output is not of the size that the spec says.
        """
        sweep = Sweep(self, picture, plan)
        windows = sweep.windows_left
        while sweep.windows_left:
            if deadline is not None and time.monotonic() > deadline:
                raise DeadlineExceeded
            if cancelled is not None and cancelled():
                raise Cancelled
            band = sweep.put(run_window(self.engine, self.spec, sweep.cut()))
            if progress is not None:
                progress(windows - sweep.windows_left, windows)
            if band is not None:
                yield band

    def check_golden(self) -> None:
        """Replays the golden sample of the model folder on this engine.

        Raises:
            ModelError: the answer differs by more than the spec's tolerance for engine and
                precision.
        """
        tolerance = self._tolerance()
        picture, expected = self.folder.golden()
        difference = golden_difference(self.predict(picture), expected)
        # Written so that a NaN fails too.
        if not difference <= tolerance:
            raise ModelError(
                f"{self.spec.name}: expected the golden sample within {tolerance:.3g} on "
                f"{self.engine.name} {self.engine.precision}, got {difference:.3g}"
            )


def _check_picture(picture: Picture) -> None:
    if not isinstance(picture, Picture):
        raise TypeError(
            f"picture: expected an i2i.image.Picture, got {type(picture).__name__}; "
            "i2i.read and i2i.decode give one, and so does Picture(array)"
        )


def _check_plan(plan: Plan, size: tuple[int, int], multiple: int) -> None:
    planned = plan.rows.length, plan.columns.length
    if planned != size:
        raise ValueError(f"plan: expected one of {size} pixels, got one of {planned}")
    for axis in (plan.rows, plan.columns):
        # Then the origins are multiples too, and every window meets the strides in one phase.
        if axis.side % multiple or axis.margin % multiple:
            raise ValueError(
                f"plan: expected sides and margins that are multiples of {multiple}, the model's "
                f"size_multiple, got windows of {axis.side} with margins of {axis.margin}"
            )


class Sweep:
    """The way over one picture, window by window: `cut` the next, run an engine on it, `put`.

    For whoever runs windows of several pictures in turns; `Predictor.bands` is the way over one.

    Args:
        plan: other windows than the predictor's.

    Attributes:
        windows_left: those that no outputs were put for.

    Raises:
        TypeError, ValueError: no Picture, or a plan for another size or another size_multiple.
        ImageError: the model cannot take a picture of this size.
    """

    def __init__(self, predictor: Predictor, picture: Picture, plan: Plan | None = None) -> None:
        _check_picture(picture)
        self.predictor, self.picture = predictor, picture
        size = picture.height, picture.width
        self.plan = plan or predictor.plan(*size)
        _check_plan(self.plan, size, predictor.spec.size_multiple)
        self.windows_left = len(self.plan)
        self._pixels = picture.pixels
        if picture.alpha is not None and predictor.spec.kind == "image":
            self._pixels = with_colours_carried_on(picture.pixels, picture.alpha)
        self._windows = iter(self.plan)
        self._window = next(self._windows)
        self._planes: dict[str, Plane] = {}

    @property
    def window_shape(self) -> tuple[int, int]:
        """Height and width of every window, in input pixels."""
        return self.plan.rows.side, self.plan.columns.side

    @property
    def pixels_left(self) -> int:
        """Input pixels of the windows left."""
        height, width = self.window_shape
        return self.windows_left * height * width

    def cut(self) -> NDArray[np.float32]:
        """The next window as the engine takes it, (1, C, H, W) in [0, 1]."""
        pixels = cut(self._pixels, self._window)
        return to_float(with_channels(pixels, self.predictor.spec.input_channels))

    def put(self, outputs: Outputs) -> Band | None:
        """Takes the outputs for the window cut; gives the band that its row of windows completes.

        Raises:
            ModelError: an output is not of the size that the spec says.
        """
        window, scale = self._window, self.predictor.spec.scale
        for name, output in outputs.items():
            values = output[0].transpose(1, 2, 0) if name == "image" else output[0]
            self._check_size(values, window)
            kept = keep(values, window, scale)
            self._stitch(name, self._answer(kept) if name == "image" else kept)
        if self.picture.alpha is not None and self.predictor.spec.kind == "image":
            self._stitch("alpha", self._alpha(self.picture.alpha))
        self.windows_left -= 1
        self._window = next(self._windows, window)
        return self._band(*window.rows) if window.columns[1] == self.picture.width else None

    def _check_size(self, output: Plane, window: Window) -> None:
        scale = self.predictor.spec.scale
        expected = scale * window.height, scale * window.width
        if output.shape[:2] != expected:
            raise ModelError(
                f"{self.predictor.folder.path}: expected {expected[0]} x {expected[1]} values of "
                f"the graph, scale {scale}, got {output.shape[0]} x {output.shape[1]}; export again"
            )

    def _answer(self, values: Plane) -> Samples:
        """The samples of the answer for a window: as deep as the picture's, gray for a gray one."""
        source = self.picture
        samples = to_samples(values.astype(np.float32, copy=False), source.pixels.dtype)
        # A net of one channel that answers in colour is meant to.
        colours = self.predictor.spec.input_channels == 3 and samples.shape[2] == 3
        return _gray(samples) if colours and source.channels == 1 else samples

    def _alpha(self, alpha: Samples) -> Samples:
        """The window's alpha, enlarged as the answer is."""
        (top, bottom), (left, right) = self._window.rows, self._window.columns
        scale = self.predictor.spec.scale
        if scale == 1:
            return alpha[top:bottom, left:right]
        height, width = (scale * side for side in alpha.shape)
        rows, columns = (scale * top, scale * bottom), (scale * left, scale * right)
        return bicubic_part(alpha, height, width, rows, columns)

    def _stitch(self, name: str, kept: Plane) -> None:
        """Puts what a window gave to where its row of windows is put together."""
        scale = self.predictor.spec.scale
        if name not in self._planes:
            shape = len(kept), scale * self.picture.width, *kept.shape[2:]
            self._planes[name] = np.empty(shape, kept.dtype)
        stitch(self._planes[name], kept, self._window, scale, first=self._window.rows[0])

    def _band(self, top: int, bottom: int) -> Band:
        planes, self._planes = self._planes, {}
        spec, whole = self.predictor.spec, self.picture
        pixels, alpha = whole.pixels[top:bottom], whole.alpha
        source = Picture(pixels, None if alpha is None else alpha[top:bottom], whole.profile)
        return Prediction.of(spec, source, planes)


def load(
    model: str | Path,
    *,
    engine: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
) -> Predictor:
    """A predictor of a shipped model's name or a model folder.

    Args:
        engine: openvino or torch; else I2I_ENGINE, else what suits the machine.
        precision: f32 or bf16; else I2I_PRECISION, else f32.
        threads: else I2I_THREADS, else the processors this process may use.

    Raises:
        ModelError: no such model, a damaged folder, an engine that is not installed, or a
            precision that was left out at the export, as the model loses too much by it.
    """
    folder = ModelFolder.open(find_model(model))
    predictor = Predictor(folder, open_engine(folder, engine, precision, threads))
    predictor.check_precision()
    return predictor


def golden_difference(prediction: Prediction, expected: dict[str, Plane]) -> float:
    """Largest difference to the golden outputs, in [0, 1]; infinite where their sizes differ.

    Of labels: of the confidence. Where the labels differ, a class that got the confidence c had at
    most 1 - c' beside the golden class with c', so its probability differs by c + c' - 1 or more:
    nothing where two classes are equally likely, and 1 where the model was sure of either. Of a
    map: as a share of its range from low to high, and may be above 1.
    """
    spec, planes = prediction.spec, prediction.planes
    if any(planes[name].shape != expected[name].shape for name in OUTPUTS[spec.kind]):
        return math.inf
    if spec.kind == "image":
        got = planes["image"].astype(np.int16)
        return float(np.abs(got - expected["image"].astype(np.int16)).max() / 255)
    if spec.kind == "map":
        assert spec.map is not None
        difference = np.abs(planes["map"] - expected["map"].astype(np.float32))
        return float(difference.max() / (spec.map.high - spec.map.low))
    confidence = expected["confidence"].astype(np.float32)
    difference = np.abs(planes["confidence"] - confidence)
    other = planes["labels"] != expected["labels"]
    excess = (planes["confidence"] + confidence - 1)[other]
    return float(max(difference.max(), excess.max(initial=0)))


def to_float(pixels: Samples) -> NDArray[np.float32]:
    """(H, W, C) uint8 or uint16 as a batch (1, C, H, W) in [0, 1]."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    white = np.iinfo(pixels.dtype).max
    values: NDArray[np.float32] = np.multiply(planes, np.float32(1 / white), dtype=np.float32)
    return values[None]


def with_channels(pixels: Samples, channels: int) -> Samples:
    """The picture as the net takes it: gray as three equal channels, colours as brightness."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return _gray(pixels)


def _gray(pixels: Samples) -> Samples:
    """(H, W, 3) as brightness (H, W, 1), BT.601; three equal channels stay what they are."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    brightness: NDArray[np.float32] = pixels @ weights
    return (brightness + np.float32(0.5)).astype(pixels.dtype)[..., None]
