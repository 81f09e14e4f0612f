"""Pictures and label maps for the tests of metrics."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from skimage import filters
from torch import Tensor

seeds = st.integers(0, 2**31)


def images(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    """A target in [0, 1] and an output not far from it."""
    random = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=random, dtype=torch.float64)
    return (target + 0.1 * torch.randn(shape, generator=random)).clamp(0, 1), target


def label_maps(seed: int, num_classes: int = 4) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    labels, target = torch.randint(num_classes, (2, 3, 9, 7), generator=random, dtype=torch.uint8)
    target[torch.rand(target.shape, generator=random) < 0.2] = 255
    return labels, target


def blobs(seed: int) -> tuple[Tensor, Tensor]:
    """Objects of many shapes, and the same ones moved and damaged."""
    random = np.random.default_rng(seed)
    noise = filters.gaussian(random.normal(size=(4, 40, 30)), 2, channel_axis=0)
    target = (noise > random.uniform(0, 0.15)).astype(np.uint8)
    labels = np.roll(target, random.integers(-1, 2, 2), (1, 2))
    labels[random.random(labels.shape) < 0.1] ^= 1
    target[random.random(target.shape) < 0.02] = 255
    return torch.from_numpy(labels), torch.from_numpy(target)
