from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from torch import Tensor
from torchmetrics.functional.segmentation import mean_iou as reference_mean_iou

from i2i import metrics
from tests.i2i.metrics.makers import label_maps, seeds


@given(seeds)
def test_confusion_matrices_add_up_over_any_batches(seed: int) -> None:
    labels, target = label_maps(seed)

    whole = metrics.confusion_matrix(labels, target, 4)
    parts = [metrics.confusion_matrix(labels[n], target[n], 4) for n in (2, 0, 1)]
    assert torch.equal(sum(parts, torch.zeros(4, 4, dtype=torch.int64)), whole)
    assert whole.sum() == (target != 255).sum()


@given(seeds)
def test_rows_are_true_classes_and_columns_labels(seed: int) -> None:
    labels, target = label_maps(seed)

    confusion = metrics.confusion_matrix(labels, target, 4)
    assert confusion.dtype == torch.int64
    for true in range(4):
        for label in range(4):
            assert confusion[true, label] == ((target == true) & (labels == label)).sum()


def test_scores_of_labels_are_those_of_their_definitions() -> None:
    confusion = torch.tensor([[6, 2, 0], [1, 3, 0], [0, 0, 0]])

    assert metrics.iou(confusion)[:2].tolist() == pytest.approx([6 / 9, 3 / 6])
    assert metrics.dice(confusion)[:2].tolist() == pytest.approx([12 / 15, 6 / 9])
    assert metrics.iou(confusion)[2].isnan()
    assert metrics.dice(confusion)[2].isnan()
    assert metrics.mean_iou(confusion).item() == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert metrics.accuracy(confusion).item() == pytest.approx(9 / 12)
    assert metrics.precision(confusion)[:2].tolist() == pytest.approx([6 / 7, 3 / 5])
    assert metrics.recall(confusion)[:2].tolist() == pytest.approx([6 / 8, 3 / 4])
    assert metrics.precision(confusion)[2].isnan()
    assert metrics.recall(confusion)[2].isnan()
    assert metrics.mean_accuracy(confusion).item() == pytest.approx((6 / 8 + 3 / 4) / 2)


def test_a_class_that_is_only_predicted_scores_0() -> None:
    confusion = metrics.confusion_matrix(torch.tensor([0, 1]), torch.tensor([0, 0]), 3)

    assert metrics.iou(confusion)[:2].tolist() == [0.5, 0]
    assert metrics.mean_iou(confusion).item() == 0.25


def test_nothing_but_ignored_pixels_scores_nan() -> None:
    confusion = metrics.confusion_matrix(torch.tensor([0, 1]), torch.tensor([255, 255]), 2)

    assert confusion.sum() == 0
    assert metrics.mean_iou(confusion).isnan()
    assert metrics.accuracy(confusion).isnan()
    assert metrics.mean_accuracy(confusion).isnan()


@given(seeds)
def test_the_iou_of_a_picture_is_that_of_its_own_matrix_in_any_batch(seed: int) -> None:
    labels, target = label_maps(seed)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))

    together = metrics.image_iou(labels, target, 4)
    alone = [metrics.mean_iou(metrics.confusion_matrix(labels[n], target[n], 4)) for n in range(3)]
    assert together.tolist() == [float(value) for value in alone]
    assert torch.equal(metrics.image_iou(labels[order], target[order], 4), together[order])


def test_the_iou_of_a_picture_is_torchmetrics_s_over_its_classes() -> None:
    labels, target = torch.randint(3, (2, 4, 9, 7), generator=torch.Generator().manual_seed(0))

    expected = reference_mean_iou(labels, target, num_classes=4, input_format="index")
    torch.testing.assert_close(metrics.image_iou(labels, target, 4), expected.double())


pair = torch.zeros(1, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: metrics.confusion_matrix(pair, pair[0], 2), r"shape \(4, 4\), got \(1, 4, 4\)"),
        (lambda: metrics.confusion_matrix(pair + 2, pair, 2), r"labels in 0..1 .* got 2..2"),
        (lambda: metrics.confusion_matrix(pair, pair + 7, 2), r"target in 0..1 .* got 7..7"),
        (lambda: metrics.image_iou(pair[0], pair[0], 2), r"\(N, H, W\) .* got \(4, 4\)"),
    ],
)
def test_what_cannot_be_measured_is_refused(call: Callable[[], Tensor], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()


def test_what_a_narrow_target_cannot_hold_is_none_of_its_classes() -> None:
    wide = torch.tensor([[[1, 0, 0], [1, 1, 0]]])
    narrow, sure = wide.to(torch.uint8), torch.ones(wide.shape)
    ignore = 1 - 256  # which is 1 in uint8

    for metric in (
        lambda target: metrics.confusion_matrix(wide, target, 2, ignore),
        lambda target: metrics.boundary_f1(wide, target, 2, ignore=ignore),
        lambda target: metrics.object_f1(wide, target, ignore=ignore),
        lambda target: metrics.reliability(sure, wide, target, ignore=ignore),
    ):
        torch.testing.assert_close(metric(narrow), metric(wide))
