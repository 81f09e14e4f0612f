"""Distances inside pictures: what scores and losses of outlines are measured with.

In torch alone, so that it runs where the net runs and the library needs no scipy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def distance_to(mask: Tensor, limit: float = math.inf) -> Tensor:
    """Euclidean distance of each pixel to the nearest pixel of its mask, in pixels.

    Args:
        mask: (N, H, W) bool.
        limit: distances beyond it may come out too large, which saves time.

    Returns:
        (N, H, W) float32; infinite where a mask is empty.
    """
    # First along columns, then along rows the least of (distance in that column)^2 + (step)^2.
    nearest = _distance_in_columns(mask).square()
    # Squared distance by a pixel `step` to the side; in place, as new memory is what costs.
    beside = nearest.clone()
    for step in range(1, mask.shape[2]):
        if step > limit or not (nearest > step**2).any():
            break
        beside += 2 * step - 1
        left, right = nearest[..., :-step], nearest[..., step:]
        torch.minimum(right, beside[..., :-step], out=right)
        torch.minimum(left, beside[..., step:], out=left)
    return nearest.sqrt()


def _distance_in_columns(mask: Tensor) -> Tensor:
    """(N, H, W) distance to the nearest pixel of the mask in the same column; infinite if none."""
    rows = torch.arange(mask.shape[1], dtype=torch.float32, device=mask.device).view(-1, 1)
    above = torch.where(mask, rows, -math.inf).cummax(dim=1).values
    below = torch.where(mask, rows, math.inf).flip(1).cummin(dim=1).values.flip(1)
    return torch.minimum(rows - above, below - rows)
