"""Muon: the momentum of a convolution is made orthogonal before it moves the weights.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the rate as AdamW's
by Liu et al., arXiv 2502.16982. torch.optim.Muon takes matrices only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

# Of the polynomial a·X + b·X·XᵀX + c·X·(XᵀX)²: Jordan's, steep at 0 and about 1 from 0.7 to 1.2.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
# Root mean square of AdamW's steps at a rate of 1.
STEP_RMS = 0.2


class MuonWithAdamW(torch.optim.AdamW):
    """Muon for the convolutions of more than 3 channels on both sides, AdamW for all else.

    So AdamW moves a net's first layer, and a last one that gives a picture or up to 3 classes; one
    of more classes goes by Muon. A kernel (O, I, h, w), or (I, O, h, w) where it is transposed,
    is taken as a matrix with a row for each place of its first axis.

    Args:
        groups: parameters with their `lr` and `weight_decay`, which mean to Muon what they mean to
            AdamW.
        betas: AdamW's.
        momentum: Muon's.
    """

    def __init__(
        self, groups: list[dict[str, Any]], betas: tuple[float, float], momentum: float
    ) -> None:
        split = []
        for group in groups:
            for orthogonal in (True, False):
                chosen = [p for p in group["params"] if is_hidden(p) == orthogonal]
                if chosen:
                    split.append(group | {"params": chosen, "orthogonal": orthogonal})
        super().__init__(split, betas=betas)
        self.momentum = momentum

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["orthogonal"]:
                self._orthogonal_step(group)
        # AdamW passes over parameters without a gradient.
        super().step()
        return loss

    @torch.no_grad()
    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        by_shape: dict[tuple[int, int], list[tuple[Parameter, Tensor]]] = defaultdict(list)
        for kernel in group["params"]:
            if kernel.grad is None:
                continue
            state = self.state[kernel]
            if not state:
                # AdamW expects the number of steps in every state that is loaded.
                state["step"] = torch.zeros(())
                state["momentum_buffer"] = torch.zeros_like(kernel)
            moving = state["momentum_buffer"].mul_(self.momentum).add_(kernel.grad)
            # Nesterov's: a step ahead.
            ahead = kernel.grad.add(moving, alpha=self.momentum).flatten(1)
            by_shape[tuple(ahead.shape)].append((kernel, ahead))
            kernel.grad = None
        for shape, pairs in by_shape.items():
            directions = orthogonal(torch.stack([ahead for _, ahead in pairs]))
            rate = group["lr"] * STEP_RMS * max(shape) ** 0.5
            for (kernel, _), direction in zip(pairs, directions, strict=True):
                kernel.mul_(1 - group["lr"] * group["weight_decay"])
                kernel.add_(direction.view_as(kernel), alpha=-rate)


def is_hidden(parameter: Tensor) -> bool:
    """Whether it is a convolution's kernel, and neither of a picture nor channel by channel."""
    return parameter.ndim == 4 and min(parameter.shape[:2]) > 3


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Matrices (N, rows, columns) with nearly the same singular vectors, and values of about 1.

    By Newton and Schulz's iteration, without a decomposition.
    """
    wide = matrices.shape[1] <= matrices.shape[2]
    x: Tensor = matrices if wide else matrices.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT
