"""`i2i completion SHELL`: a script that completes commands, options and file names."""

from __future__ import annotations

import argparse
import importlib.util

from i2i.commands.parser import build_parser


def run(options: argparse.Namespace) -> int:
    """Prints the script.

    Raises:
        ValueError: shtab is not installed.
    """
    if importlib.util.find_spec("shtab") is None:
        raise ValueError("completion: expected the package shtab, got none; pip install shtab")
    import shtab

    parser = build_parser()
    for action in _actions(parser):
        if action.dest in ("inputs", "model"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own attribute
        elif action.dest == "output":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(parser, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The parser's own, and those of its commands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [inner for command in action.choices.values() for inner in command._actions]
    return found
