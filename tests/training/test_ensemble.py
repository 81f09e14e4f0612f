"""Answers averaged over flips and turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import i2i
from training.evaluation.ensemble import averaged

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)


def answer(predict: Any, pixels: np.ndarray) -> np.ndarray:
    prediction = predict(i2i.Picture(np.ascontiguousarray(pixels)))
    return prediction.picture.pixels if prediction.map is None else prediction.map


@pytest.mark.parametrize("model", ["tiny_x2", "tiny_map"])
def test_a_self_ensemble_turns_with_the_picture(model: str, request: pytest.FixtureRequest) -> None:
    predictor = i2i.load(request.getfixturevalue(model), threads=1)
    predict = averaged(predictor, "8 flips and turns")

    turned = answer(predict, np.rot90(PIXELS)[::-1])

    expected = np.rot90(answer(predict, PIXELS))[::-1].astype(np.float64)
    assert np.abs(turned - expected).max() <= (1 if model == "tiny_x2" else 1e-5)
    # The model alone does not: its kernels have a right and a left.
    alone = answer(predictor.predict, np.rot90(PIXELS)[::-1])
    assert np.abs(alone - np.rot90(answer(predictor.predict, PIXELS))[::-1]).max() > 1e-3


def test_a_self_ensemble_is_the_rounded_mean_of_eight_answers(tiny_x2: Path) -> None:
    predictor = i2i.load(tiny_x2, threads=1)
    answers = []
    for turns in range(4):
        for flip in (slice(None), slice(None, None, -1)):
            each = answer(predictor.predict, np.rot90(PIXELS, turns)[:, flip])
            answers.append(np.rot90(each[:, flip], -turns))

    mean = answer(averaged(predictor, "8 flips and turns"), PIXELS)

    # Each of the eight was rounded here, and is not there.
    assert np.abs(mean - np.mean(answers, axis=0)).max() <= 1
    assert mean.dtype == np.uint8


def test_labels_of_two_classes_are_averaged_by_probability(run_of: Any) -> None:
    run = run_of("segmentation")
    predictor = i2i.load(run.model)

    prediction = averaged(predictor, "mirrored")(i2i.Picture(PIXELS))

    probability = []
    for flip in (slice(None), slice(None, None, -1)):
        each = predictor.predict(i2i.Picture(np.ascontiguousarray(PIXELS[:, flip])))
        assert each.confidence is not None
        sure = np.where(each.labels == 1, each.confidence, 1 - each.confidence)
        probability.append(sure[:, flip])
    second = np.mean(probability, axis=0)
    assert prediction.labels is not None
    assert prediction.confidence is not None
    assert (prediction.labels == (second > 0.5)).all()
    np.testing.assert_allclose(prediction.confidence, np.maximum(second, 1 - second), atol=1e-6)


def test_what_cannot_be_averaged_is_refused(tiny_x2: Path, tiny_labels: Path) -> None:
    with pytest.raises(ValueError, match=r"--tta: .* two classes.* got 3 classes of tiny-labels"):
        averaged(i2i.load(tiny_labels, threads=1), "mirrored")
    with pytest.raises(ValueError, match=r"--tta: .* got kind image of tiny-x2"):
        averaged(i2i.load(tiny_x2, threads=1), "mirrored")
    with pytest.raises(ValueError, match=r"--self-ensemble: .* use --tta flip"):
        averaged(i2i.load(tiny_labels, threads=1), "8 flips and turns")
