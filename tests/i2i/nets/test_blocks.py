from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import nn

from i2i.nets import Decoder, Encoder
from i2i.nets.blocks import InceptionBlock, LargeKernelBlock, ResidualBlock, blocks
from i2i.nets.style import BlockKind, Norm, Style

KINDS: tuple[BlockKind, ...] = get_args(BlockKind)


@pytest.mark.parametrize("channels", [1, 2, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_a_block_keeps_the_shape(kind: BlockKind, channels: int) -> None:
    x = torch.randn(2, channels, 5, 6)

    (block,) = blocks(1, channels, Style(block=kind))
    assert block(x).shape == x.shape


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "plain"])
def test_a_deep_stack_of_new_blocks_is_near_the_identity(kind: BlockKind) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 16, 12, 12)

    with torch.no_grad():
        assert (blocks(8, 16, Style(block=kind))(x) - x).square().mean() < 0.5 * x.square().mean()


def test_dilations_are_cycled_over_the_blocks() -> None:
    stack = blocks(5, 4, Style(block="dilated", dilations=[1, 2, 4]), [1, 2, 4])

    used = [layer.dilation[0] for layer in stack.modules() if isinstance(layer, nn.Conv2d)]
    assert used == [1, 1, 2, 2, 4, 4, 1, 1, 2, 2]


def test_a_dilated_factorised_block_dilates_its_second_pair() -> None:
    stack = blocks(1, 4, Style(block="factorised", dilations=[3]), [3])

    shapes = [
        (layer.kernel_size, layer.dilation, layer.padding)
        for layer in stack.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert shapes == [
        ((3, 1), (1, 1), (1, 0)),
        ((1, 3), (1, 1), (0, 1)),
        ((3, 1), (3, 3), (3, 0)),
        ((1, 3), (3, 3), (0, 3)),
    ]


def test_a_large_kernel_sees_half_of_the_channels_each_by_itself() -> None:
    block = LargeKernelBlock(6, Style())
    seen: list[torch.Tensor] = []
    block.expand.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.zeros(1, 6, 11, 11)
    x[:, :, 5, 5] = 1

    block(x)
    spread = (seen[0][0] != 0).flatten(1).sum(dim=1).tolist()
    assert spread == [81, 81, 81, 1, 1, 1]


def test_the_branches_of_an_inception_block_see_1_3_and_5_pixels() -> None:
    block = InceptionBlock(4, Style(activation="tanh"))
    x = torch.zeros(1, 4, 9, 9)
    x[:, :, 4, 4] = 1

    spread = [int((branch(x)[0, 0] != 0).sum()) for branch in block.branches]
    assert spread == [1, 9, 25]


@pytest.mark.parametrize(
    ("norm", "activated"), [("none", False), ("layer", False), ("batch", True), ("folded", True)]
)
def test_the_sum_is_activated_after_batch_norm_only(norm: Norm, activated: bool) -> None:
    block = ResidualBlock(4, Style(norm=norm)).eval()

    with torch.no_grad():
        assert (block(torch.randn(1, 4, 8, 8)) >= 0).all() == activated


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_sets_whole_channels_to_zero_in_training_only(kind: BlockKind) -> None:
    torch.manual_seed(0)
    (block,) = blocks(1, 64, Style(block=kind, dropout=0.5, activation="tanh"))
    x = torch.rand(1, 64, 6, 6)

    with torch.no_grad():
        added = block(x) if kind in ("reparameterised", "plain") else block(x) - x
        dropped = (added.abs().flatten(2).amax(dim=2) < 1e-6).float().mean()
        assert 0.25 < dropped < 0.75
        assert torch.equal(block.eval()(x), block(x))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"norm": "instance"}, "norm: .* 'instance'; its statistics come from the whole picture"),
        ({"norm": "group"}, "norm: .* 'group'; its statistics come from the whole picture"),
        ({"block": "transformer"}, "block: expected one of residual, .* got 'transformer'"),
        ({"padding": "circular"}, "padding: expected one of zeros, .* got 'circular'"),
        ({"initialisation": "zeros"}, "initialisation: expected one of he, .* got 'zeros'"),
        ({"dilations": [2]}, r"dilations: expected \[1\] with block 'residual', got \[2\]"),
        ({"dilations": [1, 0], "block": "dilated"}, r"dilations: .* at least 1, got \[1, 0\]"),
        ({"dilations": [], "block": "dilated"}, "dilations: expected at least one number"),
        ({"dropout": 1.0}, r"dropout: expected a share in \[0, 1\), got 1.0"),
        ({"block": "reparameterised", "norm": "layer"}, "norm: .* with block 'reparameterised'"),
        ({"block": "reparameterised", "padding": "partial"}, "padding: .* got 'partial'"),
    ],
)
def test_choices_that_do_not_fit_are_refused(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Style(**arguments)  # type: ignore[arg-type]  # a YAML may hold it


def test_dilations_without_blocks_to_have_them_are_refused() -> None:
    dilated: dict[str, Any] = {"block": "dilated", "dilations": [2, 4]}
    complaint = (
        r"dilations: expected \[1\] with depths of 0 in the deepest .* got \[2, 4\]; .* give"
    )
    with pytest.raises(ValueError, match=complaint):
        Encoder([8, 16], [2, 0], **dilated)
    for widths, depths in (([16, 8, 8], [0, 2]), ([16], [])):
        with pytest.raises(ValueError, match=complaint):
            Decoder(widths, depths, **dilated)
    assert Encoder([8, 16], [0, 2], **dilated).dilations == [2, 4]
