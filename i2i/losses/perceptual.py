"""The distance of pictures as a trained classifier sees them: features of VGG from a local file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from i2i.losses.checks import check_weights, same_shape
from i2i.nets.state import read_state

# Convolutions of each block in VGG16 and VGG19 (arXiv 1409.1556), and their channels.
_DEPTHS = ((2, 2, 3, 3, 3), (2, 2, 4, 4, 4))
_CHANNELS = (64, 128, 256, 512, 512)
# Of ImageNet's pictures, which torchvision's weights expect to be taken out.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class Perceptual(nn.Module):
    """Mean absolute difference of VGG features, summed over layers; 0 at equality.

    Johnson et al., arXiv 1603.08155, with absolute errors as in ESRGAN (arXiv 1809.00219). The net
    is frozen and appears in no checkpoint: the file is needed wherever the loss is built.

    Args:
        path: .safetensors or .pth file with torchvision's weights of VGG16 or VGG19 without batch
            norm (`features.0.weight`, ...). Code in it is never run.
        layers: `conv1_1`, `relu1_1`, ... `relu5_4`, `pool5`: what of the net is compared.
        weights: one for each layer. None: 1 each.

    Raises:
        ValueError: no file, another file, an unknown layer, or weights that do not fit.
    """

    mean: Tensor
    deviation: Tensor

    shares: Tensor

    def __init__(
        self,
        path: str,
        layers: Sequence[str] = ("relu2_2",),
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.path, self.layers, self.weights = path, layers, weights
        if weights is not None:
            check_weights(weights)
        if not layers or len(weights or layers) != len(layers):
            raise ValueError(
                f"expected at least one layer and as many weights, got {layers} and {weights}"
            )
        tensors = read_state(Path(path))
        names = _layers_of(tensors, path)
        unknown = [layer for layer in layers if layer not in names]
        if unknown:
            raise ValueError(f"layers: expected some of {', '.join(names)}, got {unknown}")
        self.steps = names[: 1 + max(names.index(layer) for layer in layers)]
        # Buffers that are not persistent: they follow to a device, are not trained, not saved.
        for place, name in enumerate(self.steps):
            if name.startswith("conv"):
                for part in ("weight", "bias"):
                    values = tensors[f"features.{place}.{part}"].float()
                    self.register_buffer(f"{name}_{part}", values, persistent=False)
        shares = torch.tensor([*(weights or [1.0] * len(layers))])
        self.register_buffer("shares", shares, persistent=False)
        for name, colour in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(colour).view(3, 1, 1), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of two (N, C, H, W), C = 1 or 3, in [0, 1]; ValueError if they do not fit."""
        output, target = same_shape(output, target)
        least = 2 ** sum(name.startswith("pool") for name in self.steps)
        if output.ndim != 4 or output.shape[1] not in (1, 3) or min(output.shape[2:]) < least:
            raise ValueError(
                f"expected (N, 1 or 3, H, W) of at least {least} x {least} pixels, "
                f"got {tuple(output.shape)}"
            )
        with torch.no_grad():
            expected = self._features(target)
        pairs = zip(self._features(output), expected, strict=True)
        distances = torch.stack([functional.l1_loss(*pair) for pair in pairs])
        return (distances * self.shares).sum()

    def _features(self, image: Tensor) -> list[Tensor]:
        features = {}
        values = (image.float().expand(-1, 3, -1, -1) - self.mean) / self.deviation
        for name in self.steps:
            if name.startswith("conv"):
                weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
                values = functional.conv2d(values, weight, bias, padding=1)
            elif name.startswith("relu"):
                values = functional.relu(values)
            else:
                values = functional.max_pool2d(values, 2)
            features[name] = values
        return [features[layer] for layer in self.layers]


def _layers_of(tensors: dict[str, Tensor], path: str) -> list[str]:
    """The layers of the VGG that these are the weights of, at their places in `features`."""
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in tensors.items()
        if name.startswith("features.")
    }
    for depths in _DEPTHS:
        names: list[str] = []
        expected: dict[str, tuple[int, ...]] = {}
        before = 3
        for block, (depth, channels) in enumerate(zip(depths, _CHANNELS, strict=True), start=1):
            for number in range(1, depth + 1):
                expected[f"features.{len(names)}.weight"] = (channels, before, 3, 3)
                expected[f"features.{len(names)}.bias"] = (channels,)
                names += [f"conv{block}_{number}", f"relu{block}_{number}"]
                before = channels
            names.append(f"pool{block}")
        if shapes == expected:
            return names
    raise ValueError(
        f"{path}: expected torchvision's weights of VGG16 or VGG19 without batch norm, got a file "
        f"of {len(tensors)} tensors ({', '.join(list(tensors)[:3])}, ...)"
    )
