"""Losses made of losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from i2i.losses.checks import check_weights


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
        check_weights(weights)
        self.losses = nn.ModuleList(losses)
        self.weights = tuple(weights)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The weighted sum; raises what the losses raise."""
        pairs = zip(self.weights, self.losses, strict=True)
        return torch.stack([weight * loss(output, target) for weight, loss in pairs]).sum()


def with_auxiliary(
    loss: Callable[[Tensor, Tensor], Tensor],
    output: Tensor,
    auxiliary: Sequence[Tensor],
    target: Tensor,
    weight: float,
) -> Tensor:
    """The loss of the output plus `weight` times that of each auxiliary output: deep supervision.

    Lee et al., arXiv 1409.5185; 0.3 in GoogLeNet (arXiv 1409.4842), 0.4 in PSPNet (1612.01105).

    Args:
        auxiliary: further outputs, of the output's shape; may be empty.
    """
    total = loss(output, target)
    for other in auxiliary:
        total = total + weight * loss(other, target)
    return total
