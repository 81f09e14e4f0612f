from __future__ import annotations

import pytest
import torch

from i2i.losses import Charbonnier, CrossEntropy, Dice, Sum, with_auxiliary
from tests.i2i.losses.makers import gradient, scores_and_target


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


def test_auxiliary_outputs_are_weighed_beside_the_output() -> None:
    target = torch.zeros(1, 1, 4, 4)
    loss = torch.nn.L1Loss()

    alone = with_auxiliary(loss, target + 1, [], target, weight=0.4)
    assert alone.item() == 1
    both = with_auxiliary(loss, target + 1, [target + 2, target - 3], target, weight=0.4)
    assert both.item() == pytest.approx(1 + 0.4 * (2 + 3))


def test_weights_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 losses and 2 weights"):
        Sum([Dice()], [1, 2])
    with pytest.raises(ValueError, match="got 0 losses"):
        Sum([], [])
    with pytest.raises(ValueError, match=r"at least 0, one above 0, got \[1, -1\]"):
        Sum([Charbonnier(), Charbonnier()], [1, -1])
