"""The choices an encoder and a decoder share: how their layers and blocks are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

# "plain": what the export makes of "reparameterised".
BlockKind = Literal[
    "residual",
    "bottleneck",
    "factorised",
    "dilated",
    "large_kernel",
    "dense",
    "inception",
    "reparameterised",
    "plain",
]
Activation = Literal["relu", "leaky_relu", "prelu", "elu", "silu", "gelu", "tanh"]
# "folded": batch norm that the export has folded into the convolutions.
Norm = Literal["none", "batch", "layer", "folded"]
Padding = Literal["zeros", "valid", "reflect", "replicate", "partial"]
Initialisation = Literal["he", "xavier", "lecun", "orthogonal"]


@dataclass(frozen=True)
class Style:
    """How the layers of an encoder or a decoder are made; their arguments of the same names.

    Attributes:
        block: `residual` (two 3 x 3 convolutions), `bottleneck`, `factorised`, `dilated`,
            `large_kernel`, `dense`, `inception`, `reparameterised`, `plain`: see i2i.nets.blocks.
        dilations: of the blocks of the deepest stage, cycled; `dilated` and `factorised` only.
        activation: after each convolution, but not behind the last of a block that adds what it
            found to its input.
        norm: `none`; `batch`, folded into the convolutions at export; `layer`, over the channels
            at each pixel. Norms over the whole picture are refused.
        padding: what a convolution sees beyond the border of a crop: `zeros`, its reflection
            (`reflect`; features must have more pixels than that), its last pixel (`replicate`), or
            nothing, the other taps counting for more (`partial`). `valid` pads zeros, and training
            leaves out the outputs that see them.
        dropout: share of the channels that training sets to zero, of what each block adds to its
            input, or of the result of one that adds nothing.
        initialisation: `he` (arXiv 1502.01852), `xavier` (Glorot and Bengio 2010), `lecun` (1998),
            or `orthogonal` (arXiv 1312.6120) with he's power.

    Raises:
        ValueError: a value that is none of the choices, or choices that exclude each other.
    """

    block: BlockKind = "residual"
    dilations: Sequence[int] = (1,)
    activation: Activation = "relu"
    norm: Norm = "none"
    padding: Padding = "zeros"
    dropout: float = 0.0
    initialisation: Initialisation = "he"

    def __post_init__(self) -> None:
        check_choice("block", self.block, BlockKind)
        check_choice("activation", self.activation, Activation)
        _check_local(self.norm)
        check_choice("norm", self.norm, Norm)
        check_choice("padding", self.padding, Padding)
        check_choice("initialisation", self.initialisation, Initialisation)
        check_counts("dilations", self.dilations, 1)
        if not self.dilations:
            raise ValueError("dilations: expected at least one number, got none; [1] for no effect")
        if list(self.dilations) != [1] and self.block not in ("dilated", "factorised"):
            raise ValueError(
                f"dilations: expected [1] with block {self.block!r}, got {list(self.dilations)}; "
                "block dilated or factorised takes others"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a share in [0, 1), got {self.dropout}")
        if self.block == "reparameterised" and self.norm == "layer":
            raise ValueError(
                "norm: expected none or batch with block 'reparameterised', got 'layer'; "
                "only they can be folded"
            )
        if self.block == "reparameterised" and self.padding == "partial":
            raise ValueError(
                "padding: expected zeros, valid, reflect or replicate with block "
                "'reparameterised', got 'partial'; its branches would not be one convolution there"
            )


def check_choice(name: str, value: object, choices: Any) -> None:
    """Raises ValueError where `value` is none of the Literal `choices`."""
    if value not in get_args(choices):
        expected = ", ".join(map(str, get_args(choices)))
        raise ValueError(f"{name}: expected one of {expected}, got {value!r}")


def check_counts(name: str, values: Sequence[int], least: int) -> None:
    """Raises ValueError where one of `values` is below `least`."""
    if any(value < least for value in values):
        raise ValueError(f"{name}: expected numbers of at least {least}, got {list(values)}")


def check_dilated(dilations: Sequence[int], depth: int) -> None:
    """Raises ValueError where dilations are asked for, and the deepest stage has no blocks."""
    if list(dilations) != [1] and depth == 0:
        raise ValueError(
            "dilations: expected [1] with depths of 0 in the deepest stage, got "
            f"{list(dilations)}; they are of its blocks: give it some"
        )


def _check_local(norm: str) -> None:
    if norm in ("instance", "group"):
        raise ValueError(
            f"norm: expected none, batch or layer, got {norm!r}; its statistics come from the "
            "whole picture, so a prediction would depend on the plan of windows"
        )
