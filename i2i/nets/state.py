"""A state dict in a file that a stranger may have made."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors by name in a .safetensors, .pth or .pt file; pickled code in it is not run.

    Raises:
        ValueError: no such file, another suffix, a damaged file, or one of something else.
    """
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ValueError(f"{path}: expected a .safetensors or .pth file, got {path.suffix!r}")
    if not path.is_file():
        raise ValueError(f"{path}: expected a file of weights, got no file")
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch.load raises what its unpickler meets: there is no common class.
        raise ValueError(
            f"{path}: expected a whole file of tensors alone, got a damaged one, or one with "
            "pickled code, which is not run; save net.state_dict() as safetensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a state dict, tensors by name; save net.state_dict()")
    return state
