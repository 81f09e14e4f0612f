"""Norms: of the whole batch in training, or of the channels at each pixel."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from i2i.nets.style import Norm


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels at each pixel, (N, C, H, W) → the same, as ConvNeXt.

    Liu et al., arXiv 2201.03545. A pixel's statistics are its own: the plan of windows does not
    show.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, input: Tensor) -> Tensor:
        last = input.movedim(1, -1)
        normed = F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps)
        return normed.movedim(-1, 1)


def norm_layers(norm: Norm, channels: int) -> list[nn.Module]:
    """The norm after a convolution; none where there is none, or a folded one."""
    match norm:
        case "batch":
            return [nn.BatchNorm2d(channels)]
        case "layer":
            return [LayerNorm2d(channels)]
        case "none" | "folded":
            return []


def fuse(layer: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """Makes a batch norm a part of the convolution before it: in evaluation the same values."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight,
        layer.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(layer, nn.ConvTranspose2d),
    )
