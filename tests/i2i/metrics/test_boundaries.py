from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from torch import Tensor

from i2i.metrics import boundary_f1
from tests.i2i.metrics.makers import blobs, seeds

Pixels = NDArray[np.uint8]


def outline(labels: Pixels, k: int, counted: NDArray[np.bool_]) -> NDArray[Any]:
    height, width = labels.shape
    found = [
        (y, x)
        for y in range(height)
        for x in range(width)
        if counted[y, x]
        and labels[y, x] == k
        and any(
            0 <= v < height and 0 <= u < width and counted[v, u] and labels[v, u] != k
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        )
    ]
    return np.array(found, dtype=float).reshape(-1, 2)


def f1_by_hand(labels: Pixels, target: Pixels, k: int, tolerance: float) -> float:
    sides = [outline(side, k, target != 255) for side in (labels, target)]
    if not len(sides[0]) or not len(sides[1]):
        return 0.0 if len(sides[0]) or len(sides[1]) else math.nan
    apart = np.linalg.norm(sides[0][:, None] - sides[1][None], axis=2)
    limit = tolerance * math.hypot(*labels.shape)
    precision, recall = (np.mean(apart.min(axis=axis) <= limit) for axis in (1, 0))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.05])
@settings(max_examples=5)
@given(seed=seeds)
def test_outlines_are_matched_as_by_hand(seed: int, tolerance: float) -> None:
    labels, target = blobs(seed)
    labels[:, :5, :5] = 2

    got = boundary_f1(labels, target, 3, tolerance)
    pairs = zip(labels.numpy(), target.numpy(), strict=True)
    expected = [[f1_by_hand(*pair, k, tolerance) for k in range(3)] for pair in pairs]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), equal_nan=True)


@settings(max_examples=20)
@given(seeds)
def test_a_picture_scores_the_same_in_any_batch(seed: int) -> None:
    labels, target = blobs(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    together = boundary_f1(labels, target, 2)
    alone = torch.cat([boundary_f1(labels[n, None], target[n, None], 2) for n in range(4)])
    torch.testing.assert_close(alone, together, equal_nan=True, rtol=0, atol=0)
    shuffled = boundary_f1(labels[order], target[order], 2)
    torch.testing.assert_close(shuffled, together[order], equal_nan=True, rtol=0, atol=0)


def square(shift: int) -> Tensor:
    labels = torch.zeros(1, 100, 100, dtype=torch.uint8)
    labels[:, 30:60, 30 + shift : 60 + shift] = 1
    return labels


def test_an_outline_within_the_tolerance_is_met() -> None:
    # The diagonal is 141 pixels, of which 0.75 % is 1.06.
    assert boundary_f1(square(0), square(0), 2).tolist() == [[1, 1]]
    assert boundary_f1(square(1), square(0), 2).tolist() == [[1, 1]]
    assert (boundary_f1(square(2), square(0), 2) < 0.7).all()
    assert boundary_f1(square(2), square(0), 2, tolerance=0.015).tolist() == [[1, 1]]


def test_a_class_without_an_outline_has_no_score_and_a_missed_one_0() -> None:
    empty = torch.zeros(1, 100, 100, dtype=torch.uint8)

    assert boundary_f1(empty, empty, 2).isnan().all()
    assert boundary_f1(empty, square(0), 2).tolist() == [[0, 0]]
    assert boundary_f1(square(0), empty, 3)[:, :2].tolist() == [[0, 0]]
    assert boundary_f1(square(0), empty, 3)[:, 2].isnan().all()


def test_ignored_pixels_have_no_outline() -> None:
    target = square(0)
    target[:, :, 25:65] = 255

    assert boundary_f1(square(0), target, 2).isnan().all()


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, H, W\) .* got \(100, 100\)"):
        boundary_f1(square(0)[0], square(0)[0], 2)
    with pytest.raises(ValueError, match="tolerance: expected a share of the diagonal, got -1"):
        boundary_f1(square(0), square(0), 2, tolerance=-1)
