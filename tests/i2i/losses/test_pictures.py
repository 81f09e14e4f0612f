from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchmetrics.functional.image import structural_similarity_index_measure

from i2i.losses import Charbonnier, FrequencyL1, Luma, Ssim
from tests.i2i.losses.makers import gradient, seeds

LOSSES = [Charbonnier(), FrequencyL1(), Luma(), Ssim()]
losses = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


@losses
@settings(max_examples=10)
@given(seed=seeds)
def test_equal_pictures_cost_nothing_and_pull_nowhere(loss: nn.Module, seed: int) -> None:
    target = torch.rand(2, 3, 12, 13, generator=torch.Generator().manual_seed(seed))
    output = target.clone().requires_grad_()

    assert loss(output, target).item() == 0
    torch.testing.assert_close(gradient(loss, output, target), torch.zeros_like(output))


@losses
def test_going_down_the_gradient_lowers_the_loss(loss: nn.Module) -> None:
    random = torch.Generator().manual_seed(0)
    target, output = torch.rand(2, 2, 3, 12, 13, generator=random)
    output.requires_grad_()

    pull = gradient(loss, output, target)
    assert loss(output - 0.01 * pull / pull.abs().max(), target) < loss(output, target)


@losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_changes_the_output_and_not_the_counting(
    loss: nn.Module, dtype: torch.dtype
) -> None:
    random = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 1, 1, 40, 50, generator=random)
    output = output.to(dtype).requires_grad_()

    with torch.autocast("cpu", torch.bfloat16):
        got = loss(output, target)
    torch.testing.assert_close(got, loss(output.float(), target))
    assert gradient(loss, output, target).isfinite().all()


@losses
def test_flat_and_far_off_pictures_have_a_finite_gradient(loss: nn.Module) -> None:
    for value in (0.0, 1.0, -1e4):
        output = torch.full((1, 1, 12, 12), value).requires_grad_()
        assert gradient(loss, output, torch.zeros(1, 1, 12, 12)).isfinite().all()


@losses
def test_a_picture_of_another_shape_is_refused(loss: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 12, 12\)"):
        loss(torch.zeros(1, 3, 12, 12), torch.zeros(1, 1, 12, 12))


@given(st.floats(-2, 2), st.floats(1e-4, 1))
def test_charbonnier_is_the_smooth_absolute_error(error: float, epsilon: float) -> None:
    output = torch.full((1, 1, 2, 2), error, dtype=torch.float64)

    expected = (error**2 + epsilon**2) ** 0.5 - epsilon
    loss = Charbonnier(epsilon)(output, torch.zeros_like(output))
    assert loss.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [(12, 12), (7, 10), (1, 5)])
def test_the_frequency_loss_is_that_of_the_fourier_transform(size: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 2, 3, *size, generator=random, dtype=torch.float64)

    spectrum = np.fft.rfft2((output - target).numpy()) / (size[0] * size[1]) ** 0.5
    expected = (np.abs(spectrum.real) + np.abs(spectrum.imag)).mean() / 2
    assert FrequencyL1()(output, target).item() == pytest.approx(expected)


def test_noise_costs_the_same_in_every_size() -> None:
    random = torch.Generator().manual_seed(0)
    costs = [
        FrequencyL1()(torch.randn(1, 4, n, n, generator=random), torch.zeros(1, 4, n, n)).item()
        for n in (64, 128, 256)
    ]

    assert costs == pytest.approx([costs[0]] * 3, rel=0.03)


def test_the_similarity_loss_is_1_minus_the_mean_of_the_metric() -> None:
    random = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 20, 24, generator=random)
    output = (target + 0.1 * torch.randn(target.shape, generator=random)).clamp(0, 1)

    _, similarity = structural_similarity_index_measure(
        output, target, data_range=1.0, return_full_image=True
    )
    # Theirs counts windows over the edge too, on a mirrored picture.
    expected = 1 - similarity[..., 5:-5, 5:-5].mean()
    torch.testing.assert_close(Ssim()(output, target), expected, atol=1e-5, rtol=0)


def test_an_epsilon_of_0_is_refused() -> None:
    with pytest.raises(ValueError, match="epsilon above 0, got 0"):
        Charbonnier(epsilon=0)


def test_luma_sees_brightness_alone_and_green_most() -> None:
    target = torch.full((1, 3, 4, 4), 0.5)
    colour = torch.tensor([0.114, 0.0, -0.299])[:, None, None] * 0.5
    red, green, blue = (target + 0.1 * torch.eye(3)[i][:, None, None] for i in range(3))
    loss = Luma(nn.L1Loss())

    assert loss(target + colour, target) == pytest.approx(0, abs=1e-7)
    costs = [loss(each, target).item() for each in (red, green, blue)]
    assert costs == pytest.approx([0.0299, 0.0587, 0.0114], rel=1e-4)


def test_luma_of_gray_is_its_loss() -> None:
    output, target = torch.rand(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    assert Luma()(output, target) == Charbonnier()(output, target)
