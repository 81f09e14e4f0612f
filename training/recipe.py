"""Objects of a run as plain data, for checkpoints: class path and arguments, and back.

Convention (scikit-learn's): an object keeps each argument of its constructor as an attribute of the same
name. A checkpoint may name any class, for its owner trained it; a model folder may not (`i2i.nets`).
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from torch import Tensor, nn


def describe(thing: Any) -> dict[str, Any]:
    """`{"class_path": …, "init_args": {…}}`, as a config writes it."""
    kind = type(thing)
    arguments = {name: _plain(getattr(thing, name)) for name in inspect.signature(kind).parameters}
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": arguments}


def build(description: dict[str, Any]) -> Any:
    """The object that `describe` described."""
    module, _, name = description["class_path"].rpartition(".")
    arguments = {key: _built(value) for key, value in description["init_args"].items()}
    return getattr(importlib.import_module(module), name)(**arguments)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, list | tuple | nn.ModuleList):
        return [_plain(item) for item in value]
    return describe(value)


def _built(value: Any) -> Any:
    if isinstance(value, dict) and "class_path" in value:
        return build(value)
    if isinstance(value, list):
        return [_built(item) for item in value]
    return value
