"""Batch norm folded into the convolution before it: the same values with fewer operations."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from i2i.nets.backbones import TorchvisionEncoder
from i2i.nets.decoder import Decoder
from i2i.nets.encoder import Encoder

Net = TypeVar("Net", bound=nn.Module)


def fold_batch_norm(net: Net) -> Net:
    """A copy of `net` for inference: each pair of convolution and batch norm is one convolution.

    The copy describes itself with norm "folded" (an encoder of torchvision: `folded`) and keeps batch norm's activation after the sum of
    a residual block: its parts are those of the net that `build(describe(copy))` makes.
    """
    folded = copy.deepcopy(net).eval()
    for module in folded.modules():
        if isinstance(module, TorchvisionEncoder):
            module.fold()
        if isinstance(module, nn.Sequential) and len(module) == 2:
            layer, norm = module
            if isinstance(norm, nn.BatchNorm2d):
                assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
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
                del module[1]
        if isinstance(module, Encoder | Decoder) and module.norm == "batch":
            module.norm = "folded"
    return folded
