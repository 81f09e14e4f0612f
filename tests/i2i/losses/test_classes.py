from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from i2i.losses import Charbonnier, CrossEntropy, Dice, Sum

seeds = st.integers(0, 2**31)
class_losses = pytest.mark.parametrize(
    "loss",
    [CrossEntropy(), CrossEntropy(weights=[1, 2, 0.5]), Dice(), Dice(smooth=0)],
    ids=["cross-entropy", "weighted cross-entropy", "Dice", "Dice without smoothing"],
)


def scores_and_target(seed: int, ignored: float = 0.3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, 3, 6, 5, generator=random)
    target = torch.randint(3, (2, 6, 5), generator=random, dtype=torch.uint8)
    target[torch.rand(target.shape, generator=random) < ignored] = 255
    return scores.requires_grad_(), target


def gradient(loss: nn.Module, output: Tensor, target: Tensor) -> Tensor:
    (result,) = torch.autograd.grad(loss(output, target), output)
    return result


@given(seeds)
def test_equal_pictures_cost_nothing_and_pull_nowhere(seed: int) -> None:
    target = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    output = target.clone().requires_grad_()

    assert Charbonnier()(output, target).item() == 0
    assert (gradient(Charbonnier(), output, target) == 0).all()


@given(st.floats(-2, 2), st.floats(1e-4, 1))
def test_charbonnier_is_the_smooth_absolute_error(error: float, epsilon: float) -> None:
    output = torch.full((1, 1, 2, 2), error, dtype=torch.float64)

    expected = (error**2 + epsilon**2) ** 0.5 - epsilon
    loss = Charbonnier(epsilon)(output, torch.zeros_like(output))
    assert loss.item() == pytest.approx(expected, abs=1e-12)


@class_losses
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_class_losses_vanish_as_the_true_margin_grows(loss: nn.Module, dtype: torch.dtype) -> None:
    _, target = scores_and_target(0, ignored=0)
    truth = nn.functional.one_hot(target.long(), 3).movedim(-1, 1).float()

    costs = [loss(margin * truth, target.to(dtype)).item() for margin in (0, 1, 4, 16, 64)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 0.3
    assert costs[-1] == pytest.approx(0, abs=1e-6)


@class_losses
@given(seed=seeds)
def test_ignored_pixels_have_no_say(loss: nn.Module, seed: int) -> None:
    scores, target = scores_and_target(seed)
    ignored = (target == 255).unsqueeze(1)
    changed = torch.where(ignored, 100 * scores.roll(1, 1), scores)

    assert loss(changed, target).item() == loss(scores, target).item()
    pull = gradient(loss, scores, target)
    assert pull.isfinite().all()
    assert (pull.masked_select(ignored) == 0).all()
    assert (pull.masked_select(~ignored) != 0).any()


@class_losses
def test_a_batch_of_ignored_pixels_costs_0_with_a_gradient_of_0(loss: nn.Module) -> None:
    scores, target = scores_and_target(0, ignored=1)

    assert loss(scores, target).item() == 0
    assert (gradient(loss, scores, target) == 0).all()


@class_losses
def test_extreme_scores_have_a_finite_loss_and_gradient(loss: nn.Module) -> None:
    scores, target = scores_and_target(0)
    extreme = (1e4 * scores).detach().requires_grad_()

    assert loss(extreme, target).isfinite()
    assert gradient(loss, extreme, target).isfinite().all()


@class_losses
def test_going_down_the_gradient_lowers_the_loss(loss: nn.Module) -> None:
    scores, target = scores_and_target(0)

    lower = scores - 0.1 * gradient(loss, scores, target)
    assert loss(lower, target) < loss(scores, target)


@given(seeds)
def test_cross_entropy_is_torch_s_mean_over_counted_pixels(seed: int) -> None:
    scores, target = scores_and_target(seed)

    for weights in (None, [1.0, 2.0, 0.5]):
        tensor = None if weights is None else torch.tensor(weights)
        expected = nn.functional.cross_entropy(scores, target.long(), tensor, ignore_index=255)
        torch.testing.assert_close(CrossEntropy(weights=weights)(scores, target), expected)


def test_any_class_can_be_the_ignored_one() -> None:
    scores, target = scores_and_target(0)
    other = torch.where(target == 0, 255, target)
    as_class_0 = torch.where(other == 255, 0, other)

    assert CrossEntropy(ignore=0)(scores, as_class_0) == CrossEntropy()(scores, other)
    assert Dice(ignore=0)(scores, as_class_0) == Dice()(scores, other)


def test_dice_is_the_mean_over_classes_that_are_there() -> None:
    target = torch.tensor([[[0, 0, 0, 1]]])
    sure = torch.tensor([[0, 0, 1, 1]])
    scores = 100.0 * nn.functional.one_hot(sure, 3).movedim(-1, 0).unsqueeze(0)

    # Class 0: 2 * 2 / (2 + 3); class 1: 2 * 1 / (2 + 1); class 2 is absent.
    expected = 1 - (4 / 5 + 2 / 3) / 2
    assert Dice(smooth=0)(scores, target).item() == pytest.approx(expected)
    expected = 1 - (5 / 6 + 3 / 4) / 2
    assert Dice(smooth=1)(scores, target).item() == pytest.approx(expected)


def test_a_sum_weighs_its_losses_and_their_gradients() -> None:
    scores, target = scores_and_target(0)
    parts = [CrossEntropy(), Dice()]
    both = Sum(parts, [1.0, 0.5])

    expected = parts[0](scores, target) + 0.5 * parts[1](scores, target)
    torch.testing.assert_close(both(scores, target), expected)
    pull = gradient(parts[0], scores, target) + 0.5 * gradient(parts[1], scores, target)
    torch.testing.assert_close(gradient(both, scores, target), pull)


def test_losses_move_with_the_module_and_leave_no_trace_in_a_checkpoint() -> None:
    both = Sum([CrossEntropy(weights=[1, 2, 3]), Dice()], [1, 1]).to("meta")

    assert next(both.buffers()).device.type == "meta"
    assert both.state_dict() == {}


@class_losses
def test_a_value_that_is_no_class_is_refused(loss: nn.Module) -> None:
    scores, target = scores_and_target(0)
    target[0, 0, :2] = torch.tensor([3, 254])

    with pytest.raises(ValueError, match=r"classes in 0..2, or 255 to ignore, got \[3, 254\]"):
        loss(scores, target)


@class_losses
def test_a_target_of_another_shape_is_refused(loss: nn.Module) -> None:
    scores, target = scores_and_target(0)

    with pytest.raises(ValueError, match=r"got \(2, 3, 6, 5\) and \(2, 6, 4\)"):
        loss(scores, target[..., :4])
    with pytest.raises(ValueError, match="expected scores"):
        loss(scores[0], target)


def test_a_picture_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 1, 4, 4\), got \(1, 3, 4, 4\)"):
        Charbonnier()(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="epsilon above 0, got 0"):
        Charbonnier(epsilon=0)
    with pytest.raises(ValueError, match="at least 0 pixels, got -1"):
        Dice(smooth=-1)
    with pytest.raises(ValueError, match="got 1 losses and 2 weights"):
        Sum([Dice()], [1, 2])
