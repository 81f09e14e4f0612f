from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from i2i.losses import MaskedHuber, MaskedL1, ScaleInvariantLog
from tests.i2i.losses.makers import gradient, seeds

LOSSES = [MaskedL1(), MaskedHuber(), ScaleInvariantLog(), ScaleInvariantLog(invariance=1)]
losses = pytest.mark.parametrize("loss", LOSSES, ids=["L1", "Huber", "log", "invariant log"])


def maps(seed: int, unknown: float = 0.3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    output, target = 0.05 + torch.rand(2, 2, 1, 6, 5, generator=random)
    target[torch.rand(target.shape, generator=random) < unknown] = math.nan
    return output.requires_grad_(), target


@losses
@settings(max_examples=20)
@given(seed=seeds)
def test_equal_maps_cost_nothing_and_pull_nowhere(loss: nn.Module, seed: int) -> None:
    output, target = maps(seed)
    target = torch.where(target.isnan(), target, output.detach())

    assert loss(output, target).item() == 0
    assert (gradient(loss, output, target) == 0).all()


@losses
@settings(max_examples=20)
@given(seed=seeds)
def test_values_without_a_target_have_no_say(loss: nn.Module, seed: int) -> None:
    output, target = maps(seed)
    changed = torch.where(target.isnan(), 100 * output, output)

    assert loss(changed, target).item() == loss(output, target).item()
    pull = gradient(loss, output, target)
    assert pull.isfinite().all()
    assert (pull[target.isnan()] == 0).all()
    assert (pull[~target.isnan()] != 0).any()


@losses
def test_a_batch_without_any_target_costs_0_with_a_gradient_of_0(loss: nn.Module) -> None:
    output, target = maps(0, unknown=1)

    assert loss(output, target).item() == 0
    assert (gradient(loss, output, target) == 0).all()


@losses
def test_going_down_the_gradient_lowers_the_loss(loss: nn.Module) -> None:
    output, target = maps(0)

    assert loss(output - 0.01 * gradient(loss, output, target), target) < loss(output, target)


@losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_changes_the_output_and_not_the_counting(
    loss: nn.Module, dtype: torch.dtype
) -> None:
    output = torch.rand(1, 1, 300, 300).to(dtype).requires_grad_()
    target = torch.rand(1, 1, 300, 300)

    torch.testing.assert_close(loss(output, target), loss(output.float(), target))
    assert gradient(loss, output, target).isfinite().all()


@losses
def test_a_map_of_another_shape_is_refused(loss: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 1, 4, 4\), got \(1, 4, 4\)"):
        loss(torch.zeros(1, 4, 4), torch.zeros(1, 1, 4, 4))


@settings(max_examples=20)
@given(seeds, st.floats(0.01, 2))
def test_absolute_errors_and_huber_s_are_torch_s_on_the_known_values(
    seed: int, delta: float
) -> None:
    output, target = maps(seed)
    known = ~target.isnan()

    torch.testing.assert_close(
        MaskedL1()(output, target), nn.L1Loss()(output[known], target[known])
    )
    torch.testing.assert_close(
        MaskedHuber(delta)(output, target), nn.HuberLoss(delta=delta)(output[known], target[known])
    )


@settings(max_examples=20)
@given(seeds, st.floats(0, 1))
def test_the_logarithmic_error_is_that_of_all_pairs_of_pixels(seed: int, invariance: float) -> None:
    output, target = maps(seed)

    costs = []
    for x, y in zip(output, target, strict=True):
        error = (x.log() - y.log())[~y.isnan()]
        # Eigen et al., equation 3: pairs of pixels; the rest of the mean square comes on top.
        pairs = (error[:, None] - error[None]).square().mean() / 2
        costs.append(pairs + (1 - invariance) * error.mean().square())
    expected = torch.stack(costs).mean()
    torch.testing.assert_close(
        ScaleInvariantLog(invariance)(output, target), expected, rtol=1e-4, atol=1e-6
    )


def test_a_common_factor_is_forgiven_as_told() -> None:
    _, target = maps(0)

    costs = [ScaleInvariantLog(share)(2 * target, target).item() for share in (0, 0.5, 1)]
    square = math.log(2) ** 2
    assert costs == pytest.approx([square, square / 2, 0], abs=1e-6)


def test_outputs_of_0_or_less_are_pulled_up() -> None:
    for value in (-1e3, -1.0, 0.0, 1e-4):
        output = torch.full((1, 4), value).requires_grad_()
        pull = gradient(ScaleInvariantLog(), output, torch.full((1, 4), 0.5))
        assert pull.isfinite().all()
        assert (pull < 0).all()


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="delta: expected a number above 0, got 0"):
        MaskedHuber(delta=0)
    with pytest.raises(ValueError, match=r"invariance: .* \[0, 1\], got 2"):
        ScaleInvariantLog(invariance=2)
    with pytest.raises(ValueError, match=r"floor: .* above 0, got 0"):
        ScaleInvariantLog(floor=0)
