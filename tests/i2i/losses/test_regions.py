from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from i2i.losses import Boundary, Dice, GeneralizedDice, Lovasz, Tversky
from tests.i2i.losses.makers import gradient, scores_and_target, seeds

SURE = torch.tensor([[0, 0, 1, 1]])
TARGET = torch.tensor([[[0, 0, 0, 1]]])


def sure_scores() -> Tensor:
    """Of four pixels, all but the third rightly labelled."""
    return 100.0 * torch.nn.functional.one_hot(SURE, 3).movedim(-1, 0).unsqueeze(0)


def test_dice_is_the_mean_over_classes_that_are_there() -> None:
    # Class 0: 2 * 2 / (2 + 3); class 1: 2 * 1 / (2 + 1); class 2 is absent.
    expected = 1 - (4 / 5 + 2 / 3) / 2
    assert Dice(smooth=0)(sure_scores(), TARGET).item() == pytest.approx(expected)
    expected = 1 - (5 / 6 + 3 / 4) / 2
    assert Dice(smooth=1)(sure_scores(), TARGET).item() == pytest.approx(expected)


def test_dice_of_sigmoids_judges_each_class_by_its_own_score() -> None:
    scores, target = scores_and_target(0, ignored=0)
    truth = torch.nn.functional.one_hot(target.long(), 3).movedim(-1, 1)
    shares = scores.sigmoid()
    overlap, areas = ((part).sum(dim=(0, 2, 3)) for part in (shares * truth, shares + truth))

    expected = (1 - (2 * overlap + 1) / (areas + 1)).mean()
    torch.testing.assert_close(Dice(probability="sigmoid")(scores, target), expected)
    with pytest.raises(ValueError, match="expected softmax or sigmoid, got 'logits'"):
        Dice(probability="logits")  # type: ignore[arg-type]


def test_tversky_charges_false_and_missed_pixels_apart() -> None:
    # Class 0 misses one pixel of three, class 1 takes one that is not its own.
    expected = 1 - (2 / (2 + 0.7) + 1 / (1 + 0.3)) / 2
    assert Tversky(smooth=0)(sure_scores(), TARGET).item() == pytest.approx(expected)


@given(seeds)
@settings(max_examples=20)
def test_tversky_of_equal_charges_is_dice(seed: int) -> None:
    scores, target = scores_and_target(seed)

    expected = Dice(smooth=2)(scores, target)
    torch.testing.assert_close(Tversky(0.5, 0.5, smooth=1)(scores, target), expected)


def test_generalised_dice_weighs_classes_by_their_area() -> None:
    # Areas 3 and 1: overlaps 2 and 1, areas of both sides 2 + 3 and 2 + 1.
    expected = 1 - 2 * (2 / 9 + 1) / (5 / 9 + 3)
    assert GeneralizedDice()(sure_scores(), TARGET).item() == pytest.approx(expected)


def lovasz_by_permutations(errors: list[float], truth: list[bool]) -> float:
    """The Lovász extension of 1 - IoU as what it is for a submodular function: a maximum."""

    def cost(wrong: tuple[int, ...]) -> float:
        hits = sum(truth) - sum(truth[i] for i in wrong)
        return 1 - hits / (sum(truth) + sum(not truth[i] for i in wrong))

    return max(
        sum(errors[i] * (cost(order[: n + 1]) - cost(order[:n])) for n, i in enumerate(order))
        for order in permutations(range(len(errors)))
    )


@settings(max_examples=20)
@given(seeds)
def test_lovasz_is_the_extension_of_the_jaccard_loss(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(1, 3, 1, 5, generator=random)
    target = torch.randint(3, (1, 1, 5), generator=random)

    shares = scores.softmax(dim=1)[0, :, 0]
    costs = []
    for k in set(target.flatten().tolist()):
        truth = (target.flatten() == k).tolist()
        errors = [1 - p if t else p for p, t in zip(shares[k].tolist(), truth, strict=True)]
        costs.append(lovasz_by_permutations(errors, truth))
    got = Lovasz()(scores, target).item()
    assert got == pytest.approx(sum(costs) / len(costs), abs=1e-6)


def test_lovasz_of_sure_answers_is_1_minus_iou() -> None:
    # IoU of class 0 is 2 / 3, of class 1 is 1 / 2.
    expected = 1 - (2 / 3 + 1 / 2) / 2
    assert Lovasz()(sure_scores(), TARGET).item() == pytest.approx(expected)


def signed_distances(target: Tensor, k: int) -> Tensor:
    """(H, W), below 0 inside class k, half a pixel beside its outline; by trying all pixels."""
    places = torch.cartesian_prod(torch.arange(target.shape[0]), torch.arange(target.shape[1]))
    apart = torch.cdist(places.double(), places.double())
    inside, known = target.flatten() == k, target.flatten() != 255
    to_class = apart[:, inside].amin(dim=1)
    to_others = apart[:, known & ~inside].amin(dim=1)
    return torch.where(inside, 0.5 - to_others, to_class - 0.5).view(target.shape)


@settings(max_examples=20)
@given(seeds)
def test_the_boundary_loss_is_the_paper_s_up_to_a_constant(seed: int) -> None:
    scores, target = scores_and_target(seed)
    # A class that a mask lacks is at no distance.
    assume(all((mask == k).any() for mask in target for k in range(3)))
    counted = target != 255
    distances = torch.stack(
        [torch.stack([signed_distances(mask, k) for k in range(3)]) for mask in target]
    )
    weighed = (distances * counted.unsqueeze(1)).requires_grad_(False)
    total = counted.sum() * 3
    one_hot = torch.nn.functional.one_hot(target.long().where(counted, 0), 3).movedim(-1, 1)

    paper = (weighed * scores.softmax(dim=1)).sum() / total
    constant = (weighed * one_hot).sum() / total
    torch.testing.assert_close(Boundary()(scores, target).double(), paper - constant)
    (expected,) = torch.autograd.grad(paper, scores)
    torch.testing.assert_close(gradient(Boundary(), scores, target), expected)


def test_what_lies_farther_out_costs_more() -> None:
    target = torch.zeros(1, 9, 9, dtype=torch.long)
    target[:, :, :3] = 1
    scores = 20.0 * torch.nn.functional.one_hot(target, 2).movedim(-1, 1)
    costs = []
    for column in range(3, 9):
        wrong = scores.clone()
        wrong[:, :, 4, column] = wrong[:, :, 4, column].flip(1)
        costs.append(Boundary()(wrong, target).item())

    # One pixel wrong in both of two classes, of 81.
    assert costs == pytest.approx([(0.5 + n) / 81 for n in range(6)], rel=1e-4)


@given(st.sampled_from([-1.0, float("nan"), float("inf")]))
def test_arguments_without_a_meaning_are_refused(value: float) -> None:
    for make in (Dice, Tversky):
        with pytest.raises(ValueError, match="at least 0 pixels"):
            make(smooth=value)
    with pytest.raises(ValueError, match="alpha: expected a number of at least 0"):
        Tversky(alpha=value)
    with pytest.raises(ValueError, match="one above 0"):
        Tversky(0, 0)
