"""Scores do not depend on the order or the size of batches (law 4)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import classification as reference

from training.tasks.scores import BEST_PSNR, ClassScores, MapScores, PictureScores, gain

NAMES = ["a", "b", "c"]
seeds = st.integers(0, 2**31)
cuts = st.lists(st.integers(1, 5), max_size=3)


def in_batches(metric: Metric, pairs: tuple[Tensor, Tensor], order: Tensor, cut: list[int]) -> dict:
    prediction, target = (part[order] for part in pairs)
    for chunk in torch.tensor_split(torch.arange(len(order)), sorted(cut)):
        if len(chunk):
            metric.update(prediction[chunk], target[chunk])
    return {name: float(value) for name, value in metric.compute().items()}


@settings(deadline=None, max_examples=25)
@given(seeds, cuts)
def test_scores_do_not_depend_on_batches(seed: int, cut: list[int]) -> None:
    random = torch.Generator().manual_seed(seed)
    order, plain = torch.randperm(6, generator=random), torch.arange(6)
    target = torch.rand(6, 3, 20, 24, generator=random)
    pictures = (target + 0.1 * torch.randn(target.shape, generator=random)).clamp(0, 1), target
    labels = torch.randint(3, (2, 6, 8, 8), generator=random)
    labels[1, :, :2] = 255
    maps = 0.1 + torch.rand(2, 6, 8, 8, generator=random)
    maps[1, :, 3] = torch.nan

    for make, pairs in (
        (lambda: PictureScores(border=2), pictures),
        (lambda: ClassScores(NAMES), (labels[0], labels[1])),
        (MapScores, (maps[0], maps[1])),
    ):
        whole = in_batches(make(), pairs, plain, [])
        assert in_batches(make(), pairs, order, cut) == pytest.approx(whole, rel=1e-9)


@given(seeds)
def test_the_majority_answer_is_scored_as_any_answer_is(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (2, 2, 8, 8), generator=random)
    labels[1, :, 0] = 255
    metric, constant = ClassScores(NAMES), ClassScores(NAMES)
    metric.update(labels[0], labels[1])
    most = labels[1][labels[1] != 255].bincount(minlength=3).argmax()
    constant.update(torch.full_like(labels[0], int(most)), labels[1])

    got, expected = metric.majority(), constant.compute()

    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert float(got[name]) == pytest.approx(float(value), nan_ok=True)


def test_a_picture_met_exactly_does_not_hide_the_others() -> None:
    target = torch.zeros(2, 3, 16, 16)
    prediction = target.clone()
    prediction[1] += 0.1
    metric, other = PictureScores(border=0), PictureScores(border=0)
    metric.update(prediction, target)
    other.update(prediction[1:], target[1:])

    for name in ("psnr_y", "psnr"):
        worse = float(other.compute()[name])
        assert float(metric.compute()[name]) == pytest.approx((BEST_PSNR + worse) / 2)


def test_class_scores_are_those_of_torchmetrics() -> None:
    random = torch.Generator().manual_seed(0)
    labels, target = torch.randint(3, (2, 4, 8, 8), generator=random)
    target[:, 0] = 255
    metric = ClassScores(NAMES)
    metric.update(labels, target)
    scores = metric.compute()

    for score, function in (
        ("iou", reference.multiclass_jaccard_index),
        ("precision", reference.multiclass_precision),
        ("recall", reference.multiclass_recall),
    ):
        by_class = function(labels, target, num_classes=3, average="none", ignore_index=255)
        for name, value in zip(NAMES, by_class.tolist(), strict=True):
            assert float(scores[f"{score}/{name}"]) == pytest.approx(value)
    overall = reference.multiclass_accuracy(labels, target, 3, "micro", ignore_index=255)
    assert float(scores["accuracy"]) == pytest.approx(overall.item())
    mean = reference.multiclass_accuracy(labels, target, 3, "macro", ignore_index=255)
    assert float(scores["mean_accuracy"]) == pytest.approx(mean.item())


def test_map_scores_count_what_is_known() -> None:
    metric = MapScores()
    metric.update(torch.tensor([[1.0, 2.0], [9.0, 4.0]]), torch.tensor([[1, 1], [torch.nan, 3.5]]))

    scores = {name: float(value) for name, value in metric.compute().items()}
    assert scores == pytest.approx({"mae": 0.5, "rmse": (1.25 / 3) ** 0.5, "delta1": 2 / 3})


def test_to_miss_by_less_is_a_gain_and_to_score_less_is_none() -> None:
    assert gain("mae", 1.0, 3.0) == 2.0
    assert gain("psnr_y", 1.0, 3.0) == -2.0
