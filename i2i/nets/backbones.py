"""Encoders from torchvision: the feature layers of classifiers, behind the same decoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2i.nets.encoder import FeatureEncoder
from i2i.nets.norms import fuse
from i2i.nets.style import check_choice

Backbone = Literal[
    "alexnet",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg11_bn",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19_bn",
    "googlenet",
    "inception_v3",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
]
# Their published weights expect [-1, 1] (`transform_input` in torchvision), the others ImageNet's
# channels at mean 0 and deviation 1.
INCEPTIONS = ("googlenet", "inception_v3")
# torchvision's names for the layers that classify.
CLASSIFIERS = ("AuxLogits", "aux1", "aux2", "avgpool", "dropout", "fc", "classifier")


class TorchvisionEncoder(FeatureEncoder):
    """A net of torchvision without the layers that classify, as an encoder.

    (N, input_channels, H, W), sRGB in [0, 1] → the features just before each layer that reduces the
    size, and the last ones. Normalised inside. H and W must be multiples of the last stride.

    | net | strides | source |
    |---|---|---|
    | AlexNet | 4, 8, 16 | arXiv 1404.5997 |
    | VGG | 1, 2, 4, 8, 16 | arXiv 1409.1556 |
    | GoogLeNet, Inception v3 | 2, 4, 8, 16, 32 | arXiv 1409.4842, 1512.00567 |
    | ResNet | 2, 4, 8, 16, 32 | arXiv 1512.03385 |
    | DenseNet | 2, 4, 8, 16, 32 | arXiv 1608.06993 |

    The activations are torchvision's own, computed by torchvision's own layers: equal everywhere,
    borders included, but for AlexNet and Inception v3, whose layers with kernel k, stride s and too
    little padding get (k - s) / 2 zeros on each side, the odd one below and at the right. There a
    feature away from the borders is torchvision's for the picture moved down and right by its
    `offsets` in pixels; at the borders torchvision has none, or has seen fewer zeros.

    Examples:
        >>> encoder = TorchvisionEncoder("resnet18", levels=3)
        >>> encoder.widths, encoder.strides
        ([64, 64, 128], [2, 4, 8])

    Args:
        input_channels: 3, or 1: a gray picture becomes three equal channels.
        levels: features to give, the shallowest first; what is deeper is dropped, and the margin
            with it. None: all.
        frozen: no gradients, and batch norm keeps its statistics, in training too.
        origin: what the weights began from, in words, for provenance; `pretrained` fills it in.
        folded: batch norm is part of the convolutions before it, as the export makes it.

    Attributes:
        offsets: by how many pixels the grid of each feature differs from torchvision's.

    Raises:
        ImportError: torchvision is not installed.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        name: Backbone,
        input_channels: Literal[1, 3] = 3,
        levels: int | None = None,
        frozen: bool = False,
        origin: str | None = None,
        folded: bool = False,
    ) -> None:
        super().__init__()
        check_choice("name", name, Backbone)
        check_choice("input_channels", input_channels, Literal[1, 3])
        stages = [nn.Sequential(stage) for stage in _stages(torchvision_layers(name))]
        if levels is not None and not 1 <= levels <= len(stages):
            raise ValueError(f"levels: expected 1 to {len(stages)} with {name}, got {levels}")
        self.name, self.input_channels, self.levels = name, input_channels, levels
        self.frozen, self.origin, self.folded = frozen, origin, folded
        self.stages = nn.ModuleList(stages[:levels])
        if folded:
            self.fold()
        side = 64
        shapes = [f.shape for f in self._features(torch.empty(2, 3, side, side, device="meta"))]
        self.widths = [shape[1] for shape in shapes]
        self.stem_stride = side // shapes[0][-1]
        self.offsets = _offsets(self.stages)
        self.stages.to_empty(device=torch.get_default_device())
        _initialise(self.stages)
        inception = name in INCEPTIONS
        mean = [0.5, 0.5, 0.5] if inception else [0.485, 0.456, 0.406]
        deviation = [0.5, 0.5, 0.5] if inception else [0.229, 0.224, 0.225]
        for buffer, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(buffer, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        if frozen:
            self.stages.requires_grad_(False).eval()

    @classmethod
    def pretrained(
        cls,
        name: Backbone,
        weights: str,
        input_channels: Literal[1, 3] = 3,
        levels: int | None = None,
        frozen: bool = False,
    ) -> TorchvisionEncoder:
        """The encoder with trained weights; a config writes it as a class_path.

        Not an argument of the constructor, so that a net is rebuilt from its description, which a
        model folder may hold, without reading or downloading anything.

        Args:
            weights: a member of torchvision's enum for this net, such as IMAGENET1K_V1, which is
                downloaded, or the path of a state dict of torchvision's net (.safetensors, .pth).

        Raises:
            ValueError: there is no such file or download, or it does not hold this net's weights.
        """
        from i2i.nets.pretrained import read_weights

        state, origin = read_weights(name, weights)
        encoder = cls(name, input_channels, levels, frozen, origin)
        layers = nn.ModuleDict(
            {name: layer for stage in encoder.stages for name, layer in stage.named_children()}
        )
        kept = {key: value for key, value in state.items() if key.partition(".")[0] in layers}
        layers.load_state_dict(kept)
        return encoder

    def train(self, mode: bool = True) -> TorchvisionEncoder:
        super().train(mode)
        if self.frozen:
            self.stages.eval()
        return self

    def fold(self) -> None:
        """Makes batch norm a part of the convolution before it: in evaluation the same values."""
        for module in list(self.stages.modules()):
            for (_, layer), (name, norm) in pairwise(list(module.named_children())):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    fuse(layer, norm)
                    setattr(module, name, nn.Identity())
        self.folded = True

    def forward(self, image: Tensor) -> list[Tensor]:
        return self._features((image.expand(-1, 3, -1, -1) - self.mean) / self.deviation)

    def _features(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def torchvision_layers(name: Backbone) -> dict[str, nn.Module]:
    """The layers of torchvision's net that do not classify, by their names there, in order.

    They are on the device "meta": without memory, for VGG's classifier alone takes 500 MB.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise ImportError(
            f"{name}: expected torchvision, got none; install the one that fits your torch: "
            "pip install torchvision"
        ) from error
    # Said explicitly, or torchvision warns.
    settings = {"init_weights": False} if name in INCEPTIONS else {}
    with torch.device("meta"):
        net = models.get_model(name, weights=None, **settings)
    layers = getattr(net, "features", net).named_children()
    return {name: layer for name, layer in layers if name not in CLASSIFIERS}


def _stages(layers: dict[str, nn.Module]) -> list[OrderedDict[str, nn.Module]]:
    """Cuts the layers before each one that reduces the size, padded where padding lacks."""
    stages: list[OrderedDict[str, nn.Module]] = []
    for name, layer in layers.items():
        if not stages or any(stride > 1 for _, stride, _ in _windows(layer)):
            stages.append(OrderedDict())
        # Inside the blocks of Inception v3 that reduce the size, every branch lacks the same.
        lacking = max((k - s - 2 * p for k, s, p in _windows(layer)), default=0)
        if lacking > 0:
            # Zeros are neutral to the pools too: each follows a ReLU.
            before, after = lacking // 2, lacking - lacking // 2
            stages[-1][f"padding_{name}"] = nn.ZeroPad2d((before, after, before, after))
        stages[-1][name] = layer
    if isinstance(layer, nn.MaxPool2d):
        # AlexNet and VGG end in a pool, which holds nothing new.
        stages.pop()
    return stages


def _windows(layer: nn.Module) -> Iterator[tuple[int, int, int]]:
    """(kernel, stride, padding) along each axis of the convolutions and pools in a layer."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            sizes: tuple[Any, ...] = module.kernel_size, module.stride, module.padding
            for axis in (0, 1):
                kernel, stride, padding = (s if isinstance(s, int) else s[axis] for s in sizes)
                yield kernel, stride, padding


def _offsets(stages: nn.ModuleList) -> list[int]:
    """The zeros added above and at the left up to each stage's end, in input pixels."""
    offsets, offset, pixel = [], 0, 1
    for stage in stages:
        for layer in stage.children():
            if isinstance(layer, nn.ZeroPad2d):
                offset += layer.padding[0] * pixel
            pixel *= max((stride for _, stride, _ in _windows(layer)), default=1)
        offsets.append(offset)
    return offsets


def _initialise(stages: nn.ModuleList) -> None:
    for layer in stages.modules():
        if isinstance(layer, nn.Conv2d):
            # He et al., arXiv 1502.01852
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
