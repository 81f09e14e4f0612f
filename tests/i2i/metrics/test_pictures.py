from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy import ndimage  # type: ignore[import-untyped]  # it has no type hints
from skimage import metrics as skimage_metrics
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from i2i import metrics
from tests.i2i.metrics.makers import images, seeds


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


def reference_ms_ssim(output: Tensor, target: Tensor) -> float:
    """Of one gray picture, by torchmetrics' terms at each size, and MATLAB's way to halve."""
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    product = 1.0
    for place, weight in enumerate(weights):
        _, structure = structural_similarity_index_measure(
            output, target, data_range=1.0, return_contrast_sensitivity=True
        )
        _, whole = structural_similarity_index_measure(
            output, target, data_range=1.0, return_full_image=True
        )
        # Of the whole, theirs counts windows over the edge too, on a mirrored picture.
        term = whole[..., 5:-5, 5:-5].mean() if place == 4 else structure.mean()
        product *= float(term) ** weight
        output, target = (
            torch.from_numpy(
                ndimage.correlate(x[0, 0].numpy(), np.full((2, 2), 0.25), mode="reflect", origin=-1)
            )[None, None, ::2, ::2]
            for x in (output, target)
        )
    return product


@pytest.mark.parametrize("size", [(176, 192), (181, 199)])
def test_ms_ssim_is_the_product_of_ssim_s_terms_at_five_sizes(size: tuple[int, int]) -> None:
    output, target = images(0, 1, 1, *size)

    expected = reference_ms_ssim(output, target)
    assert metrics.ms_ssim(output, target).item() == pytest.approx(expected, abs=1e-6)


def test_ms_ssim_is_the_mean_of_the_channels_and_1_of_equal_ones() -> None:
    output, target = images(0, 1, 3, 176, 176)

    channels = [metrics.ms_ssim(output[:, c : c + 1], target[:, c : c + 1]) for c in range(3)]
    assert metrics.ms_ssim(output, target).item() == pytest.approx(float(sum(channels)) / 3)
    assert metrics.ms_ssim(target, target).tolist() == [1]
    assert metrics.ms_ssim(1 - target, target).tolist() == [0]


@settings(max_examples=10)
@given(seeds)
def test_an_image_scores_the_same_in_any_batch(seed: int) -> None:
    output, target = images(seed, 4, 3, 16, 14)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    measures: list[Callable[[Tensor, Tensor], Tensor]] = [
        metrics.psnr,
        metrics.ssim,
        lambda x, y: metrics.psnr_y(x, y, 1),
        lambda x, y: metrics.ssim_y(x, y, 1),
    ]
    for measured in measures:
        together = measured(output, target)
        assert together.shape == (4,)
        alone = torch.cat([measured(output[n : n + 1], target[n : n + 1]) for n in range(4)])
        torch.testing.assert_close(alone, together, rtol=1e-12, atol=0)
        torch.testing.assert_close(
            measured(output[order], target[order]), together[order], rtol=1e-12, atol=0
        )


image = torch.zeros(1, 3, 12, 12)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: metrics.luma(image[:, :2]), r"got \(1, 2, 12, 12\)"),
        (lambda: metrics.psnr(image, image[..., 1:]), r"got \(1, 3, 12, 12\) and \(1, 3, 12, 11\)"),
        (lambda: metrics.psnr(image[0], image[0]), r"\(N, C, H, W\)"),
        (lambda: metrics.ssim(image[..., 2:], image[..., 2:]), "11 x 11 pixels, got 12 x 10"),
        (lambda: metrics.ms_ssim(image, image), "176 x 176 pixels, got 12 x 12; use ssim"),
        (lambda: metrics.psnr_y(image, image, 6), "below half of 12 x 12, got 6"),
        (lambda: metrics.psnr_y(image, image, -1), "got -1"),
        (lambda: metrics.ssim_y(image, image, 1), "got 10 x 10"),
    ],
)
def test_what_cannot_be_measured_is_refused(call: Callable[[], Tensor], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()
