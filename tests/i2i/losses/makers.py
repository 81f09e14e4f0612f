"""Scores, targets and gradients for the tests of losses."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

seeds = st.integers(0, 2**31)


def scores_and_target(seed: int, ignored: float = 0.3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, 3, 6, 5, generator=random)
    target = torch.randint(3, (2, 6, 5), generator=random, dtype=torch.uint8)
    target[torch.rand(target.shape, generator=random) < ignored] = 255
    return scores.requires_grad_(), target


def gradient(loss: nn.Module, output: Tensor, target: Tensor) -> Tensor:
    (result,) = torch.autograd.grad(loss(output, target), output)
    return result
