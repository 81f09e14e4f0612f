"""The weights that a `TorchvisionEncoder` begins from: a download of torchvision, or a file."""

from __future__ import annotations

import hashlib
import re
import urllib.error
from pathlib import Path

from torch import Tensor

from i2i.nets.backbones import CLASSIFIERS, Backbone, torchvision_layers
from i2i.nets.state import read_state

Weights = dict[str, Tensor]


def read_weights(name: Backbone, weights: str) -> tuple[Weights, str]:
    """The weights of the layers that do not classify, by torchvision's names, and their origin.

    The origin is the enum's member, or the name and digest of the file: never its place.

    Raises:
        ValueError: see `TorchvisionEncoder.pretrained`.
    """
    path = Path(weights)
    if path.suffix in (".safetensors", ".pth", ".pt"):
        state = read_state(path)
        origin = f"{path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    else:
        state, origin = _download(name, weights)
    layers = {_layer_name(key): value for key, value in state.items()}
    layers = {key: layers[key] for key in layers if key.partition(".")[0] not in CLASSIFIERS}
    _check(layers, name, weights)
    return layers, origin


def _download(name: Backbone, member: str) -> tuple[Weights, str]:
    from torchvision.models import get_model_weights

    published = get_model_weights(name)
    if member not in published.__members__:
        known = " or ".join(entry.name for entry in published)
        raise ValueError(
            f"weights of {name}: expected {known}, or the path of a .safetensors or .pth file, "
            f"got {member!r}"
        )
    try:
        state: Weights = published[member].get_state_dict(check_hash=True, weights_only=True)
    except (urllib.error.URLError, RuntimeError) as error:
        raise ValueError(
            f"weights {member} of {name}: the download failed ({error}); try again, or give the "
            "path of the file"
        ) from error
    # DEFAULT is another name of one of the members.
    return state, published[member].name


def _layer_name(key: str) -> str:
    """The name of today without `features`: DenseNet's published weights have older ones."""
    key = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)
    return key.removeprefix("features.")


def _check(weights: Weights, name: Backbone, source: str) -> None:
    """Raises ValueError where the weights are another net's."""
    expected = {
        f"{layer_name}.{key}": tuple(value.shape)
        for layer_name, layer in torchvision_layers(name).items()
        for key, value in layer.state_dict().items()
        # A counter that older files lack.
        if not key.endswith("num_batches_tracked")
    }
    got = {
        key: tuple(value.shape)
        for key, value in weights.items()
        if not key.endswith("num_batches_tracked")
    }
    for key in expected | got:
        if expected.get(key) != got.get(key):
            raise ValueError(
                f"{source}: expected the weights of {name}, got another net's: {key} is "
                f"{got.get(key, 'missing')} and should be {expected.get(key, 'missing')}"
            )
