"""Objects of a run as plain data, for checkpoints: class path and arguments, and back.

Convention (scikit-learn's): an object keeps each argument of its constructor as an attribute of the
same name. A checkpoint may name any class, for its owner trained it; a model folder may not
(`i2i.nets`).
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from torch import Tensor, nn


def describe(thing: Any) -> dict[str, Any]:
    """`{"class_path": …, "init_args": {…}}`, as a config writes it."""
    kind = type(thing)
    path = f"{kind.__module__}.{kind.__qualname__}"
    arguments: dict[str, Any] = {}
    if kind.__init__ is nn.Module.__init__:
        # A module without a constructor of its own: what is torch's takes anything.
        return {"class_path": path, "init_args": arguments}
    for name in _arguments_of(kind):
        if hasattr(thing, name):
            arguments[name] = _plain(getattr(thing, name))
        # torch's losses drop what they no longer use (`size_average`, `reduce`).
        elif not path.startswith("torch.nn."):
            raise ValueError(f"{path}: expected its argument {name!r} as an attribute, got none")
    return {"class_path": path, "init_args": arguments}


def build(description: dict[str, Any]) -> Any:
    """The object that `describe` described.

    Raises:
        ValueError: there is no such class, or it does not take these arguments.
    """
    path = description["class_path"]
    # A config may leave out the arguments where there are none.
    given = description.get("init_args") or {}
    arguments = {key: _built(value) for key, value in given.items()}
    try:
        return class_of(path)(**arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: expected a class that takes these arguments: {error}") from error


def without_loss(task: dict[str, Any]) -> dict[str, Any]:
    """A task's description for what does not train: its loss may need a file that is gone."""
    kept = {k: v for k, v in task["init_args"].items() if k not in ("loss", "class_weights")}
    return task | {"init_args": kept}


def class_of(path: str) -> Any:
    """The class of a class path; ImportError or AttributeError where there is none."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def first_difference(expected: Any, got: Any, where: str) -> str | None:
    """Where two descriptions differ first, in words; None where they are equal."""
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        parts = (first_difference(expected[k], got[k], f"{where}.{k}") for k in expected)
        return next((part for part in parts if part is not None), None)
    return None if expected == got else f"{where}: expected {expected}, got {got}"


def _arguments_of(kind: type) -> list[str]:
    """Names of a constructor's arguments; those that it takes by ** are its parent's."""
    parameters = inspect.signature(kind).parameters.values()
    names = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
    return names if len(names) == len(parameters) else names + _arguments_of(kind.__mro__[1])


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
