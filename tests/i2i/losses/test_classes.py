from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from i2i.losses import BinaryCrossEntropy, CrossEntropy, Focal, Ohem
from tests.i2i.losses.makers import scores_and_target, seeds

WEIGHTS = [1.0, 2.0, 0.5]


@settings(max_examples=20)
@given(seeds, st.sampled_from([None, WEIGHTS]), st.sampled_from([0.0, 0.1, 0.5]))
def test_cross_entropy_is_torch_s_mean_over_counted_pixels(
    seed: int, weights: list[float] | None, smoothing: float
) -> None:
    scores, target = scores_and_target(seed)

    expected = nn.functional.cross_entropy(
        scores,
        target.long(),
        None if weights is None else torch.tensor(weights),
        ignore_index=255,
        label_smoothing=smoothing,
    )
    got = CrossEntropy(weights=weights, label_smoothing=smoothing)(scores, target)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("loss", [CrossEntropy, BinaryCrossEntropy, Focal, Ohem])
def test_what_a_narrow_target_cannot_hold_is_none_of_its_classes(
    loss: type[CrossEntropy | BinaryCrossEntropy | Focal | Ohem],
) -> None:
    scores, _ = scores_and_target(0)
    target = torch.ones(scores[:, 0].shape, dtype=torch.uint8)

    of_classes = loss(ignore=1 - 256)  # which is 1 in uint8
    torch.testing.assert_close(of_classes(scores, target), of_classes(scores, target.long()))
    assert of_classes(scores, target) > 0


def test_binary_cross_entropy_of_two_opposite_scores_is_cross_entropy_of_their_margin() -> None:
    scores, target = scores_and_target(0)
    target = torch.where(target == 2, 255, target)
    opposite = torch.stack([scores[:, 0], -scores[:, 0]], dim=1)

    # The sigmoid of s is the softmax of s against 0.
    expected = CrossEntropy()(torch.stack([scores[:, 0], 0 * scores[:, 0]], dim=1), target)
    torch.testing.assert_close(BinaryCrossEntropy()(opposite, target), expected)


@settings(max_examples=20)
@given(seeds, st.floats(0, 5))
def test_focal_loss_of_two_classes_is_torchvision_s_of_a_sigmoid(seed: int, gamma: float) -> None:
    scores, target = scores_and_target(seed, ignored=0)
    target.clamp_(max=1)

    margin = scores[:, 1] - scores[:, 0]
    expected = sigmoid_focal_loss(margin, target.float(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(Focal(gamma)(scores[:, :2], target), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_loss_without_a_focus_is_cross_entropy(weights: list[float] | None) -> None:
    scores, target = scores_and_target(0)

    expected = CrossEntropy(weights=weights)(scores, target)
    torch.testing.assert_close(Focal(0, weights=weights)(scores, target), expected)


def test_a_focus_turns_from_easy_pixels_to_hard_ones() -> None:
    # Probability 0.9 and 0.1 of the true class, the first.
    scores = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log().view(1, 2, 1, 2)
    target = torch.zeros(1, 1, 2, dtype=torch.long)

    expected = -(0.1**2 * math.log(0.9) + 0.9**2 * math.log(0.1)) / 2
    assert Focal(2)(scores, target).item() == pytest.approx(expected, rel=1e-5)


@settings(max_examples=20)
@given(seeds, st.floats(0.05, 1), st.floats(0.01, 1))
def test_hard_examples_are_those_below_the_threshold_or_the_hardest(
    seed: int, threshold: float, share: float
) -> None:
    scores, target = scores_and_target(seed)

    shares = scores.detach().softmax(dim=1).movedim(1, -1)[target != 255].tolist()
    true = sorted(p[k] for p, k in zip(shares, target[target != 255].tolist(), strict=True))
    hard = [p for p in true if p < threshold]
    kept = max(hard, true[: math.ceil(share * len(true))], key=len)
    expected = sum(-math.log(p) for p in kept) / len(kept)
    assert Ohem(threshold, share)(scores, target).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_all_examples_together_are_cross_entropy(weights: list[float] | None) -> None:
    scores, target = scores_and_target(0)

    expected = CrossEntropy(weights=weights)(scores, target)
    torch.testing.assert_close(Ohem(share=1, weights=weights)(scores, target), expected)


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match=r"share in \[0, 1\), got 1"):
        CrossEntropy(label_smoothing=1)
    with pytest.raises(ValueError, match=r"gamma: .* at least 0, got -1"):
        Focal(gamma=-1)
    with pytest.raises(ValueError, match=r"threshold: .* \(0, 1\], got 0"):
        Ohem(threshold=0)
    with pytest.raises(ValueError, match=r"share: .* \(0, 1\], got 2"):
        Ohem(share=2)


@pytest.mark.parametrize("kind", [CrossEntropy, Focal, Ohem])
@pytest.mark.parametrize("weights", [[], [0.0, 0.0, 0.0], [1.0, -1.0, 1.0], [1.0, math.nan, 1.0]])
def test_weights_without_a_meaning_are_refused(
    kind: type[CrossEntropy | Focal | Ohem], weights: list[float]
) -> None:
    with pytest.raises(ValueError, match="weights: expected finite numbers of at least 0"):
        kind(weights=weights)


@pytest.mark.parametrize("kind", [CrossEntropy, Focal, Ohem])
def test_a_weight_for_each_class_is_asked_for(kind: type[CrossEntropy | Focal | Ohem]) -> None:
    with pytest.raises(ValueError, match="one for each of 3, got 2"):
        kind(weights=[1, 2])(*scores_and_target(0))


@pytest.mark.parametrize("kind", [CrossEntropy, Focal, Ohem])
def test_pixels_of_a_class_without_weight_cost_nothing(
    kind: type[CrossEntropy | Focal | Ohem],
) -> None:
    scores, target = scores_and_target(0)

    assert kind(weights=[0, 1, 1])(scores, torch.zeros_like(target)) == 0
