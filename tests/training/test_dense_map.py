"""A dense map: its unit, what is missing in it, and the scores of its trivial answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.nets.last_step import LastStep
from i2i.spec import MapInfo
from training.tasks import DenseMap, Sample
from training.tasks.dense_map import MedianScores
from training.tasks.scores import MapScores

RANDOM = np.random.default_rng(0)
IMAGE = np.zeros((8, 8, 3), np.uint8)


def depths(seed: int = 0, missing: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.uniform(2, 10, (8, 8)).astype(np.float32)
    values[random.random((8, 8)) < missing] = np.nan
    return values


@settings(deadline=None, max_examples=30)
@given(st.floats(-5, 5), st.floats(0.1, 100), st.integers(0, 2**31 - 1))
def test_the_loss_is_0_where_the_output_in_its_unit_is_the_target(
    low: float, span: float, seed: int
) -> None:
    task = DenseMap("m", low, low + span)
    output = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(seed))

    (values,) = LastStep("map", map=task.map_info())(output)

    assert values.shape == (2, 8, 8)
    assert task.loss_of(output, values).item() == pytest.approx(0, abs=1e-5)
    assert task.loss_of(output, values + span).item() == pytest.approx(1, abs=1e-4)


def test_the_outputs_of_a_map_want_its_range_and_those_of_others_none() -> None:
    with pytest.raises(ValueError, match="map: expected one with kind 'map' alone, got None"):
        LastStep("map")
    with pytest.raises(ValueError, match="map: expected one with kind 'map' alone"):
        LastStep("image", map=MapInfo("m", 0, 1))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 0])
def test_a_missing_number_is_refused_with_file_and_count(wrong: float) -> None:
    target = depths()
    target[0, :3] = wrong

    with pytest.raises(
        ValueError, match=r"hill: expected a finite number for every pixel, got 3 .*missing: ignore"
    ):
        DenseMap("m", 0, 10, missing_value=0).pair(Sample("hill", IMAGE, target=target), RANDOM)


def test_a_map_in_another_unit_is_refused_with_file_and_range() -> None:
    decimetres = Sample(
        "hill", IMAGE, target=np.linspace(0, 100, 64, dtype=np.float32).reshape(8, 8)
    )
    with pytest.raises(
        ValueError,
        match=r"hill: expected most numbers between 0 and 10 m, got 0 to 100; set --model",
    ):
        DenseMap("m", 0, 10).check_sample(decimetres)
    DenseMap("m", 0, 50.5).check_sample(decimetres)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 0])
def test_an_ignored_number_counts_neither_in_the_loss_nor_in_the_scores(wrong: float) -> None:
    task = DenseMap("m", 0, 10, missing="ignore", missing_value=0)
    target = depths()
    target[0] = wrong
    _, ignoring = task.pair(Sample("s", IMAGE, target=target), RANDOM)
    output = torch.rand(1, 1, 8, 8, requires_grad=True)
    (prediction,) = LastStep("map", map=task.map_info())(output)
    expected = torch.from_numpy(ignoring)[None]

    loss = task.loss_of(output, expected)
    loss.backward()
    scores = task.metrics()
    scores.update(prediction.detach(), expected)

    error = (prediction.detach() - expected)[:, 1:].abs().mean().item()
    assert loss.item() == pytest.approx(error / 10, rel=1e-5)
    assert scores.compute()["mae"] == pytest.approx(error, rel=1e-5)
    assert output.grad is not None
    assert (output.grad[:, :, 0] == 0).all()
    assert (output.grad[:, :, 1:] != 0).all()


def test_the_trivial_answer_misses_targets_beyond_the_range_by_all_of_it() -> None:
    beside = MedianScores(0, 10)
    targets = torch.full((1, 8, 8), 5.0)
    targets[0, 0, 0] = 105.0
    beside.update(torch.zeros(1, 8, 8), targets)

    assert beside.of_median()["mae"] == pytest.approx(100 / 64)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31 - 1), st.floats(0, 0.9), st.sampled_from([1, 1.5, 3]))
def test_the_trivial_answer_is_the_median_of_all_targets(
    seed: int, missing: float, beyond: float
) -> None:
    targets = torch.stack([torch.from_numpy(depths(seed + i, missing)) for i in range(3)])
    # Of a few rows, which leaves the median where the bins are fine.
    targets[:, :2] *= beyond
    beside, exact = MedianScores(0, 10), MapScores()
    for target in targets:
        beside.update(torch.zeros(1, 8, 8), target[None])

    median = targets[~targets.isnan()].median()
    exact.update(median.expand(targets.shape), targets)

    for name, value in beside.of_median().items():
        # Two bins of a thousand; for delta 1 the few values within a bin of its bounds.
        allowed = 0.05 if name == "delta1" else 0.02
        assert value == pytest.approx(exact.compute()[name], abs=allowed)


def test_a_sample_without_a_map_is_refused() -> None:
    for target in (None, IMAGE):
        with pytest.raises(ValueError, match="s: expected a picture with a map; use data of pairs"):
            DenseMap("m", 0, 10).pair(Sample("s", IMAGE, target=target), RANDOM)


def test_what_is_missing_is_shown_black() -> None:
    target = np.full((8, 8), 10, np.float32)
    target[0] = np.nan

    shown = DenseMap("m", 0, 10, missing="ignore").show(IMAGE, np.full((8, 8), 5.0), target)

    assert shown[1, 8 + 4, 0] == 128
    assert (shown[0, -8:] == 0).all()
    assert (shown[1:, -8:] == 255).all()
