"""How sure a segmentation may say it is: the temperature of its scores, by temperature scaling.

Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from i2i.nets import Autoencoder
from training.data.crops import to_tensor
from training.tasks import Sample, Segmentation

# Pixels that are asked, of all samples together, and of a picture its upper left part.
PIXELS, LONGEST = 1_000_000, 512
# Beyond these a net has learned nothing, or has seen too few errors to tell.
SUREST, UNSUREST = 0.2, 5.0


def temperature(
    net: Autoencoder, task: Segmentation, samples: Iterable[Sample], count: int
) -> float:
    """By what to divide the net's scores, so that their softmax says how often they are right.

    It makes the cross-entropy of the samples' known pixels least; 1 where there are none.

    Args:
        count: of the samples, of each of which as many pixels count.
    """
    random = np.random.default_rng(0)
    pairs = [_known(net, task, sample, PIXELS // count, random) for sample in samples]
    return least_cross_entropy(*(torch.cat(parts) for parts in zip(*pairs, strict=True)))


def _known(
    net: Autoencoder, task: Segmentation, sample: Sample, most: int, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Scores (N, K) and labels (N,) of known pixels of a picture, `most` at most."""
    pair = task.widened(*task.pair(sample, random))
    image, target = (to_tensor(part[:LONGEST, :LONGEST].copy()) for part in pair)
    height, width = target.shape
    beyond = (0, -width % net.size_multiple, 0, -height % net.size_multiple)
    with torch.inference_mode():
        batch = functional.pad(task.input_tensor(image[None]), beyond, mode="replicate")
        scores = net(batch)[0, :, :height, :width].flatten(1).T
    labels = task.target_tensor(target).flatten()
    known = torch.nonzero(labels != task.ignore)[:, 0]
    chosen = known[torch.from_numpy(random.permutation(len(known))[:most])]
    return scores[chosen], labels[chosen]


def least_cross_entropy(scores: Tensor, labels: Tensor) -> float:
    """The temperature at which the softmax of scores (N, K) has the least cross-entropy.

    Cross-entropy is convex in the temperature's inverse: where its slope is 0, it is least.

    Args:
        labels: (N,), ids below K.
    """
    if not len(labels):
        return 1.0
    right = scores.gather(1, labels[:, None])[:, 0]

    def rises(inverse: float) -> bool:
        expected = ((inverse * scores).softmax(dim=1) * scores).sum(dim=1)
        return bool((expected - right).double().mean() > 0)

    low, high = 1 / UNSUREST, 1 / SUREST
    for _ in range(20):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if rises(middle) else (middle, high)
    return round((low * high) ** -0.5, 4)
