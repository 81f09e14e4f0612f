"""What every loss of class scores keeps (law 4)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from i2i.losses import (
    BinaryCrossEntropy,
    Boundary,
    CrossEntropy,
    Dice,
    Focal,
    GeneralizedDice,
    Lovasz,
    Ohem,
    Sum,
    Tversky,
)
from tests.i2i.losses.makers import gradient, scores_and_target, seeds

LOSSES = {
    "cross-entropy": CrossEntropy(),
    "weighted cross-entropy": CrossEntropy(weights=[1, 2, 0.5]),
    "binary cross-entropy": BinaryCrossEntropy(),
    "focal": Focal(),
    "focal with a steep end": Focal(gamma=0.5, weights=[1, 2, 0.5]),
    "hard examples": Ohem(),
    "Dice": Dice(),
    "Dice without smoothing": Dice(smooth=0),
    "Dice of sigmoids": Dice(probability="sigmoid"),
    "generalised Dice": GeneralizedDice(),
    "Tversky": Tversky(),
    "Lovász": Lovasz(),
    "boundary": Boundary(),
    "sum": Sum([CrossEntropy(), Dice()], [1, 1]),
}
KINDS = [
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    Ohem,
    Dice,
    GeneralizedDice,
    Tversky,
    Lovasz,
    Boundary,
]
class_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


@class_losses
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_class_losses_vanish_as_the_true_margin_grows(loss: nn.Module, dtype: torch.dtype) -> None:
    _, target = scores_and_target(0, ignored=0)
    # Above 0 where it is true, below where not: softmax and sigmoid both grow sure.
    sure = 2 * nn.functional.one_hot(target.long(), 3).movedim(-1, 1).float() - 1

    costs = [loss(margin * sure, target.to(dtype)).item() for margin in (0, 1, 4, 16, 64)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 0.1
    assert costs[-1] == pytest.approx(0, abs=1e-6)


@class_losses
@settings(max_examples=8)
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


@pytest.mark.parametrize("kind", KINDS)
def test_any_class_can_be_the_ignored_one(kind: type[nn.Module]) -> None:
    scores, target = scores_and_target(0)
    other = torch.where(target == 0, 255, target)
    as_class_0 = torch.where(other == 255, 0, other)

    assert kind(ignore=0)(scores, as_class_0) == kind()(scores, other)


@class_losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_changes_the_scores_and_not_the_counting(
    loss: nn.Module, dtype: torch.dtype
) -> None:
    # More pixels than float16 can count.
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 3, 260, 260, generator=random).to(dtype).requires_grad_()
    target = torch.randint(3, (1, 260, 260), generator=random)

    got = loss(scores, target)
    torch.testing.assert_close(got, loss(scores.float(), target))
    assert gradient(loss, scores, target).isfinite().all()


@class_losses
@pytest.mark.parametrize("true", [0, 2])
def test_a_picture_of_one_class_alone_has_a_finite_gradient(loss: nn.Module, true: int) -> None:
    scores, target = scores_and_target(0)

    assert gradient(loss, scores, torch.full_like(target, true)).isfinite().all()
    single = torch.full_like(target, true)
    single[0, 3, 2] = 1
    assert gradient(loss, scores, single).isfinite().all()
    assert loss(scores, single) > 0
