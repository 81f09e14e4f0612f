"""torchvision's nets as encoders: the small ones by default, all of them where slow."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from i2i.engines.openvino import OpenVINOEngine
from i2i.engines.torch import TorchEngine
from i2i.model_folder import WEIGHTS, ModelFolder
from i2i.nets import Autoencoder, ClassHead, Decoder, TorchvisionEncoder
from i2i.nets.backbones import Backbone
from i2i.nets.description import build, describe
from i2i.nets.folding import fold
from i2i.nets.margin import extents
from i2i.spec import MapInfo, ModelSpec
from tests.i2i.nets.probing import probe
from training import recipe
from training.export.graph import write_graph

NAMES = get_args(Backbone)


def mostly_slow(*quick: str) -> list[Any]:
    """Every net as a parameter, all but the `quick` ones marked slow."""
    return [pytest.param(n, marks=() if n in quick else pytest.mark.slow) for n in NAMES]


# Where torchvision's net has what our features are; the pixels that one sees, where grids differ.
FEATURES: dict[str, dict[str, Any]] = {
    "alexnet": {"features.1": 11, "features.4": 51, "features.11": 163},
    "vgg11": dict.fromkeys(f"features.{i}" for i in (1, 4, 9, 14, 19)),
    "vgg13": dict.fromkeys(f"features.{i}" for i in (3, 8, 13, 18, 23)),
    "vgg16": dict.fromkeys(f"features.{i}" for i in (3, 8, 15, 22, 29)),
    "vgg19": dict.fromkeys(f"features.{i}" for i in (3, 8, 17, 26, 35)),
    "vgg11_bn": dict.fromkeys(f"features.{i}" for i in (2, 6, 13, 20, 27)),
    "vgg13_bn": dict.fromkeys(f"features.{i}" for i in (5, 12, 19, 26, 33)),
    "vgg16_bn": dict.fromkeys(f"features.{i}" for i in (5, 12, 22, 32, 42)),
    "vgg19_bn": dict.fromkeys(f"features.{i}" for i in (5, 12, 25, 38, 51)),
    "googlenet": dict.fromkeys(["conv1", "conv3", "inception3b", "inception4e", "inception5b"]),
    "inception_v3": {
        "Conv2d_2b_3x3": 11,
        "Conv2d_4a_3x3": 23,
        "Mixed_5d": 111,
        "Mixed_6e": 767,
        "Mixed_7c": 1247,
    },
    "resnet": dict.fromkeys(["relu", "layer1", "layer2", "layer3", "layer4"]),
    "densenet": dict.fromkeys(
        ["features.relu0", *(f"features.denseblock{i}" for i in (1, 2, 3)), "features.norm5"]
    ),
}


# By how many pixels the grids of our features differ from torchvision's.
OFFSETS = {"alexnet": [1, 1, 1], "inception_v3": [2, 6, 6, 6, 6]}


def features_of(name: str) -> dict[str, Any]:
    return FEATURES.get(name) or FEATURES[name.rstrip("0123456789")]


def torchvision_net(name: str) -> nn.Module:
    """torchvision's own, untouched, with random weights and statistics."""
    torch.manual_seed(0)
    inception = name in ("googlenet", "inception_v3")
    settings = {"init_weights": False, "transform_input": True} if inception else {}
    net: nn.Module = models.get_model(name, weights=None, **settings)
    enliven(net)
    return net.eval()


def enliven(net: nn.Module) -> None:
    """Weights whose values neither fade nor grow much, and norms that have seen something."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 1.2, 2.0)
            nn.init.normal_(layer.bias, std=0.1)


def torchvision_features(net: nn.Module, name: str, image: Tensor) -> list[Tensor]:
    """What the net's own forward passes by, given the picture as torchvision says."""
    found: dict[str, Tensor] = {}
    hooks = []
    for place in features_of(name):

        def keep(module: nn.Module, inputs: Any, output: Tensor, place: str = place) -> None:
            # DenseNet's own forward writes over its last one.
            found[place] = output.clone()

        hooks.append(net.get_submodule(place).register_forward_hook(keep))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        net((image - mean) / deviation)
    for hook in hooks:
        hook.remove()
    return list(found.values())


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    """Up to the rounding of float32, of which the largest value has most."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def autoencoder(encoder: TorchvisionEncoder) -> Autoencoder:
    widths = [encoder.widths[-1]] + [8] * (len(encoder.widths) - 1)
    decoder = Decoder(
        widths, [0] * (len(widths) - 1), norm="batch", skip_widths=encoder.widths[::-1]
    )
    return Autoencoder(encoder, decoder, ClassHead(widths[-1], encoder.stem_stride))


@pytest.mark.whole
@pytest.mark.parametrize("name", mostly_slow("alexnet", "googlenet", "resnet18"))
def test_the_activations_are_torchvisions_own(name: Backbone, tmp_path: Path) -> None:
    net = torchvision_net(name)
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(net.state_dict(), file)
    encoder = TorchvisionEncoder.pretrained(name, str(file)).eval()
    # Where the grids differ: large enough for pixels that see no border.
    side = {"alexnet": 256, "inception_v3": 1472}.get(name, 64)
    image = torch.rand(1, 3, side, side + 64)

    with torch.no_grad():
        ours = encoder(image)
    assert encoder.offsets == OFFSETS.get(name, [0] * len(ours))
    theirs = {
        offset: torchvision_features(net, name, F.pad(image, (offset, 0, offset, 0)))
        for offset in set(encoder.offsets)
    }
    for i, (offset, stride) in enumerate(zip(encoder.offsets, encoder.strides, strict=True)):
        mine, other = ours[i], theirs[offset][i]
        if offset > 0:
            border = list(features_of(name).values())[i] // 2 // stride + 2
            rows, columns = (
                min(pair) for pair in zip(mine.shape[2:], other.shape[2:], strict=True)
            )
            inside = (..., slice(border, rows - border), slice(border, columns - border))
            mine, other = mine[inside], other[inside]
            assert mine.numel() > 0
        assert_equal(mine, other)


@pytest.mark.parametrize("name", mostly_slow("alexnet", "vgg11", "resnet18"))
def test_every_multiple_of_the_last_stride_gives_the_sizes_promised(name: Backbone) -> None:
    strides = {"alexnet": [4, 8, 16]}.get(name, [2, 4, 8, 16, 32])
    with torch.device("meta"):
        encoder = TorchvisionEncoder(name).eval()
        assert encoder.strides == ([1, 2, 4, 8, 16] if name.startswith("vgg") else strides)
        for rows, columns in ((1, 2), (3, 5)):
            height, width = (n * encoder.strides[-1] for n in (rows, columns))
            assert [tuple(f.shape) for f in encoder(torch.rand(2, 3, height, width))] == [
                (2, channels, height // stride, width // stride)
                for channels, stride in zip(encoder.widths, encoder.strides, strict=True)
            ]


def test_levels_drop_what_is_deeper() -> None:
    torch.manual_seed(0)
    whole, part = TorchvisionEncoder("resnet18"), TorchvisionEncoder("resnet18", levels=3)

    assert (part.widths, part.strides) == ([64, 64, 128], [2, 4, 8])
    part.load_state_dict({key: whole.state_dict()[key] for key in part.state_dict()})
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        for a, b in zip(part.eval()(image), whole.eval()(image), strict=False):
            assert torch.equal(a, b)


def test_a_gray_picture_is_one_of_three_equal_channels() -> None:
    torch.manual_seed(0)
    colour = TorchvisionEncoder("resnet18", levels=1).eval()
    gray = TorchvisionEncoder("resnet18", input_channels=1, levels=1).eval()
    gray.load_state_dict(colour.state_dict())
    image = torch.rand(1, 1, 8, 8)

    with torch.no_grad():
        assert torch.equal(gray(image)[0], colour(image.expand(-1, 3, -1, -1))[0])


def test_a_frozen_encoder_stays_as_it_is_while_the_decoder_learns() -> None:
    torch.manual_seed(0)
    net = autoencoder(TorchvisionEncoder("resnet18", levels=2, frozen=True)).train()
    before = {key: value.clone() for key, value in net.encoder.state_dict().items()}
    parameters = list(net.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.1)

    net(torch.rand(2, 3, 16, 16)).square().mean().backward()
    optimiser.step()

    assert all(torch.equal(before[key], value) for key, value in net.encoder.state_dict().items())
    assert all(p.grad is None for p in net.encoder.parameters())
    assert all(p.grad is not None for p in net.decoder.parameters())


def test_an_encoder_that_is_not_frozen_learns() -> None:
    net = autoencoder(TorchvisionEncoder("resnet18", levels=2)).train()

    net(torch.rand(2, 3, 16, 16)).square().mean().backward()

    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.encoder.parameters())
    seen = net.encoder.state_dict()["stages.0.bn1.num_batches_tracked"]
    assert int(seen) == 1


SMALL = {"alexnet": 1, "resnet18": 2, "vgg11_bn": 2, "googlenet": 1}


@pytest.mark.parametrize("name", SMALL)
def test_the_margin_is_what_a_nan_shows(name: Backbone) -> None:
    prove_margin(TorchvisionEncoder(name, levels=SMALL[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "resnet18", "vgg11", "googlenet", "inception_v3"])
def test_the_margin_of_a_deep_net_is_what_a_nan_shows(name: Backbone) -> None:
    prove_margin(TorchvisionEncoder(name, levels=3 if name == "inception_v3" else None))


def prove_margin(encoder: TorchvisionEncoder) -> None:
    net = autoencoder(encoder)
    reach = max(extents(net))
    multiple = net.size_multiple

    side = math.ceil((2 * reach + 3 * multiple) / multiple) * multiple
    assert probe(net, side) == reach
    assert extents(net, axis=0) == extents(net, axis=1)


@pytest.mark.whole
@pytest.mark.parametrize("name", mostly_slow("alexnet", "resnet18"))
def test_a_net_is_rebuilt_from_its_description(name: Backbone) -> None:
    torch.manual_seed(0)
    net = autoencoder(TorchvisionEncoder(name, frozen=True, origin="somewhere")).eval()
    enliven(net)
    image = torch.rand(1, 3, 2 * net.size_multiple, net.size_multiple)

    folded = fold(net)
    for given in (net, folded):
        for built in (build(describe(given)), recipe.build(recipe.describe(given))):
            assert describe(built) == describe(given)
            built.load_state_dict(given.state_dict())
            with torch.no_grad():
                assert torch.equal(built.eval()(image), given(image))
    with torch.no_grad():
        assert_equal(folded(image), net(image))


# By default: the run of training/configs/transfer.yaml, whose export compares its engines.
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["alexnet", "vgg11", "vgg11_bn", "googlenet", "inception_v3", "resnet18", "densenet121"],
)
def test_the_engines_give_what_the_net_gives(name: Backbone, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = autoencoder(TorchvisionEncoder(name)).eval()
    enliven(net)
    folded = fold(net)
    weights = {key: value.contiguous() for key, value in folded.state_dict().items()}
    (tmp_path / WEIGHTS).write_bytes(safetensors.torch.save(weights))
    info = MapInfo("none", 0, 1)
    graph = write_graph(folded, "map", 1.0, tmp_path, info)
    spec = ModelSpec("net", "map", "test", describe(folded), graph=graph, map=info, window=2**20)
    folder = ModelFolder(tmp_path, spec)
    engines = OpenVINOEngine(folder, "f32", 1), TorchEngine.open(folder, "f32", 1)

    for rows, columns, batch in ((1, 1, 1), (2, 3, 2)):
        image = torch.rand(batch, 3, rows * net.size_multiple, columns * net.size_multiple)
        with torch.no_grad():
            expected = net(image)[:, 0]
        for engine in engines:
            assert_equal(torch.from_numpy(engine.run(image.numpy())["map"]), expected)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "resnet19"}, "name: expected one of alexnet, .* got 'resnet19'"),
        ({"name": "alexnet", "levels": 4}, "levels: expected 1 to 3 with alexnet, got 4"),
        ({"name": "alexnet", "levels": 0}, "levels: expected 1 to 3 with alexnet, got 0"),
        ({"name": "alexnet", "input_channels": 4}, "input_channels: expected one of 1, 3, got 4"),
    ],
)
def test_what_there_is_not_is_refused(arguments: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TorchvisionEncoder(**arguments)


def test_without_torchvision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)

    with pytest.raises(ImportError, match=r"alexnet: expected torchvision, .* pip install torchv"):
        TorchvisionEncoder("alexnet")
    with pytest.raises(ValueError, match="net TorchvisionEncoder: alexnet: expected torchvision"):
        build({"class": "TorchvisionEncoder", "arguments": {"name": "alexnet"}})


@pytest.mark.slow
def test_the_nets_are_imported_without_torchvision() -> None:
    code = "import sys, i2i.nets; sys.exit('torchvision' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
