"""What training lowers: modules that a config names by class path and builds with its arguments.

Each takes (output, target) and gives one number. The mean absolute and squared errors are torch's
own `torch.nn.L1Loss` and `torch.nn.MSELoss`; here is what torch lacks or gives NaN for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Charbonnier(nn.Module):
    """Smooth absolute error sqrt(d^2 + epsilon^2) - epsilon, mean over all values; 0 at equality.

    Charbonnier et al., ICIP 1994; in super-resolution LapSRN (arXiv 1704.03915), there without the
    constant, so never 0.

    Args:
        epsilon: errors well below it count as squares, well above it as absolutes; in image values.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        if not epsilon > 0:
            raise ValueError(f"expected an epsilon above 0, got {epsilon}")
        self.epsilon = epsilon

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of two tensors of one shape; ValueError if the shapes differ."""
        if output.shape != target.shape:
            raise ValueError(
                f"expected an output of shape {tuple(target.shape)}, got {tuple(output.shape)}"
            )
        square = (output - target).square()
        # The difference of square roots as a quotient: no cancellation, exactly 0 at equality.
        return (square / ((square + self.epsilon**2).sqrt() + self.epsilon)).mean()


class CrossEntropy(nn.Module):
    """Cross-entropy of class scores, mean over the pixels not ignored; 0 if all of them are.

    Args:
        ignore: the target value of pixels without a true class.
        weights: of each class; the mean over pixels is weighted by them. None: all classes alike.
    """

    weights: Tensor | None

    def __init__(self, ignore: int = 255, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.ignore = ignore
        tensor = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        # Not persistent: the config holds them, so a checkpoint need not.
        self.register_buffer("weights", tensor, persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        counted = _counted(output, target, self.ignore)
        classes = target.long()
        loss = functional.cross_entropy(
            output, classes, self.weights, ignore_index=self.ignore, reduction="sum"
        )
        total = counted.sum() if self.weights is None else self.weights[classes[counted]].sum()
        # torch's own mean is 0 / 0 = NaN where nothing counts.
        return loss / torch.where(total > 0, total, 1)


class Dice(nn.Module):
    """1 - Dice coefficient of the softmax, mean over the classes in the batch's target.

    Pixels are counted over the whole batch; 0 if all are ignored. After V-Net (arXiv 1606.04797),
    which has one class and squares in the denominator.

    Args:
        ignore: the target value of pixels without a true class.
        smooth: added to numerator and denominator, in pixels; steadies classes of few pixels.
    """

    def __init__(self, ignore: int = 255, smooth: float = 1.0) -> None:
        super().__init__()
        if smooth < 0:
            raise ValueError(f"expected a smooth of at least 0 pixels, got {smooth}")
        self.ignore = ignore
        self.smooth = smooth

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (N, K, H, W) for classes (N, H, W); ValueError if they do not fit."""
        counted = _counted(output, target, self.ignore).unsqueeze(1)
        classes = torch.arange(output.shape[1], device=output.device).view(1, -1, 1, 1)
        truth = (target.unsqueeze(1) == classes) & counted
        shares = output.softmax(dim=1).masked_fill(~counted, 0)
        overlap = (shares * truth).sum(dim=(0, 2, 3))
        true_area = truth.sum(dim=(0, 2, 3))
        areas = shares.sum(dim=(0, 2, 3)) + true_area
        present = true_area > 0
        # An absent class is left out; until then the 1 keeps it from 0 / 0.
        coefficient = (2 * overlap + self.smooth) / torch.where(present, areas + self.smooth, 1)
        return ((1 - coefficient) * present).sum() / present.sum().clamp(min=1)


class Sum(nn.Module):
    """A weighted sum of losses of the same output and target.

    Args:
        losses: modules taking (output, target).
        weights: one for each loss.
    """

    def __init__(self, losses: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if not losses or len(losses) != len(weights):
            raise ValueError(
                f"expected a weight for each of at least one loss, "
                f"got {len(losses)} losses and {len(weights)} weights"
            )
        self.losses = nn.ModuleList(losses)
        self.weights = tuple(weights)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The weighted sum; raises what the losses raise."""
        pairs = zip(self.weights, self.losses, strict=True)
        return torch.stack([weight * loss(output, target) for weight, loss in pairs]).sum()


def _counted(scores: Tensor, target: Tensor, ignore: int) -> Tensor:
    """Where pixels are not ignored, (N, H, W), once scores and target are known to fit."""
    if scores.ndim != 4 or target.shape != scores[:, 0].shape:
        raise ValueError(
            f"expected scores (N, K, H, W) and a target (N, H, W), "
            f"got {tuple(scores.shape)} and {tuple(target.shape)}"
        )
    num_classes = scores.shape[1]
    counted = target != ignore
    wrong = counted & ((target < 0) | (target >= num_classes))
    if wrong.any():
        values = sorted(set(target[wrong].tolist()))
        raise ValueError(
            f"expected target classes in 0..{num_classes - 1}, or {ignore} to ignore, "
            f"got {values[:8]}"
        )
    return counted
