"""Weights to begin a training with: those of an earlier run or a model, as far as they fit."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from i2i.model_folder import ModelError, ModelFolder, find_model
from training.checkpoint import read_checkpoint


def begin_with(net: nn.Module, origin: str) -> str:
    """Gives the net every weight of `origin` that has its name and shape; the others stay.

    A net of another scale keeps its own last layer so, and takes all before it.

    Args:
        origin: a checkpoint, a model folder, or the name of a shipped model.

    Returns:
        What was taken from where, in words.

    Raises:
        ValueError: there is no such origin, or none of its weights fits, or its batch norms are
            folded into its convolutions and this net has batch norms of its own.
    """
    known, name = read_weights(origin)
    own = net.state_dict()
    # A convolution before a batch norm has no bias, a folded one has. Another net may have some of
    # them by chance, but not all.
    biases = _biases_before_norms(net)
    if biases and all(key in known and key not in own for key in biases):
        raise ValueError(
            f"initial_weights: expected batch norms, got {name}, which has none or has them folded "
            "into the convolutions; set norm: folded in encoder and decoder, or name its checkpoint"
        )
    fitting = {k: v for k, v in known.items() if k in own and v.shape == own[k].shape}
    if not fitting:
        raise ValueError(
            f"initial_weights: expected weights of a net like this one, got {name}, of which none "
            "has a name and shape of this net's; choose its widths, depths and block"
        )
    net.load_state_dict(fitting, strict=False)
    return f"{len(fitting)} of {len(own)} tensors of {name}"


def _biases_before_norms(net: nn.Module) -> list[str]:
    pairs = [(name, part) for name, part in net.named_modules() if isinstance(part, nn.Sequential)]
    return [f"{n}.0.bias" for n, p in pairs if len(p) == 2 and isinstance(p[1], nn.BatchNorm2d)]


def read_weights(origin: str) -> tuple[dict[str, Tensor], str]:
    """The net's weights by name, and what to call where they are from.

    Raises:
        ValueError: neither a checkpoint nor a model.
    """
    path = Path(origin)
    if path.is_file() or path.suffix == ".ckpt":
        _, net, recipe = read_checkpoint(path)
        return net.state_dict(), f"a checkpoint of {recipe['steps']} steps"
    try:
        folder = ModelFolder.open(find_model(origin))
    except ModelError as error:
        raise ValueError(f"initial_weights: {error}, which is no checkpoint either") from error
    return safetensors.torch.load_file(folder.weights), folder.spec.address
