"""Where a stage saw what speaks for a class."""

from __future__ import annotations

import torch
from torch import Tensor

from i2i.explain.attribution import Region, evidence
from i2i.nets.autoencoder import Autoencoder, check_size
from i2i.nets.heads import ClassHead


def class_activation(
    net: Autoencoder, image: Tensor, label: int, region: Region | None = None, stage: int = -1
) -> Tensor:
    """The encoder's feature, weighted by what each channel means to a class: (h, w), at least 0.

    Grad-CAM (Selvaraju et al., arXiv 1610.02391) for segmentation (Vinogradova et al., arXiv
    2002.11434): a channel weighs as much as the evidence for the class, in the region, changes with
    it on average.

    Args:
        image: (1, C, H, W) in [0, 1], sides multiples of `size_multiple`.
        region: whose answer is explained; by default that of the whole picture.
        stage: of the encoder; by default the deepest.

    Raises:
        ValueError: the net has no such class, or no such stage that its answer depends on.
    """
    check_size(image, net.size_multiple)
    _check(net, label, stage)
    region = region or Region(0, 0, image.shape[-2], image.shape[-1])
    with torch.no_grad():
        features = net.encoder(image)
    with torch.enable_grad():
        leaf = features[stage].detach().requires_grad_()
        features[stage] = leaf
        scores = region.of(net.head(net.decoder(features), image), net.scale)
        (derivatives,) = torch.autograd.grad(evidence(label)(scores), leaf)
    weights = derivatives.mean(dim=(-2, -1), keepdim=True)
    weighted: Tensor = (weights * leaf.detach()).sum(dim=1)[0]
    return weighted.relu()


def _check(net: Autoencoder, label: int, stage: int) -> None:
    classes = net.head.classes if isinstance(net.head, ClassHead) else 0
    if not 0 <= label < classes:
        raise ValueError(f"label: expected one of the net's {classes} classes, got {label}")
    stages = len(net.encoder.widths)
    if not -stages <= stage < stages:
        raise ValueError(f"stage: expected one of the encoder's {stages}, got {stage}")
    if net.decoder.skip == "none" and stage % stages < stages - 1:
        raise ValueError(f"stage: expected the deepest of a net without skips, got {stage}")
