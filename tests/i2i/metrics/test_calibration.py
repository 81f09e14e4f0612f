from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from i2i.metrics import calibration_error, reliability
from tests.i2i.metrics.makers import seeds


def predictions(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Softmax (N, K, H, W), its confidence and labels, and a target with ignored pixels."""
    random = torch.Generator().manual_seed(seed)
    shares = (2 * torch.randn(3, 4, 9, 7, generator=random)).softmax(dim=1)
    target = torch.randint(4, (3, 9, 7), generator=random)
    target[torch.rand(target.shape, generator=random) < 0.2] = 255
    confidence, labels = shares.max(dim=1)
    return shares, confidence, labels, target


@settings(max_examples=20)
@given(seeds)
def test_the_calibration_error_is_torchmetrics_s(seed: int) -> None:
    shares, confidence, labels, target = predictions(seed)

    expected = multiclass_calibration_error(shares, target, 4, n_bins=15, ignore_index=255)
    got = calibration_error(reliability(confidence, labels, target))
    assert got.item() == pytest.approx(expected.item(), abs=1e-6)


@settings(max_examples=20)
@given(seeds)
def test_tables_add_up_over_any_batches(seed: int) -> None:
    _, confidence, labels, target = predictions(seed)

    whole = reliability(confidence, labels, target)
    split = [reliability(confidence[n], labels[n], target[n]) for n in (2, 0, 1)]
    torch.testing.assert_close(sum(split, torch.zeros_like(whole)), whole)
    assert whole[:, 0].sum() == (target != 255).sum()


def test_a_bin_holds_its_upper_end() -> None:
    confidence = torch.tensor([0.0, 0.25, 0.26, 0.5, 1.0])
    labels, target = torch.zeros(5), torch.tensor([0, 0, 1, 1, 0])

    table = reliability(confidence, labels, target, num_bins=4)
    assert table[:, 0].tolist() == [2, 2, 0, 1]
    assert table[:, 1].tolist() == [2, 0, 0, 1]
    assert table[:, 2].tolist() == pytest.approx([0.25, 0.76, 0, 1])
    assert calibration_error(table).item() == pytest.approx((1.75 + 0.76) / 5)


def test_nothing_but_ignored_pixels_scores_nan() -> None:
    table = reliability(torch.ones(2), torch.zeros(2), torch.full((2,), 255))

    assert table.sum() == 0
    assert calibration_error(table).isnan()


def test_what_cannot_be_measured_is_refused() -> None:
    ones = torch.ones(3)
    with pytest.raises(ValueError, match=r"got \(3,\), \(3,\), \(2,\)"):
        reliability(ones, ones, ones[:2])
    for value in (1.5, -0.1, torch.nan):
        with pytest.raises(ValueError, match="take the softmax first"):
            reliability(value * ones, ones, ones)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        reliability(ones, ones, ones, num_bins=0)
