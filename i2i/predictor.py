"""From picture to picture: cut windows, run the engine on each, keep what is valid, stitch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from i2i.engines import Engine, open_engine
from i2i.image import Format, ImageError, Picture, encode, encode_labels
from i2i.model_folder import ModelError, ModelFolder, find_model
from i2i.resize import bicubic
from i2i.spec import ModelSpec
from i2i.views import overlay
from i2i.windows import Plan, Window, cut, keep, plan_windows, stitch

Canvas = NDArray[np.generic]
View = Literal["mask", "overlay", "confidence"]


class DeadlineExceeded(Exception):
    """The deadline passed between two windows."""


class Cancelled(Exception):
    """The caller asked to stop between two windows."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model answered for a picture.

    Attributes:
        source: the picture asked about.
        picture: kind `image`: the picture of scale x the size.
        labels: kind `labels`: class ids (H, W) uint8.
        confidence: kind `labels`: probability of that class, (H, W) float32 in [0, 1].
        map: kind `map`: numbers in the unit of the spec, (H, W) float32.
        run_s: seconds spent in the engine.
    """

    spec: ModelSpec
    source: Picture
    picture: Picture | None = None
    labels: NDArray[np.uint8] | None = None
    confidence: NDArray[np.float32] | None = None
    map: NDArray[np.float32] | None = None
    run_s: float = 0.0

    def encode(self, format: Format = "png", view: View = "mask") -> bytes:
        """The prediction as a file.

        Args:
            view: of labels: the class ids with their palette, the picture under the colours of its
                classes, or the confidence in gray. A picture has one view.

        Raises:
            ImageError: the format cannot hold it.
        """
        if self.picture is not None:
            return encode(self.picture, format)
        assert self.labels is not None
        assert self.confidence is not None
        colours = [c.colour for c in self.spec.classes]
        if view == "mask":
            return encode_labels(self.labels, colours, format)
        if view == "overlay":
            return encode(Picture(overlay(self.source.pixels, self.labels, colours), None), format)
        return encode(Picture(to_8_bit(self.confidence)[..., None], None), format)


class Predictor:
    """A model, ready to predict. One thread at a time may call `predict`."""

    def __init__(self, folder: ModelFolder, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.spec = folder.spec

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
        """The prediction of a whole picture of any size.

        Args:
            plan: other windows than `self.plan`; the prediction does not depend on them.
            progress: called with (windows done, windows in all) after each window.
            deadline: moment of `time.monotonic()` after which no further window is begun.
            cancelled: asked before each window.

        Raises:
            DeadlineExceeded, Cancelled: as asked for, between two windows.
            ImageError: the model cannot take a picture of this size.
            ModelError: the graph's output is not of the size that the spec says.
        """
        plan = plan or self.plan(picture.height, picture.width)
        pixels = _with_channels(picture.pixels, self.spec.input_channels)
        canvases: dict[str, Canvas] = {}
        run_s = 0.0
        for done, window in enumerate(plan, start=1):
            if deadline is not None and time.monotonic() > deadline:
                raise DeadlineExceeded
            if cancelled is not None and cancelled():
                raise Cancelled
            batch = to_float(cut(pixels, window))
            started = time.perf_counter()
            outputs = self.engine.run(batch)
            run_s += time.perf_counter() - started
            for name, output in outputs.items():
                values = _to_pixels(output[0])
                self._check_size(values, window)
                kept = keep(values, window, self.spec.scale)
                stitch(self._canvas(canvases, name, kept, picture), kept, window, self.spec.scale)
            if progress is not None:
                progress(done, len(plan))
        return self._prediction(picture, canvases, run_s)

    def check_golden(self) -> None:
        """Replays the golden sample of the model folder on this engine.

        Raises:
            ModelError: the answer differs by more than the spec's tolerance for engine and
                precision.
        """
        tolerance = self.spec.tolerance.get(self.engine.name, {}).get(self.engine.precision)
        if tolerance is None:
            raise ModelError(
                f"{self.spec.name}: expected a tolerance for {self.engine.name} "
                f"{self.engine.precision}, got none; export again, or use another precision"
            )
        picture, expected = self.folder.golden()
        difference = golden_difference(self.predict(picture), expected)
        # Written so that a NaN fails too.
        if not difference <= tolerance:
            raise ModelError(
                f"{self.spec.name}: expected the golden sample within {tolerance:.3g} on "
                f"{self.engine.name} {self.engine.precision}, got {difference:.3g}"
            )

    def _check_size(self, output: Canvas, window: Window) -> None:
        expected = self.spec.scale * window.height, self.spec.scale * window.width
        if output.shape[:2] != expected:
            raise ModelError(
                f"{self.folder.path}: expected {expected[0]} x {expected[1]} values of the graph, "
                f"scale {self.spec.scale}, got {output.shape[0]} x {output.shape[1]}; export again"
            )

    def _canvas(
        self, canvases: dict[str, Canvas], name: str, kept: Canvas, picture: Picture
    ) -> Canvas:
        if name not in canvases:
            size = self.spec.scale * picture.height, self.spec.scale * picture.width
            canvases[name] = np.empty((*size, *kept.shape[2:]), kept.dtype)
        return canvases[name]

    def _prediction(
        self, picture: Picture, canvases: dict[str, Canvas], run_s: float
    ) -> Prediction:
        if self.spec.kind == "image":
            pixels = canvases["image"].view(np.uint8)
            # A net of one channel that answers in colour is meant to.
            if picture.channels == 1 and pixels.shape[2] == 3 and self.spec.input_channels == 3:
                pixels = _gray(pixels)
            enlarged = Picture(pixels, _enlarge(picture.alpha, self.spec.scale))
            return Prediction(self.spec, picture, picture=enlarged, run_s=run_s)
        if self.spec.kind == "map":
            return Prediction(self.spec, picture, map=canvases["map"].view(np.float32), run_s=run_s)
        return Prediction(
            self.spec,
            picture,
            labels=canvases["labels"].view(np.uint8),
            confidence=canvases["confidence"].view(np.float32),
            run_s=run_s,
        )


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
        ModelError: no such model, a damaged folder, or an engine that is not installed.
    """
    folder = ModelFolder.open(find_model(model))
    return Predictor(folder, open_engine(folder, engine, precision, threads))


def golden_difference(prediction: Prediction, expected: dict[str, Canvas]) -> float:
    """Largest difference to the golden outputs, in [0, 1]; infinite where their sizes differ.

    Of maps: as a share of low to high.
    Of labels: of the confidence. Where the labels differ, a class that got the confidence c had at
    most 1 - c' beside the golden class with c', so its probability differs by c + c' - 1 or more:
    nothing where two classes are equally likely, and 1 where the model was sure of either.
    """
    if prediction.picture is not None:
        got = prediction.picture.pixels.astype(np.int16)
        if got.shape != expected["image"].shape:
            return math.inf
        return float(np.abs(got - expected["image"].astype(np.int16)).max() / 255)
    if prediction.map is not None:
        info = prediction.spec.map
        assert info is not None
        if prediction.map.shape != expected["map"].shape:
            return math.inf
        return float(np.abs(prediction.map - expected["map"]).max() / (info.high - info.low))
    assert prediction.labels is not None
    assert prediction.confidence is not None
    if not prediction.labels.shape == expected["labels"].shape == expected["confidence"].shape:
        return math.inf
    confidence = expected["confidence"].astype(np.float32)
    difference = np.abs(prediction.confidence - confidence)
    other = prediction.labels != expected["labels"]
    excess = (prediction.confidence + confidence - 1)[other]
    return float(max(difference.max(), excess.max(initial=0)))


def to_float(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, C) in 0..255 as a batch (1, C, H, W) in [0, 1]."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return np.multiply(planes, np.float32(1 / 255), dtype=np.float32)[None]


def to_8_bit(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values in [0, 1] as floor(255 · x + 0.5)."""
    return (values * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _to_pixels(output: Canvas) -> Canvas:
    """An output of the graph without its batch axis: pictures (C, H, W) as 8-bit (H, W, C)."""
    if output.ndim == 2:
        return output
    return to_8_bit(output.transpose(1, 2, 0).astype(np.float32, copy=False))


def _with_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """The picture as the net takes it: gray as three equal channels, colours as brightness."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return _gray(pixels)


def _gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) as brightness (H, W, 1), BT.601; three equal channels stay what they are."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    brightness: NDArray[np.float32] = pixels @ weights
    return (brightness + np.float32(0.5)).astype(np.uint8)[..., None]


def _enlarge(alpha: NDArray[np.uint8] | None, scale: int) -> NDArray[np.uint8] | None:
    if alpha is None or scale == 1:
        return alpha
    return bicubic(alpha, scale * alpha.shape[0], scale * alpha.shape[1])
