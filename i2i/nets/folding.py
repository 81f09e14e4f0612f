"""A net as it is deployed: the same values with fewer operations, and nothing that only trains."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.nets.autoencoder import Autoencoder
from i2i.nets.backbones import TorchvisionEncoder
from i2i.nets.blocks import PlainBlock, ReparameterisedBlock
from i2i.nets.decoder import Decoder
from i2i.nets.encoder import Encoder
from i2i.nets.norms import fuse
from i2i.nets.style import Norm

Net = TypeVar("Net", bound=nn.Module)


def fold(net: Net) -> Net:
    """A copy of `net` for inference, whose parts are those that `build(describe(copy))` makes.

    Batch norm becomes part of the convolution before it: the copy describes itself with norm
    "folded", which keeps batch norm's activation after the sum of a residual block; an encoder of
    torchvision folds itself. The branches of a reparameterised block become the one convolution of
    a plain block. Dropout and auxiliary heads are gone.
    """
    folded = copy.deepcopy(net).eval()
    if isinstance(folded, Autoencoder):
        folded.auxiliary, folded.auxiliary_heads = [], nn.ModuleList()
    for module in folded.modules():
        if isinstance(module, TorchvisionEncoder):
            module.fold()
        if isinstance(module, nn.Sequential) and len(module) == 2:
            _fold_batch_norm(module)
    for module in list(folded.modules()):
        for name, part in module.named_children():
            if isinstance(part, ReparameterisedBlock):
                setattr(module, name, _merged(part))
            elif isinstance(part, nn.Dropout2d):
                setattr(module, name, nn.Identity())
        if isinstance(module, Encoder | Decoder):
            module.dropout = 0.0
            module.norm = "folded" if module.norm == "batch" else module.norm
            module.block = "plain" if module.block == "reparameterised" else module.block
    return folded


def _fold_batch_norm(pair: nn.Sequential) -> None:
    """A convolution and its batch norm → the convolution alone."""
    layer, norm = pair
    if not isinstance(norm, nn.BatchNorm2d):
        return
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    fuse(layer, norm)
    del pair[1]


@torch.no_grad()
def _merged(block: ReparameterisedBlock) -> PlainBlock:
    """The sum of the branches, their batch norms folded already, as one convolution."""
    norm: Norm = "folded" if block.style.norm == "batch" else block.style.norm
    plain = PlainBlock(block.channels, replace(block.style, norm=norm, dropout=0.0))
    plain.activation = block.activation
    wide, narrow = _weights(block.wide), _weights(block.narrow)
    merged = _weights(plain.to(wide[0]).convolution)
    scale, shift = _factors(block.same, wide[1])
    same = torch.diag(scale)[:, :, None, None]
    merged[0].copy_(wide[0] + F.pad(narrow[0] + same, (1, 1, 1, 1)))
    merged[1].copy_(wide[1] + narrow[1] + shift)
    return plain.eval()


def _weights(layer: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution without norm."""
    (convolution,) = layer
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    return convolution.weight, convolution.bias


def _factors(norm: nn.Module, like: Tensor) -> tuple[Tensor, Tensor]:
    """Batch norm or the identity as x · scale + shift, each a tensor `like` that one."""
    if not isinstance(norm, nn.BatchNorm2d):
        return torch.ones_like(like), torch.zeros_like(like)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale
