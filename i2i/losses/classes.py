"""Losses of class scores that judge each pixel by itself: cross-entropy and its relatives."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from i2i.losses.checks import check_weights, class_planes, scores_and_counted


class CrossEntropy(nn.Module):
    """Cross-entropy of class scores, mean over the pixels not ignored; 0 if all of them are.

    Args:
        ignore: the target value of pixels without a true class.
        weights: of each class; the mean over pixels is weighted by them. None: all classes alike.
        label_smoothing: share of the truth that is spread over all classes, in [0, 1); above 0 the
            loss does not reach 0 (arXiv 1512.00567).
    """

    weights: Tensor | None

    def __init__(
        self,
        ignore: int = 255,
        weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing: expected a share in [0, 1), got {label_smoothing}")
        self.ignore, self.label_smoothing = ignore, label_smoothing
        # Not persistent: the config holds them, so a checkpoint need not.
        self.register_buffer("weights", _class_weights(weights), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        scores, counted = scores_and_counted(output, target, self.ignore)
        total = _pixel_weights(self.weights, target, counted, scores.shape[1]).sum()
        loss = functional.cross_entropy(
            scores,
            target.long(),
            self.weights,
            ignore_index=self.ignore,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        # torch's own mean is 0 / 0 = NaN where nothing counts.
        return loss / torch.where(total > 0, total, 1)


class BinaryCrossEntropy(nn.Module):
    """Cross-entropy of each class against all others, by sigmoids that know nothing of each other.

    Mean over the pixels not ignored and the classes; 0 if all pixels are ignored. Where
    `CrossEntropy` asks which class it is, this asks of each class whether it is there.

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
        losses = functional.binary_cross_entropy_with_logits(
            scores, truth.to(scores.dtype), reduction="none"
        )
        return (losses.mean(dim=1) * counted).sum() / counted.sum().clamp(min=1)


class Focal(nn.Module):
    """Focal loss (1 - p)^gamma · -log p of the true class's softmax p (arXiv 1708.02002).

    Mean over the pixels not ignored, 0 if all of them are. The paper has sigmoids, and divides by
    the number of objects.

    Args:
        gamma: at least 0; the larger, the less a pixel counts that is almost right. 0 is
            cross-entropy.
        ignore: the target value of pixels without a true class.
        weights: of each class; the mean over pixels is weighted by them. None: all classes alike.
    """

    weights: Tensor | None

    def __init__(
        self, gamma: float = 2.0, ignore: int = 255, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if not 0 <= gamma < math.inf:
            raise ValueError(f"gamma: expected a number of at least 0, got {gamma}")
        self.gamma, self.ignore = gamma, ignore
        self.register_buffer("weights", _class_weights(weights), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        scores, counted = scores_and_counted(output, target, self.ignore)
        pixel_weights = _pixel_weights(self.weights, target, counted, scores.shape[1])
        costs = _costs(scores, target, self.ignore)
        # 1 - p, without cancellation. Kept above 0, where a gamma below 1 has no finite slope.
        misses = (-torch.expm1(-costs)).clamp(min=torch.finfo(costs.dtype).eps)
        total = pixel_weights.sum()
        return (pixel_weights * misses**self.gamma * costs).sum() / torch.where(total > 0, total, 1)


class Ohem(nn.Module):
    """Cross-entropy of the hard pixels alone: online hard example mining (arXiv 1604.03540).

    Mean over the pixels whose true class has a probability below the threshold, or over the
    hardest `share` of the batch's counted pixels where those are fewer; 0 if all are ignored. The
    paper picks regions of a detector; the rule for pixels is that of segmentation since.

    Args:
        threshold: probability in (0, 1] of the true class below which a pixel is hard.
        share: of the counted pixels, in (0, 1]; so many are kept at least.
        ignore: the target value of pixels without a true class.
        weights: of each class; the mean over the hard pixels is weighted by them, which pixels are
            hard is not. None: all classes alike.
    """

    weights: Tensor | None

    def __init__(
        self,
        threshold: float = 0.7,
        share: float = 0.1,
        ignore: int = 255,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("threshold", threshold), ("share", share)):
            if not 0 < value <= 1:
                raise ValueError(f"{name}: expected a number in (0, 1], got {value}")
        self.threshold, self.share, self.ignore = threshold, share, ignore
        self.register_buffer("weights", _class_weights(weights), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        scores, counted = scores_and_counted(output, target, self.ignore)
        costs = _costs(scores, target, self.ignore)
        weights = _pixel_weights(self.weights, target, counted, scores.shape[1])
        hard = counted & (costs > -math.log(self.threshold))
        least = math.ceil(self.share * int(counted.sum()))
        if int(hard.sum()) >= least:
            weights = weights * hard
        else:
            hardest = costs[counted].topk(least, sorted=False).indices
            costs, weights = costs[counted][hardest], weights[counted][hardest]
        total = weights.sum()
        return (weights * costs).sum() / torch.where(total > 0, total, 1)


def _costs(scores: Tensor, target: Tensor, ignore: int) -> Tensor:
    """-log p of each pixel's true class, (N, H, W); 0 where ignored."""
    return functional.cross_entropy(scores, target.long(), ignore_index=ignore, reduction="none")


def _class_weights(weights: Sequence[float] | None) -> Tensor | None:
    if weights is None:
        return None
    check_weights(weights)
    return torch.tensor(weights, dtype=torch.float32)


def _pixel_weights(
    weights: Tensor | None, target: Tensor, counted: Tensor, num_classes: int
) -> Tensor:
    """What each pixel counts for, (N, H, W): 0 where ignored."""
    if weights is None:
        return counted.float()
    if len(weights) != num_classes:
        raise ValueError(f"weights: expected one for each of {num_classes}, got {len(weights)}")
    return weights[target.long().where(counted, 0)] * counted
