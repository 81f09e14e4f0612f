"""Intervals: of the set's score, from its pictures, the same each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.metrics import confusion_matrix, iou, reliability
from training.degradations import Gray
from training.evaluation.bootstrap import RELIABILITY, Tally, intervals, paired_differences
from training.tasks import DenseMap, Restoration, Segmentation, Task
from training.tasks.scores import PictureScores

PICTURES = Restoration(Gray())
LABELS = Segmentation(["ground", "leaf", "sky"])


def scored(task: Task, values: list[dict[str, Any]], **scores: list[float]) -> Tally:
    each = [{name: given[i] for name, given in scores.items()} for i in range(len(values))]
    return Tally(task, [{"sums": s, "scores": e} for s, e in zip(values, each, strict=True)])


def decibels(values: list[float]) -> Tally:
    sums = [{"psnr_y": v, "ssim_y": 0.5, "psnr": v, "count": 1.0} for v in values]
    return scored(PICTURES, sums)


def labelled(seed: int, count: int = 4) -> tuple[Tally, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    target = torch.randint(3, (count, 6, 6), generator=random)
    labels = torch.where(torch.rand(target.shape, generator=random) < 0.7, target, 0)
    confidence = torch.rand(target.shape, generator=random)
    sums = [
        {
            "confusion": confusion_matrix(labels[i], target[i], 3).tolist(),
            "ignored": 0,
            RELIABILITY: reliability(confidence[i], labels[i], target[i]).tolist(),
        }
        for i in range(count)
    ]
    return scored(LABELS, sums, image_iou=[0.1 * i for i in range(count)]), labels, target


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_a_picture_drawn_twice_counts_as_two(seed: int, times: list[int]) -> None:
    tally, labels, target = labelled(seed)
    times[0] += 1
    repeats = torch.tensor(times)

    scores = tally.scores(np.array(times))

    matrix = confusion_matrix(
        labels.repeat_interleave(repeats, 0), target.repeat_interleave(repeats, 0), 3
    )
    assert scores["mean_iou"] == pytest.approx(float(iou(matrix).nanmean()))
    mean = np.average([0.0, 0.1, 0.2, 0.3], weights=times)
    assert scores["picture_mean/image_iou"] == pytest.approx(mean)
    assert 0 <= scores["calibration_error"] <= 1


def mapped() -> Tally:
    task, sums = DenseMap("m", 0, 10), []
    for prediction, target in torch.rand(4, 2, 1, 6, 6, generator=torch.Generator().manual_seed(0)):
        metric = task.metrics()
        metric.update(10 * prediction, 10 * target)
        sums.append({name: torch.as_tensor(v).tolist() for name, v in metric.metric_state.items()})
    return scored(task, sums)


class Branching(Restoration):
    """A task whose scores look at their sums, which a batch of sets cannot."""

    def metrics(self) -> PictureScores:
        class Scores(PictureScores):
            def compute(self) -> dict[str, Any]:
                return super().compute() if self.count > 2 else {}

        return Scores(border=0)


BRANCHING = [{"psnr_y": v, "ssim_y": 0.5, "psnr": v, "count": 1.0} for v in (1.0, 2.0, 3.0, 4.0)]


@pytest.mark.parametrize(
    "tally",
    [
        decibels([20.0, 30.0, 40.0, 50.0]),
        labelled(0)[0],
        mapped(),
        scored(Branching(Gray()), BRANCHING),
    ],
    ids=["pictures", "labels", "map", "branching"],
)
def test_many_sets_at_once_score_as_each_by_itself(tally: Tally) -> None:
    draws = np.random.default_rng(0).multinomial(4, np.full(4, 1 / 4), size=20)
    draws[0] = [1, 1, 0, 0]

    at_once = tally.scores_of_draws(draws)

    for index, weights in enumerate(draws):
        here = {name: values[index] for name, values in at_once.items()}
        assert {n: v for n, v in here.items() if np.isfinite(v)} == pytest.approx(
            tally.scores(weights)
        )


def test_an_interval_is_that_of_the_normal_law_where_it_holds() -> None:
    values = np.random.default_rng(1).normal(30, 2, 200)

    low, high = intervals(decibels(values.tolist()))["psnr"]

    error = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.05)
    assert intervals(decibels(values.tolist()))["psnr"] == [low, high]


def test_pairs_tell_what_intervals_of_each_hide() -> None:
    values = np.random.default_rng(1).normal(30, 5, 20)
    noise = np.random.default_rng(2).normal(0.2, 0.1, 20)
    one, other = decibels((values + noise).tolist()), decibels(values.tolist())

    difference, (low, high) = paired_differences(one, other)["psnr"]

    assert difference == pytest.approx(noise.mean())
    assert 0.1 < low < difference < high < 0.3
    # Apart, the two intervals overlap nearly wholly.
    assert intervals(one)["psnr"][0] < intervals(other)["psnr"][1] - 2


def test_a_single_picture_has_no_interval() -> None:
    assert intervals(decibels([30.0])) == {}
