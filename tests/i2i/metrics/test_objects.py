from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from skimage import measure
from torch import Tensor

from i2i import metrics
from tests.i2i.metrics.makers import blobs, seeds


def object_f1_by_loops(labels: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> float:
    counted = target != 255
    found, num_found = measure.label((labels == 1) & counted, connectivity=2, return_num=True)
    true, num_true = measure.label(target == 1, connectivity=2, return_num=True)
    matches = 0
    for a in range(1, num_found + 1):
        for b in range(1, num_true + 1):
            shared = ((found == a) & (true == b)).sum()
            matches += int(shared / ((found == a) | (true == b)).sum() > 0.5)
    return 2 * matches / (num_found + num_true) if num_found + num_true else float("nan")


@settings(max_examples=25)
@given(seeds)
def test_objects_are_matched_as_by_hand(seed: int) -> None:
    labels, target = blobs(seed)

    expected = [
        object_f1_by_loops(*pair) for pair in zip(labels.numpy(), target.numpy(), strict=True)
    ]
    assert metrics.object_f1(labels, target).tolist() == pytest.approx(expected, nan_ok=True)


def picture_of(*rows: str) -> Tensor:
    return torch.tensor([[[int(x == "#") for x in row] for row in rows]])


def test_a_diagonal_line_is_one_object() -> None:
    line = picture_of("#..", ".#.", "..#")
    half = picture_of("#..", ".#.", "...")

    assert metrics.object_f1(half, line).tolist() == [1]
    assert metrics.object_f1(half, line, threshold=0.7).tolist() == [0]


def test_half_an_overlap_is_no_match() -> None:
    assert metrics.object_f1(picture_of("##.."), picture_of("####")).tolist() == [0]
    assert metrics.object_f1(picture_of("###."), picture_of("####")).tolist() == [1]


def test_a_winding_object_is_one() -> None:
    rows = [
        "#" * 12 if y % 2 == 0 else "." * 11 + "#" if y % 4 == 1 else "#" + "." * 11
        for y in range(15)
    ]
    snake = picture_of(*rows)

    assert metrics.object_f1(snake, snake).tolist() == [1]
    assert metrics.object_f1(torch.zeros_like(snake), snake).tolist() == [0]
    assert metrics.object_f1(snake * 0, snake * 0).isnan().all()


@settings(max_examples=20)
@given(seeds)
def test_a_picture_scores_the_same_in_any_batch(seed: int) -> None:
    labels, target = blobs(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    together = metrics.object_f1(labels, target)
    alone = [metrics.object_f1(labels[n : n + 1], target[n : n + 1]).item() for n in range(4)]
    assert together.tolist() == pytest.approx(alone, nan_ok=True)
    shuffled = metrics.object_f1(labels[order], target[order])
    torch.testing.assert_close(shuffled, together[order], equal_nan=True)


def test_what_cannot_be_measured_is_refused() -> None:
    pair = torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"\(N, H, W\) .* got \(4, 4\)"):
        metrics.object_f1(pair[0], pair[0])
    with pytest.raises(ValueError, match=r"\[0.5, 1\), got 0.4"):
        metrics.object_f1(pair, pair, threshold=0.4)
