from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from i2i.image import Picture
from i2i.model_folder import shipped_models
from i2i.prediction import to_samples
from i2i.predictor import Predictor, load, to_float
from i2i.windows import Plan, cut, keep, plan_windows, stitch

few = settings(max_examples=20, deadline=None)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
Noise = Callable[..., NDArray[np.uint8]]


def raw(predictor: Predictor, pixels: NDArray[np.uint8], plan: Plan) -> dict[str, NDArray[Any]]:
    """The engine's float outputs, stitched but not rounded, as (H, W, …)."""
    height, width = (predictor.spec.scale * side for side in pixels.shape[:2])
    canvases: dict[str, NDArray[Any]] = {}
    for window in plan:
        for name, output in predictor.engine.run(to_float(cut(pixels, window))).items():
            picture = output[0].transpose(1, 2, 0) if output.ndim == 4 else output[0]
            blank = np.full((height, width, *picture.shape[2:]), 77, picture.dtype)
            kept = keep(picture, window, predictor.spec.scale)
            stitch(canvases.setdefault(name, blank), kept, window, predictor.spec.scale)
    return canvases


def other_plan(predictor: Predictor, height: int, width: int, step: int | None) -> Plan:
    """Windows that keep up to `step` multiples a side; None: the picture as a whole."""
    spec = predictor.spec
    window = None if step is None else 2 * spec.margin + step * spec.size_multiple
    return plan_windows(
        height, width, window=window, margin=spec.margin, size_multiple=spec.size_multiple
    )


@few
@given(sizes, st.sets(st.integers(1, 12), min_size=2, max_size=3))
def test_the_plan_of_windows_does_not_show_in_a_picture(
    noise: Noise, enlarging: Predictor, size: tuple[int, int], steps: set[int]
) -> None:
    pixels = noise(*size)

    whole = raw(enlarging, pixels, other_plan(enlarging, *size, None))["image"]
    for step in steps:
        plan = other_plan(enlarging, *size, step)
        np.testing.assert_allclose(raw(enlarging, pixels, plan)["image"], whole, atol=1e-5)
        picture = enlarging.predict(Picture(pixels), plan=plan).picture
        assert picture is not None
        differing = np.abs(picture.pixels.astype(int) - to_samples(whole, np.uint8))
        assert differing.max() <= 1
        assert differing.sum() <= 1 + 0.01 * differing.size


@few
@given(sizes, st.sets(st.integers(1, 12), min_size=2, max_size=3))
def test_the_plan_of_windows_does_not_show_in_labels(
    noise: Noise, labelling: Predictor, size: tuple[int, int], steps: set[int]
) -> None:
    pixels = noise(*size)

    whole = raw(labelling, pixels, other_plan(labelling, *size, None))
    # The best of three classes leads the second by more than 1e-4, whatever the third has.
    clear = whole["confidence"] > 0.5 + 1e-4
    for step in steps:
        plan = other_plan(labelling, *size, step)
        prediction = labelling.predict(Picture(pixels), plan=plan)
        assert prediction.confidence is not None
        assert prediction.labels is not None
        np.testing.assert_allclose(prediction.confidence, whole["confidence"], atol=1e-5)
        np.testing.assert_array_equal(prediction.labels[clear], whole["labels"][clear])


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (29, 1), (13, 50)])
def test_a_prediction_is_the_net_on_the_reflected_plane(
    noise: Noise, enlarging: Predictor, size: tuple[int, int]
) -> None:
    pixels, spec = noise(*size), enlarging.spec
    around = 2 * spec.margin
    # NumPy's own extension of the picture, far beyond the margin.
    sides = [(around, around + -side % spec.size_multiple) for side in size]
    plane = np.pad(pixels, [*sides, (0, 0)], mode="symmetric")
    expected = enlarging.engine.run(to_float(plane))["image"][0]
    inside = [slice(2 * around, 2 * (around + side)) for side in size]

    got = raw(enlarging, pixels, enlarging.plan(*size))["image"]
    np.testing.assert_allclose(got, expected.transpose(1, 2, 0)[*inside], atol=1e-5)


def test_without_a_margin_the_windows_would_show(noise: Noise, enlarging: Predictor) -> None:
    pixels = noise(40, 40)
    seams = plan_windows(40, 40, window=8, margin=0, size_multiple=2)

    whole = raw(enlarging, pixels, other_plan(enlarging, 40, 40, None))["image"]
    assert np.abs(raw(enlarging, pixels, seams)["image"] - whole).max() > 0.01


@few
@given(st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_the_output_has_scale_times_the_size(
    noise: Noise, enlarging: Predictor, labelling: Predictor, size: tuple[int, int]
) -> None:
    picture = Picture(noise(*size))

    enlarged = enlarging.predict(picture).picture
    assert enlarged is not None
    assert (enlarged.height, enlarged.width) == (2 * size[0], 2 * size[1])
    labelled = labelling.predict(picture)
    assert labelled.labels is not None
    assert labelled.confidence is not None
    assert labelled.labels.shape == labelled.confidence.shape == size
    assert (labelled.labels.dtype, labelled.confidence.dtype) == (np.uint8, np.float32)
    assert labelled.labels.max() < 3
    assert 1 / 3 - 1e-6 <= labelled.confidence.min() <= labelled.confidence.max() <= 1


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_the_plan_of_windows_does_not_show_in_the_shipped_models(noise: Noise, name: str) -> None:
    predictor = load(name, engine="openvino", precision="f32")
    output = predictor.spec.graph.outputs[-1]
    size = 50, 80
    pixels = noise(*size)

    whole = raw(predictor, pixels, other_plan(predictor, *size, None))[output]
    for step in (5, 16):
        plan = other_plan(predictor, *size, step)
        np.testing.assert_allclose(raw(predictor, pixels, plan)[output], whole, atol=1e-5)
