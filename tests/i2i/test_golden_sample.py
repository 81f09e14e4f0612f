from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from i2i.image import Picture
from i2i.model_folder import SPEC, WEIGHTS, ModelError, ModelFolder, digest_of
from i2i.predictor import Prediction, Predictor, golden_difference, load
from i2i.spec import ClassInfo, ModelSpec

Noise = Callable[..., NDArray[np.uint8]]


@pytest.mark.parametrize("model", ["tiny_x2", "tiny_labels", "tiny_map"])
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_the_golden_sample_is_repeated(
    request: pytest.FixtureRequest, model: str, engine: str
) -> None:
    load(request.getfixturevalue(model), engine=engine, precision="f32", threads=1).check_golden()


def altered(folder: Path, place: Path, change: Callable[[dict[str, NDArray[Any]]], None]) -> Path:
    """A copy of the model folder with other weights, and a digest that says so."""
    copy = Path(shutil.copytree(folder, place / folder.name))
    weights = safetensors.numpy.load_file(copy / WEIGHTS)
    change(weights)
    safetensors.numpy.save_file(weights, copy / WEIGHTS)
    spec = json.loads((copy / SPEC).read_text())
    (copy / SPEC).write_text(json.dumps({**spec, "digest": digest_of(copy, spec)}))
    return copy


def brighten(weights: dict[str, NDArray[Any]]) -> None:
    weights["head.residual.bias"] = weights["head.residual.bias"] + np.float32(0.02)


def swap_classes(weights: dict[str, NDArray[Any]]) -> None:
    for part in ("weight", "bias"):
        name = f"head.scores.{part}"
        weights[name] = np.ascontiguousarray(np.roll(weights[name], 1, axis=0))


def spoil(weights: dict[str, NDArray[Any]]) -> None:
    weights["head.scores.bias"] = np.full_like(weights["head.scores.bias"], np.nan)


@pytest.mark.parametrize(
    ("model", "change"),
    [("tiny-x2", brighten), ("tiny-labels", swap_classes), ("tiny-labels", spoil)],
)
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_other_weights_do_not_repeat_the_golden_sample(
    tiny_models: Path,
    tmp_path: Path,
    model: str,
    change: Callable[[dict[str, NDArray[Any]]], None],
    engine: str,
) -> None:
    folder = altered(tiny_models / model, tmp_path, change)

    with pytest.raises(ModelError, match=f"{model}: expected the golden sample within .* got"):
        load(folder, engine=engine, precision="f32", threads=1).check_golden()


def test_a_precision_without_a_tolerance_is_not_offered(enlarging: Predictor) -> None:
    spec = replace(enlarging.spec, tolerance={"torch": {"f32": 0.1}})
    predictor = Predictor(ModelFolder(enlarging.folder.path, spec), enlarging.engine)

    with pytest.raises(ModelError, match="expected a tolerance for openvino f32, got none"):
        predictor.check_golden()


def labelled(labels: list[int], confidence: list[float]) -> Prediction:
    classes = (ClassInfo("a", (0, 0, 0)), ClassInfo("b", (9, 9, 9)))
    spec = ModelSpec(name="m", kind="labels", task="test", net={}, classes=classes)
    pixels = np.zeros((1, len(labels), 3), np.uint8)
    return Prediction(
        spec,
        Picture(pixels),
        labels=np.array([labels], np.uint8),
        confidence=np.array([confidence], np.float32),
    )


@pytest.mark.parametrize(
    ("labels", "confidence", "difference"),
    [
        ([0, 1], [0.9, 0.5], 0),
        ([0, 1], [0.7, 0.5], 0.2),
        ([0, 0], [0.9, 0.5], 0),  # both classes are equally likely
        ([1, 1], [0.9, 0.5], 0.8),  # 0.9 of a class that had 0.1
    ],
)
def test_the_golden_difference_is_that_of_a_class_probability(
    labels: list[int], confidence: list[float], difference: float
) -> None:
    golden = {"labels": np.array([[0, 1]], np.uint8), "confidence": np.array([[0.9, 0.5]])}

    assert golden_difference(labelled(labels, confidence), golden) == pytest.approx(difference)


def test_the_golden_difference_of_a_map_is_a_share_of_its_range(measuring: Predictor) -> None:
    picture, golden = measuring.folder.golden()
    prediction = measuring.predict(picture)
    assert golden_difference(prediction, golden) < 1e-5

    assert prediction.map is not None
    prediction.map[0, 0] += 2  # of 8 from low to high
    assert golden_difference(prediction, golden) == pytest.approx(0.25, abs=1e-5)
    prediction.map[0, 0] = np.nan
    assert not golden_difference(prediction, golden) <= 1


def test_a_golden_sample_of_another_size_differs_without_limit(
    noise: Noise, enlarging: Predictor
) -> None:
    golden: dict[str, NDArray[Any]]
    golden = {"labels": np.zeros((3, 3), np.uint8), "confidence": np.ones((3, 3))}

    assert golden_difference(labelled([0], [1.0]), golden) == np.inf
    prediction = enlarging.predict(Picture(noise(4, 4)))
    assert golden_difference(prediction, {"image": np.zeros((1, 1, 3), np.uint8)}) == np.inf
