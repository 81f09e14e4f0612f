"""Losses of class scores that judge whole regions: overlap (Dice, Tversky, Lovász) and outline."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from i2i.losses.checks import class_planes, scores_and_counted
from i2i.metrics.distances import distance_to

Probability = Literal["softmax", "sigmoid"]


class Dice(nn.Module):
    """1 - Dice coefficient of the probabilities, mean over the classes in the batch's target.

    Pixels are counted over the whole batch; 0 if all are ignored. After V-Net (arXiv 1606.04797),
    which has one class and squares in the denominator.

    Args:
        ignore: the target value of pixels without a true class.
        smooth: added to numerator and denominator, in pixels; steadies classes of few pixels.
        probability: `softmax` over the classes, or each class's `sigmoid`.
    """

    def __init__(
        self, ignore: int = 255, smooth: float = 1.0, probability: Probability = "softmax"
    ) -> None:
        super().__init__()
        _check_smooth(smooth)
        if probability not in get_args(Probability):
            raise ValueError(f"probability: expected softmax or sigmoid, got {probability!r}")
        self.ignore, self.smooth, self.probability = ignore, smooth, probability

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        overlap, predicted, true = _areas(output, target, self.ignore, self.probability)
        present = true > 0
        # An absent class is left out; until then the 1 keeps it from 0 / 0.
        areas = torch.where(present, predicted + true + self.smooth, 1)
        return _mean_of_present(1 - (2 * overlap + self.smooth) / areas, present)


class Tversky(nn.Module):
    """1 - Tversky index of the softmax, mean over the classes in the batch's target.

    The index is TP / (TP + alpha · FP + beta · FN), counted over the whole batch; the loss is 0 if
    all pixels are ignored (arXiv 1706.05721, there of one class). Both 0.5 is `Dice`, with half its
    `smooth`.

    Args:
        alpha: what a pixel costs that is wrongly taken for the class, at least 0.
        beta: what a pixel of the class costs that is missed, at least 0.
        ignore: the target value of pixels without a true class.
        smooth: added to numerator and denominator, in pixels; steadies classes of few pixels.
    """

    def __init__(
        self, alpha: float = 0.3, beta: float = 0.7, ignore: int = 255, smooth: float = 1.0
    ) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least 0, got {value}")
        if alpha == beta == 0:
            raise ValueError("alpha and beta: expected one above 0, got 0 and 0")
        _check_smooth(smooth)
        self.alpha, self.beta, self.ignore, self.smooth = alpha, beta, ignore, smooth

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        overlap, predicted, true = _areas(output, target, self.ignore)
        present = true > 0
        # As a quotient of the costs: no cancellation, and no 0 / 0 where nothing overlaps.
        cost = self.alpha * (predicted - overlap) + self.beta * (true - overlap)
        whole = torch.where(present, overlap + cost + self.smooth, 1)
        return _mean_of_present(cost / torch.where(whole > 0, whole, 1), present)


class GeneralizedDice(nn.Module):
    """1 - generalised Dice of the softmax: classes weigh 1 / area^2 (arXiv 1707.03237).

    Areas are the target's, over the whole batch; a class absent from it weighs 0; the loss is 0 if
    all pixels are ignored.

    Args:
        ignore: the target value of pixels without a true class.
    """

    def __init__(self, ignore: int = 255) -> None:
        super().__init__()
        self.ignore = ignore

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        overlap, predicted, true = _areas(output, target, self.ignore)
        weights = torch.where(true > 0, 1 / true.clamp(min=1).square(), 0)
        areas = (weights * (predicted + true)).sum()
        # The difference first: 1 - the quotient would be rounded at 1.
        missed = (weights * (predicted + true - 2 * overlap)).sum()
        return missed / torch.where(areas > 0, areas, 1)


class Lovasz(nn.Module):
    """Lovász-softmax: a surrogate of 1 - IoU, mean over the batch target's classes.

    Berman et al., arXiv 1705.08790, with pixels counted over the whole batch ("present" classes of
    the authors' code); 0 if all are ignored. Its gradient is small far from the solution: add it to
    cross-entropy.

    Args:
        ignore: the target value of pixels without a true class.
    """

    def __init__(self, ignore: int = 255) -> None:
        super().__init__()
        self.ignore = ignore

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        scores, counted = scores_and_counted(output, target, self.ignore)
        shares = scores.softmax(dim=1).movedim(1, 0)[:, counted]
        truth = torch.arange(len(shares), device=shares.device).unsqueeze(1) == target[counted]
        errors, order = (shares - truth.to(shares.dtype)).abs().sort(dim=1, descending=True)
        steps = _jaccard_steps(truth.gather(1, order)).to(errors.dtype)
        return _mean_of_present((errors * steps).sum(dim=1), truth.any(dim=1))


class Boundary(nn.Module):
    """Distance between the outlines of softmax and target, in pixels (arXiv 1812.07032).

    For each class, a pixel costs the difference of its softmax from the truth, times its distance
    from the outline of the class; mean over counted pixels and classes, 0 if all pixels are
    ignored. The outline runs between pixels: those beside it are half a pixel away. The paper drops
    the truth's own share, so its loss is lower by a constant; here it is 0 at the truth. A class
    has no outline, and no say, in a picture that lacks it or is full of it.

    It says little where classes are missing: the paper adds it to a Dice loss with a small weight.
    The distances are exact, and cost about as many operations per pixel as the largest of them.

    Args:
        ignore: the target value of pixels without a true class.
    """

    def __init__(self, ignore: int = 255) -> None:
        super().__init__()
        self.ignore = ignore

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        scores, counted = scores_and_counted(output, target, self.ignore)
        truth = class_planes(target, counted, scores.shape[1])
        others = ~truth & counted.unsqueeze(1)
        outlined = truth.any(dim=(2, 3)) & others.any(dim=(2, 3))
        distances = distance_to(truth[outlined]) + distance_to(others[outlined]) - 0.5
        # At least 0: outside, more of the class is worse; inside, less of it.
        wrong = (scores.softmax(dim=1) - truth.to(scores.dtype)).abs()
        wrong = wrong.masked_fill(~counted.unsqueeze(1), 0)
        return (wrong[outlined] * distances).sum() / (counted.sum() * scores.shape[1]).clamp(min=1)


def _areas(
    output: Tensor, target: Tensor, ignore: int, probability: Probability = "softmax"
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each class (K,): sum of its probability inside the truth, everywhere, and of the truth."""
    scores, counted = scores_and_counted(output, target, ignore)
    shares = scores.softmax(dim=1) if probability == "softmax" else scores.sigmoid()
    # Without a plane of the truth for each class, which would cost as much as the net.
    classes = target.long().where(counted, 0)
    inside = shares.gather(1, classes.unsqueeze(1)).squeeze(1) * counted
    # One by one: float32 would lose what is added to millions of pixels.
    none = shares.new_zeros(shares.shape[1], dtype=torch.float64)
    overlap = none.index_add(0, classes.flatten(), inside.flatten().double())
    true = none.index_add(0, classes.flatten(), counted.flatten().double())
    predicted = (shares * counted.unsqueeze(1)).sum(dim=(0, 2, 3))
    return overlap.to(shares.dtype), predicted, true.to(shares.dtype)


def _jaccard_steps(truth: Tensor) -> Tensor:
    """What each of (K, P) pixels, once wrong too, adds to 1 - IoU: the paper's algorithm 1."""
    # In float64: the steps are differences of numbers near 1.
    hits = truth.double()
    total = hits.sum(dim=1, keepdim=True)
    jaccard = 1 - (total - hits.cumsum(dim=1)) / (total + (1 - hits).cumsum(dim=1))
    return jaccard.diff(dim=1, prepend=torch.zeros_like(total))


def _mean_of_present(losses: Tensor, present: Tensor) -> Tensor:
    """Mean over the classes that are present; 0 without any."""
    return (losses * present).sum() / present.sum().clamp(min=1)


def _check_smooth(smooth: float) -> None:
    if not 0 <= smooth < math.inf:
        raise ValueError(f"expected a smooth of at least 0 pixels, got {smooth}")
