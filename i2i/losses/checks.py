"""What every loss asks of its output, target and weights before it counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def same_shape(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Output and target, at least in float32; ValueError if their shapes differ."""
    if output.shape != target.shape:
        raise ValueError(
            f"expected an output of shape {tuple(target.shape)}, got {tuple(output.shape)}"
        )
    return _widened(output), _widened(target)


def scores_and_counted(output: Tensor, target: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Class scores (N, K, H, W), at least in float32, and where pixels count (N, H, W).

    Raises:
        ValueError: the target is not (N, H, W), or holds what is neither a class nor `ignore`; of
            the latter a GPU tells later, by an assertion of its own.
    """
    if output.ndim != 4 or target.shape != output[:, 0].shape:
        raise ValueError(
            f"expected scores (N, K, H, W) and a target (N, H, W), "
            f"got {tuple(output.shape)} and {tuple(target.shape)}"
        )
    num_classes, target = output.shape[1], target.long()  # uint8 takes -100 for 156, and 256 for 0
    counted = target != ignore
    wrong = counted & ((target < 0) | (target >= num_classes))
    if wrong.is_cuda:  # to ask would be to wait for the GPU at each step
        torch._assert_async(~wrong.any(), f"expected target classes in 0..{num_classes - 1}")
    elif wrong.any():
        values = sorted(set(target[wrong].tolist()))
        raise ValueError(
            f"expected target classes in 0..{num_classes - 1}, or {ignore} to ignore, "
            f"got {values[:8]}"
        )
    return _widened(output), counted


def check_weights(weights: Sequence[float]) -> None:
    """Raises ValueError where weights are not finite, below 0, or all 0."""
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise ValueError(
            f"weights: expected finite numbers of at least 0, one above 0, got {list(weights)}"
        )


def _widened(values: Tensor) -> Tensor:
    """float16 ends at 65504, which sums over pixels pass; bfloat16 has 8 bits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def class_planes(target: Tensor, counted: Tensor, num_classes: int) -> Tensor:
    """(N, K, H, W), where the target is each class and counts."""
    classes = torch.arange(num_classes, device=target.device).view(-1, 1, 1)
    return (target.unsqueeze(1) == classes) & counted.unsqueeze(1)
