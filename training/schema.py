"""`python -m training schema`: the JSON schema of the configs, so that an editor completes them.

Made from the signatures and docstrings of the constructors, which are the schema to begin with.
A config names it in a comment: `# yaml-language-server: $schema=i2i.schema.json`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import pkgutil
import types
import typing
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, Union

import docstring_parser
import pytorch_lightning as pl
from torch import nn

import training.data
import training.tasks
from training.data import ImageData
from training.module import ImageToImage
from training.optimisers import Optimiser
from training.schedules import Schedule
from training.tasks import Task

Schema = dict[str, Any]

# Classes whose subclasses a config chooses from.
BASES = (Task, ImageData, Optimiser, Schedule)
# A class of the user's own may take anything.
FOREIGN: Schema = {
    "type": "object",
    "properties": {"class_path": {"type": "string", "not": {"pattern": "^(training|i2i)[.]"}}},
    "required": ["class_path"],
}
PLAIN: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
}


def schema() -> Schema:
    """The schema of a config of `fit`."""
    for package in (training.tasks, training.data):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    definitions: dict[str, Schema] = {}
    sections = {
        "model": _arguments(ImageToImage, definitions),
        "data": _of(ImageData, definitions),
        "trainer": _arguments(pl.Trainer, definitions),
        "seed_everything": {"type": ["boolean", "integer"]},
        "ckpt_path": {"type": ["string", "null"]},
        "weights_only": {"type": ["boolean", "null"]},
        "run": {"type": ["string", "null"], "description": "folder of the run"},
        "budget": {
            "type": ["string", "null"],
            "description": "its cost: 'N core-minutes', or 'Nmin' of all cores or of the GPU",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A training run of i2i",
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _of(annotation: Any, definitions: dict[str, Schema]) -> Schema:
    """The schema of values of a type; of types that JSON has no word for, of anything."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in PLAIN:
        return {"type": PLAIN[annotation]}
    if origin is Literal:
        return {"enum": list(inside)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(each, definitions) for each in inside]}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        items = [each for each in inside if each is not Ellipsis]
        return {"type": "array", "items": {"anyOf": [_of(each, definitions) for each in items]}}
    if isinstance(annotation, type) and (
        issubclass(annotation, BASES) or annotation.__module__.startswith("i2i.nets")
    ):
        known = [_chosen(kind, definitions) for kind in _choices(annotation)]
        return {"anyOf": [*known, FOREIGN]}
    if isinstance(annotation, type) and issubclass(annotation, nn.Module):
        return {"anyOf": [{"type": "string"}, {"type": "object", "required": ["class_path"]}]}
    return {}


def _choices(base: type) -> list[type]:
    """The class and all below it that can be built."""
    below: list[type] = []
    children: list[type] = base.__subclasses__()
    for child in children:
        below.extend(_choices(child))
    return below if inspect.isabstract(base) else [base, *below]


def _chosen(kind: type, definitions: dict[str, Schema]) -> Schema:
    """A class by name, alone or with its arguments."""
    names = _names(kind)
    if names[0] not in definitions:
        # Before its arguments, which may be of its own kind.
        definitions[names[0]] = {}
        definitions[names[0]] = _arguments(kind, definitions)
    arguments = {"$ref": f"#/$defs/{names[0]}"}
    named = {"class_path": {"enum": names}, "init_args": arguments}
    whole = {"properties": named, "required": ["class_path"], "additionalProperties": False}
    return {"anyOf": [{"enum": names}, {"type": "object", **whole}]}


def _names(kind: type) -> list[str]:
    """What a config may call a class: the path it is exported at, where it is, its bare name."""
    package = kind.__module__.rpartition(".")[0]
    exported = getattr(import_module(package), kind.__name__, None) is kind
    own = f"{kind.__module__}.{kind.__name__}"
    return [*([f"{package}.{kind.__name__}"] if exported else []), own, kind.__name__]


def _arguments(kind: type, definitions: dict[str, Schema]) -> Schema:
    """The arguments of a constructor; those of `**options` are its bases'.

    None is required: the task fills in what it owns of the net, the data what they own of the task.
    """
    properties: dict[str, Schema] = {}
    for each in kind.__mro__:
        if "__init__" not in vars(each):
            continue
        signature = inspect.signature(each.__init__)  # type: ignore[misc]
        hints = _hints(each)
        said = {
            p.arg_name: p.description for p in docstring_parser.parse(each.__doc__ or "").params
        }
        for name, parameter in list(signature.parameters.items())[1:]:
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            described = {"description": said[name]} if said.get(name) else {}
            properties.setdefault(name, _of(hints.get(name), definitions) | described)
        if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            break
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    except NameError:
        # Names that only a type checker knows.
        return {}


def build_parser() -> argparse.ArgumentParser:
    """The command's options: none."""
    return argparse.ArgumentParser(
        prog="python -m training schema",
        description="Prints the JSON schema of the configs: python -m training schema > "
        "i2i.schema.json, and in a config's first line "
        "# yaml-language-server: $schema=i2i.schema.json",
    )


def main(arguments: list[str]) -> None:
    build_parser().parse_args(arguments)
    print(json.dumps(schema(), indent=1))
