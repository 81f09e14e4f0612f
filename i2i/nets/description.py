"""A net as plain data: class name and arguments, and back.

Convention (scikit-learn's): a net keeps each argument of its constructor as an attribute of the
same name.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn


def describe(net: nn.Module) -> dict[str, Any]:
    """`{"class": name, "arguments": {…}}` of a net, its parts included, as plain JSON data."""
    arguments = {
        name: _plain(getattr(net, name)) for name in inspect.signature(type(net)).parameters
    }
    return {"class": type(net).__name__, "arguments": arguments}


def build(description: dict[str, Any]) -> nn.Module:
    """The net that `describe` described, with new weights.

    Raises:
        ValueError: the class is not in `i2i.nets`, or does not take these arguments. A model folder
            may name nothing else, so opening one runs no code but ours.
        RuntimeError: torch gets no memory for the weights.
    """
    import i2i.nets

    name, described = description.get("class"), description.get("arguments", {})
    if name not in i2i.nets.__all__:
        raise ValueError(
            f"net class: expected one of {', '.join(i2i.nets.__all__)} of i2i.nets, got {name!r}"
        )
    if not isinstance(described, dict):
        raise ValueError(f"net {name}: expected arguments by name, got {described!r}")
    arguments = {
        key: build(value) if isinstance(value, dict) else value for key, value in described.items()
    }
    try:
        net: nn.Module = getattr(i2i.nets, name)(**arguments)
    except (TypeError, AttributeError, ArithmeticError, RuntimeError, ImportError) as error:
        # What constructors do with arguments of other types: a string for a part, a list for a
        # number. ImportError: torchvision is not installed.
        if lacks_memory(error):
            raise
        raise ValueError(f"net {name}: {error}") from error
    return net


def lacks_memory(error: Exception) -> bool:
    """Whether torch says that it gets no memory: a processor's allocator has no class for it."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _plain(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return describe(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
