"""Whole nets in every style: every block, padding, norm, activation, way down and up."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder
from i2i.nets.decoder import Up
from i2i.nets.description import build, describe
from i2i.nets.encoder import Down
from i2i.nets.folding import fold
from i2i.nets.margin import extents, margin
from i2i.nets.style import Activation, BlockKind, Initialisation, Norm, Padding
from tests.i2i.nets.probing import probe

STYLES: dict[str, dict[str, Any]] = {
    **{kind: {"block": kind, "norm": "batch"} for kind in get_args(BlockKind)},
    **{f"{kind}, no norm": {"block": kind} for kind in get_args(BlockKind)},
    **{
        padding: {"padding": padding, "block": "inception", "norm": "batch"}
        for padding in get_args(Padding)
    },
    **{norm: {"norm": norm, "block": "dense"} for norm in get_args(Norm)},
    **{name: {"activation": name} for name in get_args(Activation)},
    **{name: {"initialisation": name} for name in get_args(Initialisation)},
    **{f"down {name}": {"down": name, "stem_stride": 2} for name in get_args(Down)},
    **{f"up {name}": {"up": name, "norm": "batch"} for name in get_args(Up)},
    "dilations": {"block": "dilated", "dilations": [3, 1]},
    "dilated and partial": {"block": "factorised", "dilations": [3], "padding": "partial"},
    "reparameterised and reflected": {
        "block": "reparameterised",
        "padding": "reflect",
        "norm": "batch",
    },
    "dropout": {"block": "reparameterised", "dropout": 0.2, "norm": "batch"},
}


@pytest.fixture(params=STYLES)
def net(request: pytest.FixtureRequest) -> Autoencoder:
    torch.manual_seed(0)
    return styled(**STYLES[request.param])


def styled(down: Down = "stride", up: Up = "transposed", **style: Any) -> Autoencoder:
    stem_stride = style.pop("stem_stride", 1)
    net = Autoencoder(
        Encoder([4, 6], [0, 1], stem_stride=stem_stride, down=down, **style),
        Decoder([6, 4], [1], up=up, **style),
        ClassHead(4, stem_stride, padding=style.get("padding", "zeros")),
    )
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias)
            layer.running_mean = torch.randn(layer.num_features)
            layer.running_var = 0.5 + torch.rand(layer.num_features)
    return net


def picture(net: Autoencoder) -> Tensor:
    return torch.rand(2, 3, 10 * net.size_multiple, 9 * net.size_multiple)


def test_a_gradient_reaches_every_parameter_in_bfloat16_too(net: Autoencoder) -> None:
    # Without dropout, which may cut a channel off.
    net = net.train() if not net.encoder.dropout else net.eval()
    with torch.autocast("cpu", torch.bfloat16):
        output = net(picture(net))
    output.float().square().mean().backward()

    without = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert without == []


def test_a_folded_net_gives_the_same_up_to_its_border(net: Autoencoder) -> None:
    net.eval()
    folded = fold(net)
    image = picture(net)

    with torch.no_grad():
        expected, got = net(image), folded(image)
        close = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(got, expected, atol=close, rtol=0)
        rebuilt = build(describe(folded)).eval()
        rebuilt.load_state_dict(folded.state_dict())
        assert torch.equal(rebuilt(image), got)
    kinds = nn.BatchNorm2d | nn.Dropout2d
    assert not any(isinstance(layer, kinds) for layer in folded.modules())


def test_the_margin_is_what_a_nan_shows(net: Autoencoder) -> None:
    reach = max(extents(net))
    multiple = net.size_multiple
    side = math.ceil((2 * reach + 3 * multiple) / multiple) * multiple

    assert probe(net, side) == reach
    assert margin(net) == margin(fold(net)) == math.ceil(reach / multiple) * multiple
