"""Activations by name."""

from __future__ import annotations

from torch import nn

from i2i.nets.style import Activation


def activation_layer(activation: Activation) -> nn.Module:
    """A new activation layer, in place where it can be: pixel by pixel, without a constant."""
    match activation:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(0.1, inplace=True)
        case "prelu":
            return nn.PReLU()
        case "elu":
            return nn.ELU(inplace=True)
        case "silu":
            return nn.SiLU(inplace=True)
        case "gelu":
            return nn.GELU()
        case "tanh":
            return nn.Tanh()
