"""How near a dense map is to its target: errors of one table of sums, whichever maps it counts."""

from __future__ import annotations

import torch
from torch import Tensor

# Eigen et al., arXiv 1406.2283: the smallest of their thresholds.
_RATIO = 1.25


def map_errors(output: Tensor, target: Tensor) -> Tensor:
    """Sums over the values whose target is not NaN; tables of several batches add up.

    Args:
        output: any shape, in the unit of the map.
        target: same shape; NaN where nothing is known.

    Returns:
        (4,) float64: number of values; sum of absolute errors; of squared ones; how many are within
        a factor of 1.25 of their target (both above 0).

    Raises:
        ValueError: the shapes differ.
    """
    if output.shape != target.shape:
        raise ValueError(
            f"expected an output of shape {tuple(target.shape)}, got {tuple(output.shape)}"
        )
    known = ~target.isnan()
    x, y = output[known].double(), target[known].double()
    error = (x - y).abs()
    # As products: a ratio of numbers below 0 would pass.
    near = (x < _RATIO * y) & (y < _RATIO * x)
    return torch.stack(
        [known.sum().double(), error.sum(), error.square().sum(), near.sum().double()]
    )


def mean_absolute_error(errors: Tensor) -> Tensor:
    """Mean absolute error of a table of `map_errors`, in the map's unit; NaN without any value."""
    return errors[1] / errors[0]


def root_mean_square_error(errors: Tensor) -> Tensor:
    """Root of the mean squared error of a table of `map_errors`; NaN without any value."""
    return (errors[2] / errors[0]).sqrt()


def delta_accuracy(errors: Tensor) -> Tensor:
    """Share of values within a factor of 1.25 of their target ("delta 1" of depth estimation)."""
    return errors[3] / errors[0]
