from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from i2i.nets import Autoencoder, ClassHead, Decoder, TorchvisionEncoder
from i2i.nets.backbones import Backbone
from i2i.nets.description import build, describe
from i2i.nets.encoder import FeatureEncoder
from i2i.nets.folding import fold_batch_norm

SMALL = ("alexnet", "resnet18")
NAMES = [
    pytest.param(name, marks=[] if name in SMALL else pytest.mark.slow) for name in get_args(Backbone)
]

# Where torchvision's net has what our features are, and the pixels that one of them sees.
FEATURES = {
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


def features_of(name: str) -> dict[str, Any]:
    return FEATURES.get(name) or FEATURES[name.rstrip("0123456789")]


def torchvision_net(name: str) -> nn.Module:
    """torchvision's own, untouched, with random weights and statistics."""
    torch.manual_seed(0)
    inception = {"init_weights": False, "transform_input": True}
    net = models.get_model(name, weights=None, **inception if "ception" in name or "goog" in name else {})
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            # Neither fades nor grows, however deep.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.8, 1.2)
            nn.init.normal_(layer.bias, std=0.1)
    return net.eval()


def torchvision_features(net: nn.Module, name: str, image: Tensor) -> list[Tensor]:
    found: dict[str, Tensor] = {}
    for place in features_of(name):

        def keep(module: nn.Module, inputs: Any, output: Tensor, place: str = place) -> None:
            # DenseNet's last activation is written over it.
            found[place] = output.clone()

        net.get_submodule(place).register_forward_hook(keep)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        net((image - mean) / deviation)
    return list(found.values())


def autoencoder(encoder: FeatureEncoder) -> Autoencoder:
    widths = [encoder.widths[-1]] + [8] * (len(encoder.widths) - 1)
    decoder = Decoder(widths, [0] * (len(widths) - 1), skip_widths=encoder.widths[::-1])
    return Autoencoder(encoder, decoder, ClassHead(widths[-1], encoder.stem_stride))
