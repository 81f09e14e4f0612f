"""A model folder's net, with its weights."""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load_file

from i2i.model_folder import ModelError, ModelFolder
from i2i.nets.autoencoder import Autoencoder
from i2i.nets.description import build, lacks_memory


def load_net(folder: ModelFolder) -> Autoencoder:
    """The net that the spec names, on the processor, in evaluation mode.

    Raises:
        ModelError: the spec names no Autoencoder of `i2i.nets`, or the weights are not its weights.
        MemoryError: there is too little memory for the model now.
    """
    try:
        net = build(folder.spec.net)
        if not isinstance(net, Autoencoder):
            raise ValueError(f"net: expected an Autoencoder, got an {type(net).__name__}")
        net.load_state_dict(load_file(folder.weights))
    except (ValueError, RuntimeError, SafetensorError) as error:
        if lacks_memory(error):
            raise MemoryError(f"{folder.path}: expected memory for it, got too little") from error
        raise ModelError(f"{folder.path}: {error}") from error
    return net.eval()
