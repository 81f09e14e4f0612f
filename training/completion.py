"""`python -m training completion SHELL`: completes commands, the keys of a config, their values.

The keys are those of the schema, so that they are as many as a person can read: jsonargparse's own
completion writes out every class's every argument, which takes minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from training.cli import COMMANDS
from training.schema import Schema, schema

# What only Lightning's commands take, beside the keys of a config.
FILES = ("--config", "--ckpt_path", "--run")
# The shells complete programs, not modules: Python's completion becomes ours where it runs us.
OURS = {
    "bash": """
_i2i_training() {
  if [[ ${COMP_WORDS[1]} == -m && ${COMP_WORDS[2]} == training ]] && (( COMP_CWORD > 2 )); then
    local COMP_WORDS=(training "${COMP_WORDS[@]:3}") COMP_CWORD=$(( COMP_CWORD - 2 ))
    _shtab_training
  fi
}
complete -o default -o bashdefault -F _i2i_training python python3
""",
    "zsh": """
_i2i_training() {
  if [[ $words[2] == -m && $words[3] == training ]] && (( CURRENT > 3 )); then
    words=(training "${(@)words[4,-1]}")
    (( CURRENT -= 2 ))
    _shtab_training
  else
    _default
  fi
}
compdef _i2i_training python python3
""",
}


def keys(config: Schema) -> dict[str, list[str]]:
    """The dotted keys of a config, each with its values where these are a closed choice."""
    found: dict[str, list[str]] = {}
    for key, value in _walk(config, "", config["$defs"], ()):
        found.setdefault(key, [])
        found[key] += [each for each in _values(value) if each not in found[key]]
    return found


def _walk(
    node: Schema, prefix: str, definitions: Schema, within: tuple[str, ...]
) -> Iterator[tuple[str, Schema]]:
    """The keys below a part of the schema; those of a class's arguments follow its own key."""
    reference = node.get("$ref", "").rpartition("/")[2]
    if reference in within:
        return
    if reference:
        yield from _walk(definitions[reference], prefix, definitions, (*within, reference))
    for each in node.get("anyOf", []):
        yield from _walk(each, prefix, definitions, within)
    properties = node.get("properties", {})
    if "class_path" in properties:
        yield from _walk(properties.get("init_args", {}), prefix, definitions, within)
        return
    for name, value in properties.items():
        key = f"{prefix}.{name}" if prefix else name
        yield key, value
        yield from _walk(value, key, definitions, within)


def _values(node: Schema) -> list[str]:
    """The names of a choice: of a class the shortest that a config may use."""
    names = [each for each in node.get("enum", []) if isinstance(each, str)]
    chosen = names[-1:] if any("." in each for each in names) else names
    return [*chosen, *(value for each in node.get("anyOf", []) for value in _values(each))]


def training_parser() -> argparse.ArgumentParser:
    """The commands with their options, for shtab to read; it parses nothing."""
    import shtab

    parser = argparse.ArgumentParser(prog="training")
    commands = parser.add_subparsers()
    known = keys(schema())
    for name, command in COMMANDS.items():
        if command.module != "training.lightning":
            inner = import_module(command.module).build_parser()
            commands.add_parser(name, help=command.text, parents=[inner], add_help=False)
            continue
        inner = commands.add_parser(name, help=command.text)
        inner.add_argument("--print_config", action="store_true")
        for key in (f"--{key}" for key in known):
            if key not in FILES:
                inner.add_argument(key, choices=known[key[2:]] or None)
        for key in FILES:
            inner.add_argument(key).complete = shtab.FILE  # type: ignore[attr-defined]
    return parser


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training completion",
        description='Prints a script for your shell: eval "$(python -m training completion bash)"',
    )
    parser.add_argument("shell", choices=list(OURS))
    return parser


def main(arguments: list[str]) -> None:
    shell: Any = build_parser().parse_args(arguments).shell
    if importlib.util.find_spec("shtab") is None:
        raise ValueError("completion: expected the package shtab, got none; pip install shtab")
    import shtab

    print(shtab.complete(training_parser(), shell, root_prefix="training") + OURS[shell])
