"""Losses of dense maps (depth, height, dose): a value for every pixel, NaN where none is known."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from i2i.losses.checks import same_shape


class MaskedL1(nn.Module):
    """Absolute error, mean over the values whose target is not NaN; 0 if none is known."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of two tensors of one shape; ValueError if the shapes differ."""
        error, known = _error(output, target)
        return error.abs().sum() / known.sum().clamp(min=1)


class MaskedHuber(nn.Module):
    """Huber's loss, mean over the values whose target is not NaN; 0 if none is known.

    d^2 / 2 for errors d up to delta, delta · (|d| - delta / 2) beyond: outliers pull no harder than
    an error of delta.

    Args:
        delta: above 0, in the values of the net's output.
    """

    def __init__(self, delta: float = 0.1) -> None:
        super().__init__()
        if not 0 < delta < math.inf:
            raise ValueError(f"delta: expected a number above 0, got {delta}")
        self.delta = delta

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of two tensors of one shape; ValueError if the shapes differ."""
        error, known = _error(output, target)
        loss = functional.huber_loss(
            error, torch.zeros_like(error), reduction="sum", delta=self.delta
        )
        return loss / known.sum().clamp(min=1)


class ScaleInvariantLog(nn.Module):
    """Scale-invariant error of logarithms d: mean d^2 - invariance · (mean d)^2 of each picture.

    Eigen et al., arXiv 1406.2283; mean over the pictures, values whose target is NaN left out. Both
    are taken as multiples of one unit from 0 on: of a net that works in [0, 1], `low` must be 0.

    Args:
        invariance: share of a common factor that is forgiven, in [0, 1]; 1 forgives it wholly.
        floor: above 0; below it the logarithm goes on as its tangent, so that an output of 0 or
            less has a finite loss that pulls it up.
    """

    def __init__(self, invariance: float = 0.5, floor: float = 0.01) -> None:
        super().__init__()
        if not 0 <= invariance <= 1:
            raise ValueError(f"invariance: expected a share in [0, 1], got {invariance}")
        if not 0 < floor < math.inf:
            raise ValueError(f"floor: expected a number above 0, got {floor}")
        self.invariance, self.floor = invariance, floor

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of two (N, ...) of one shape; ValueError if the shapes differ."""
        output, target = same_shape(output, target)
        error, known = _error(self._log(output), self._log(target))
        count = known.flatten(1).sum(dim=1).clamp(min=1)
        squares = error.square().flatten(1).sum(dim=1) / count
        mean = error.flatten(1).sum(dim=1) / count
        return (squares - self.invariance * mean.square()).mean()

    def _log(self, values: Tensor) -> Tensor:
        above = values.clamp(min=self.floor)
        return above.log() + (values - above) / self.floor


def _error(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Output - target, 0 where the target is NaN; and where it is not."""
    output, target = same_shape(output, target)
    known = ~target.isnan()
    return torch.where(known, output - target, 0), known
