"""Writes docs/what-exists.md: every choice, what it is, where it is, and which config shows it.

python -m scripts.what_exists     The tests compare the page with the code.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import yaml

from training.tasks import Task

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "what-exists.md"
CONFIGS = ROOT / "training" / "configs"
STUDIES = ROOT / "benchmarks" / "ablations" / "studies.yaml"

HEAD = """# What exists

Every choice, what it is, where it is, and which config shows it, some in a comment beside what it
could replace. A config names a class by its `class_path`, a word as the value of its argument. A
study, of `benchmarks/ablations/studies.yaml`, says how to compare by runs; those run so far are in
[Ablations](ablations.md). Where there is neither, the code that uses it is named. Made from the
code by `python -m scripts.what_exists`; a test compares the two.
"""

# Heading of a table, and the module whose public names it lists.
MODULES = {
    "Nets": "i2i.nets",
    "Tasks": "training.tasks",
    "Degradations": "training.degradations",
    "Data": "training.data",
    "Losses": "i2i.losses",
    "Metrics": "i2i.metrics",
    "Optimisers": "training.optimisers",
    "Schedules": "training.schedules",
}
NAMES = ("name", "what it is", "in a config", "shown by")
WORDS = ("argument", "choices, the default first", "shown by")
# Whose arguments take one of a few words.
CHOOSING = ("Encoder", "Decoder", "PictureHead", "LeNet", "TorchvisionEncoder")


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


def page() -> str:
    parts = [HEAD]
    for heading, name in MODULES.items():
        module = importlib.import_module(name)
        rows = [row(module, each) for each in public(module)]
        if heading == "Tasks":
            rows += [row(*each) for each in further_tasks(module)]
        parts.append(f"## {heading}\n\n" + table(NAMES, rows))
        if name == "i2i.nets":
            parts.append("### Words\n\n" + table(WORDS, words(module)))
    parts.append("## Configs\n\n" + table(("config", "what it is"), configs()))
    return "\n".join(parts)


def public(module: ModuleType) -> list[str]:
    """The names that a module offers: its `__all__`, or the classes that are written in it."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return [
        name
        for name, each in vars(module).items()
        if inspect.isclass(each) and each.__module__ == module.__name__ and name[0] != "_"
    ]


def further_tasks(package: ModuleType) -> Iterator[tuple[ModuleType, str]]:
    """The tasks in files of the package that it does not offer itself: a new task is one file."""
    for file in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{file.name}")
        for name in public(module):
            kind = getattr(module, name)
            offered = name in package.__all__ or inspect.isabstract(kind)
            if issubclass(kind, Task) and not offered:
                yield module, name


def row(module: ModuleType, name: str) -> tuple[str, ...]:
    thing = getattr(module, name)
    first = (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")
    path = f"{module.__name__}.{name}"
    pattern = rf"\b{re.escape(path)}\b|(?:optimizer|schedule): {name}\b"
    by = shown_by(pattern) or ", ".join(studied(rf"{pattern}|={name}\b")) or used_by(name, thing)
    by = by or "for a task of your own"
    return f"`{name}`", first.replace("|", "\\|"), f"`{path}`", by


def words(module: ModuleType) -> Iterator[tuple[str, ...]]:
    """The arguments that take words, of each class."""
    for name in CHOOSING:
        kind = getattr(module, name)
        hints = get_type_hints(kind.__init__)
        for argument, parameter in inspect.signature(kind).parameters.items():
            choices = [each for each in get_args(hints.get(argument)) if isinstance(each, str)]
            default = parameter.default
            others = [each for each in choices if each != default]
            if others:
                first = [default] if isinstance(default, str) else []
                pattern = rf"\b{argument}: \"?({'|'.join(others)})\b"
                shown = ", ".join(f"`{each}`" for each in first + others)
                part = {"Encoder": "encoder", "Decoder": "decoder", "PictureHead": "head"}.get(name)
                studies = studied(rf"--model\.net\.{part}\.{argument}=|{pattern}")
                by = ", ".join(filter(None, [shown_by(pattern), *studies]))
                yield f"`{name}`: `{argument}`", shown, by


def shown_by(pattern: str) -> str:
    """The configs in which the pattern occurs, the first few."""
    found = [
        path.relative_to(CONFIGS).as_posix()
        for path in sorted(CONFIGS.rglob("*.yaml"))
        if re.search(pattern, path.read_text(encoding="utf-8"))
    ]
    return ", ".join(f"`{path}`" for path in found[:3]) + (" …" if len(found) > 3 else "")


def studied(pattern: str) -> Iterator[str]:
    """The studies of benchmarks/ablations with an option in which the pattern occurs."""
    for study, content in yaml.safe_load(STUDIES.read_text(encoding="utf-8"))["studies"].items():
        if any(re.search(pattern, " ".join(each)) for each in content["variants"].values()):
            yield f"study `{study}`"


def used_by(name: str, thing: Any) -> str:
    """The files that use it without being told to, the first few."""
    own = inspect.getsourcefile(thing)
    found = [
        path.relative_to(ROOT).as_posix()
        for package in ("training", "i2i")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py" and str(path) != own
        if name in imported(path)
    ]
    return ", ".join(f"`{path}`" for path in found[:3]) + (" …" if len(found) > 3 else "")


@cache
def imported(path: Path) -> set[str]:
    """The names that a file imports from others."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    imports = (node for node in nodes if isinstance(node, ast.ImportFrom))
    return {alias.name for node in imports for alias in node.names}


def configs() -> Iterator[tuple[str, str]]:
    """Every config with its first comment."""
    for path in sorted(CONFIGS.rglob("*.yaml")):
        lines = itertools.takewhile(
            lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines()
        )
        text = " ".join(line.lstrip("# ") for line in lines)
        yield f"`{path.relative_to(CONFIGS).as_posix()}`", text.replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
