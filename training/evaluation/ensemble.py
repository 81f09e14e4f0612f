"""Answers averaged over flips and turns of the picture: better scores, at as many times the cost.

Lim et al., arXiv 1707.02921, "geometric self-ensemble".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from i2i.image import Picture
from i2i.prediction import Prediction
from i2i.predictor import Predictor

Ensemble = Literal["none", "8 flips and turns", "mirrored"]
Array = NDArray[Any]

# Quarter turns, and whether the picture is mirrored after them.
_WAYS: dict[Ensemble, list[tuple[int, bool]]] = {
    "none": [(0, False)],
    "8 flips and turns": [(turns, mirrored) for turns in range(4) for mirrored in (False, True)],
    "mirrored": [(0, False), (0, True)],
}

# How often the model runs for an answer.
PASSES = {ensemble: len(ways) for ensemble, ways in _WAYS.items()}


def averaged(predictor: Predictor, ensemble: Ensemble) -> Callable[[Picture], Prediction]:
    """What predicts a picture (without alpha) as the mean over the ensemble's ways.

    Pictures are averaged before they are rounded: each is predicted in 16 bit.

    Raises:
        ValueError: of `mirrored`, the model gives no labels of two classes. Of `8 flips and turns`,
            it gives labels.
    """
    spec = predictor.spec
    if ensemble == "none":
        return predictor.predict
    if ensemble == "8 flips and turns" and spec.kind == "labels":
        raise ValueError(
            f"--self-ensemble: expected a model of pictures or maps, got {spec.name}, which gives "
            "labels; use --tta flip"
        )
    if ensemble == "mirrored" and (spec.kind != "labels" or len(spec.classes) != 2):
        got = f"{len(spec.classes)} classes" if spec.kind == "labels" else f"kind {spec.kind}"
        raise ValueError(
            "--tta: expected labels of two classes: a model answers with a label and its "
            f"probability, which tell the other's only then; got {got} of {spec.name}"
        )

    def predict(picture: Picture) -> Prediction:
        total: Any = 0.0
        for turns, mirrored in _WAYS[ensemble]:
            turned = _turn(_in_16_bit(picture.pixels), turns, mirrored)
            values = _values(predictor.predict(Picture(np.ascontiguousarray(turned))))
            total = total + _turn_back(values, turns, mirrored)
        mean = total / len(_WAYS[ensemble])
        return Prediction.of(spec, picture, _planes(mean, spec.kind, picture.pixels.dtype))

    return predict


def _in_16_bit(pixels: Array) -> Array:
    # 255 · 257 = 65535: the same values in [0, 1].
    return pixels.astype(np.uint16) * 257 if pixels.dtype == np.uint8 else pixels


def _turn(values: Array, turns: int, mirrored: bool) -> Array:
    turned = np.rot90(values, turns)
    return turned[:, ::-1] if mirrored else turned


def _turn_back(values: Array, turns: int, mirrored: bool) -> Array:
    return np.rot90(values[:, ::-1] if mirrored else values, -turns)


def _values(prediction: Prediction) -> NDArray[np.float64]:
    """What is averaged: samples of 16 bit, a map, or the probability of the second class."""
    if prediction.picture is not None:
        return prediction.picture.pixels.astype(np.float64)
    if prediction.map is not None:
        return prediction.map.astype(np.float64)
    assert prediction.confidence is not None
    sure = prediction.confidence.astype(np.float64)
    return np.where(prediction.labels == 1, sure, 1 - sure)


def _planes(mean: NDArray[np.float64], kind: str, dtype: np.dtype[Any]) -> dict[str, Array]:
    if kind == "image":
        levels = mean / 257 if dtype == np.uint8 else mean
        return {"image": np.floor(levels + 0.5).astype(dtype)}
    if kind == "map":
        return {"map": mean.astype(np.float32)}
    labels = (mean > 0.5).astype(np.uint8)
    return {"labels": labels, "confidence": np.maximum(mean, 1 - mean).astype(np.float32)}
