"""`python -m training`: the commands, what they say of themselves, and how a mistake is told.

A command's module is imported when it is called: help answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import dataclass

from i2i.commands.parser import EXIT_INTERRUPTED
from training.mistakes import located, one_line


@dataclass(frozen=True)
class Command:
    """A command: the module whose `main(arguments)` it is, and what it does."""

    module: str
    text: str


COMMANDS = {
    "fit": Command("training.lightning", "train a net: --config training/configs/….yaml …"),
    "validate": Command(
        "training.lightning", "measure a checkpoint as a training's validation does"
    ),
    "test": Command("training.lightning", "the same, through Lightning's test loop"),
    "predict": Command(
        "training.lightning",
        "gives a callback of yours a checkpoint's answers to the validation pictures",
    ),
    "evaluate": Command(
        "training.evaluation.evaluate",
        "a model's scores on a folder of pictures, as they will be in service",
    ),
    "results": Command(
        "training.evaluation.results",
        "the shipped models on every set in a folder, and the page of results",
    ),
    "tune": Command(
        "training.tune", "a search for hyper-parameters: many short runs, fewer and longer ones"
    ),
    "export": Command(
        "training.export.export",
        "a checkpoint as a model folder, measured again through each engine",
    ),
    "robustness": Command(
        "training.evaluation.robustness",
        "a model's score as the pictures it is given get worse: noise, blur …",
    ),
    "explain": Command(
        "training.explain", "a page that looks inside a model: what it sees, and what it rests on"
    ),
    "schema": Command("training.schema", "the JSON schema of the configs, for editors"),
    "completion": Command("training.completion", "completes commands and keys, in bash or zsh"),
}


def main(arguments: list[str]) -> None:
    """Runs one of COMMANDS; a user's mistake ends it with one line, not with a stack trace."""
    command = arguments[0] if arguments else "--help"
    if command not in COMMANDS:
        width = max(map(len, COMMANDS))
        print("usage: python -m training COMMAND … (COMMAND --help says more)\n")
        print("\n".join(f"  {name:{width}}  {each.text}" for name, each in COMMANDS.items()))
        if command in ("-h", "--help"):
            return
        print(f"\nunknown command: {command}", file=sys.stderr)
        sys.exit(2)
    try:
        module = importlib.import_module(COMMANDS[command].module)
        # Lightning's commands are sub-commands of one parser.
        module.main(arguments if module.__name__ == "training.lightning" else arguments[1:])
    except argparse.ArgumentError as error:
        said = located(one_line(error), arguments)
        print(f"{command}: {said}; see {command} --help", file=sys.stderr)
        sys.exit(2)
    except (ValueError, OSError) as error:
        sys.exit(f"{command}: {located(one_line(error), arguments)}")
    except KeyboardInterrupt:
        print(f"\n{command}: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
