from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import filters, measure
from skimage import metrics as skimage_metrics
from torch import Tensor

from i2i import metrics

seeds = st.integers(0, 2**31)


def images(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    """A target in [0, 1] and an output not far from it."""
    random = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=random, dtype=torch.float64)
    return (target + 0.1 * torch.randn(shape, generator=random)).clamp(0, 1), target


def label_maps(seed: int, num_classes: int = 4) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    labels, target = torch.randint(num_classes, (2, 3, 9, 7), generator=random, dtype=torch.uint8)
    target[torch.rand(target.shape, generator=random) < 0.2] = 255
    return labels, target


def blobs(seed: int) -> tuple[Tensor, Tensor]:
    """Objects of many shapes, and the same ones moved and damaged."""
    random = np.random.default_rng(seed)
    noise = filters.gaussian(random.normal(size=(4, 40, 30)), 2, channel_axis=0)
    target = (noise > random.uniform(0, 0.15)).astype(np.uint8)
    labels = np.roll(target, random.integers(-1, 2, 2), (1, 2))
    labels[random.random(labels.shape) < 0.1] ^= 1
    target[random.random(target.shape) < 0.02] = 255
    return torch.from_numpy(labels), torch.from_numpy(target)


def test_rounding_gives_the_256_levels_of_a_file() -> None:
    levels = torch.arange(256) / 255
    near = (levels + torch.linspace(-0.0019, 0.0019, 256)).clamp(-1, 2)

    assert torch.equal(metrics.round_to_8_bit(levels), levels)
    assert torch.equal(metrics.round_to_8_bit(near), levels)
    assert metrics.round_to_8_bit(torch.tensor([-0.5, 1.5])).tolist() == [0, 1]


def test_luma_is_that_of_bt_601() -> None:
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])

    y = metrics.luma(colours.view(5, 3, 1, 1)).flatten()
    assert y.tolist() == pytest.approx([16, 235, 81.481, 144.553, 40.966])


def test_gray_is_measured_as_it_is() -> None:
    gray = torch.rand(2, 1, 3, 4)

    assert torch.equal(metrics.luma(gray), gray.double() * 255)


def test_psnr_of_a_constant_error_is_known() -> None:
    target = torch.full((2, 3, 4, 5), 0.5)
    output = target + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)

    assert metrics.psnr(output, target).tolist() == pytest.approx([20, 40], abs=1e-4)
    assert metrics.psnr(255 * output, 255 * target, peak=255).tolist() == pytest.approx([20, 40])
    assert metrics.psnr(target, target).tolist() == [torch.inf, torch.inf]


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_agree_with_scikit_image(channels: int) -> None:
    output, target = images(0, 2, channels, 23, 31)

    for n in range(2):
        x, y = output[n].numpy() * 255, target[n].numpy() * 255
        expected = skimage_metrics.peak_signal_noise_ratio(y, x, data_range=255)
        assert metrics.psnr(output, target)[n].item() == pytest.approx(expected, abs=1e-9)

        _, similarity = skimage_metrics.structural_similarity(
            x,
            y,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            full=True,
        )
        expected = similarity[:, 5:-5, 5:-5].mean()
        assert metrics.ssim(output, target)[n].item() == pytest.approx(expected, abs=1e-9)


def test_equal_images_have_ssim_1_and_unlike_ones_less() -> None:
    output, target = images(0, 2, 3, 16, 16)

    assert metrics.ssim(target, target).tolist() == [1, 1]
    assert (metrics.ssim(output, target) < 1).all()
    assert (metrics.ssim(1 - target, target) < 0).all()


@pytest.mark.parametrize("measured", [metrics.psnr_y, metrics.ssim_y])
def test_measures_on_y_see_only_8_bit_inside_the_border(
    measured: Callable[[Tensor, Tensor, int], Tensor],
) -> None:
    output, target = images(0, 1, 3, 20, 24)
    seen = measured(output, target, 3)

    frame = torch.nn.functional.pad(output[..., 3:-3, 3:-3], (3, 3, 3, 3), value=9.0)
    assert torch.equal(measured(frame, target, 3), seen)
    assert torch.equal(measured(metrics.round_to_8_bit(output), target, 3), seen)
    assert not torch.equal(measured(output, target, 2), seen)


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_on_y_is_psnr_of_luma(channels: int) -> None:
    output, target = (metrics.round_to_8_bit(x) for x in images(0, 2, channels, 20, 24))
    inside = (..., slice(2, -2), slice(2, -2))

    expected = metrics.psnr(metrics.luma(output)[inside], metrics.luma(target)[inside], peak=255)
    torch.testing.assert_close(metrics.psnr_y(output, target, border=2), expected)


@given(seeds)
def test_an_image_scores_the_same_in_any_batch(seed: int) -> None:
    output, target = images(seed, 4, 3, 16, 14)
    labels, truth = blobs(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    measures: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor]] = [
        (metrics.psnr, output, target),
        (metrics.ssim, output, target),
        (lambda x, y: metrics.psnr_y(x, y, 1), output, target),
        (lambda x, y: metrics.ssim_y(x, y, 1), output, target),
        (metrics.object_f1, labels, truth),
    ]
    for measured, x, y in measures:
        together = measured(x, y)
        assert together.shape == (4,)
        alone = torch.cat([measured(x[n : n + 1], y[n : n + 1]) for n in range(4)])
        torch.testing.assert_close(alone, together, equal_nan=True, rtol=1e-12, atol=0)
        torch.testing.assert_close(
            measured(x[order], y[order]), together[order], equal_nan=True, rtol=1e-12, atol=0
        )


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


def test_a_class_that_is_only_predicted_scores_0() -> None:
    confusion = metrics.confusion_matrix(torch.tensor([0, 1]), torch.tensor([0, 0]), 3)

    assert metrics.iou(confusion)[:2].tolist() == [0.5, 0]
    assert metrics.mean_iou(confusion).item() == 0.25


def test_nothing_but_ignored_pixels_scores_nan() -> None:
    confusion = metrics.confusion_matrix(torch.tensor([0, 1]), torch.tensor([255, 255]), 2)

    assert confusion.sum() == 0
    assert metrics.mean_iou(confusion).isnan()
    assert metrics.accuracy(confusion).isnan()


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


image = torch.zeros(1, 3, 12, 12)
pair = torch.zeros(1, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: metrics.luma(image[:, :2]), r"got \(1, 2, 12, 12\)"),
        (lambda: metrics.psnr(image, image[..., 1:]), r"got \(1, 3, 12, 12\) and \(1, 3, 12, 11\)"),
        (lambda: metrics.psnr(image[0], image[0]), r"\(N, C, H, W\)"),
        (lambda: metrics.ssim(image[..., 2:], image[..., 2:]), "11 x 11 pixels, got 12 x 10"),
        (lambda: metrics.psnr_y(image, image, 6), "below half of 12 x 12, got 6"),
        (lambda: metrics.psnr_y(image, image, -1), "got -1"),
        (lambda: metrics.ssim_y(image, image, 1), "got 10 x 10"),
        (lambda: metrics.confusion_matrix(pair, pair[0], 2), r"shape \(4, 4\), got \(1, 4, 4\)"),
        (lambda: metrics.confusion_matrix(pair + 2, pair, 2), r"labels in 0..1 .* got 2..2"),
        (lambda: metrics.confusion_matrix(pair, pair + 7, 2), r"target in 0..1 .* got 7..7"),
        (lambda: metrics.object_f1(pair[0], pair[0]), r"\(N, H, W\) .* got \(4, 4\)"),
        (lambda: metrics.object_f1(pair, pair, threshold=0.4), r"\[0.5, 1\), got 0.4"),
    ],
)
def test_what_cannot_be_measured_is_refused(call: Callable[[], Tensor], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()
