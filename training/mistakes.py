"""A user's mistake in one line, with the line of the config where it was made."""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from training.own_config import named_files

# What jsonargparse says of the alternatives that were not meant, and of what was typed.
_ASIDES = (
    "Does not validate against any",
    "Subtypes:",
    "Errors:",
    "Given value",
    "- Expected a <class 'NoneType'>",
    "- Expected a path but",
    "- Import path",
    "Subclass types expect one of",
    "- a class path (str)",
    "- a dict with",
)
_KEY = re.compile(r'Parser key "([\w.]+)": ')
_CLASS = re.compile(r"Problem with given class_path '([\w.]+)': ")
_OPTION = re.compile(r"(?:Subcommand '\w+' does not accept option|Option) '([\w.]+)'")
_UNKNOWN = re.compile(r"unrecognized arguments: --([\w.]+)")
_NO_CONFIG = re.compile(r"\"config\": File does not exist: '(?:.*/)?([^/]+?)(?:\.ya?ml)?'")
# Of an argument of a class that nobody named.
_ABSTRACT = re.compile(r"Expected an instantiatable class, but [\w.]+\.(\w+) is abstract")
_UNNAMED = r"expected which \1 before its arguments; docs/what-exists.md lists them"
# Of a name that is none.
_NO_NAME = re.compile(
    r"(model\.(optimizer|schedule)\": )Does not validate against any of the Union subtypes"
    r"(?: Expected a dot import path string: (\S+))?"
)
# What argparse and others say, and what to say with it.
_MORE = {
    re.compile(r"argument (--[\w.]+): expected one argument"): (
        r"\1: expected a value, got none; write one that begins with a minus as \1=VALUE"
    ),
    re.compile(r"(arguments are required: root\b)"): r"\1; say --data.root FOLDER",
    re.compile(r"(expected a model folder or one of .*, got (\S+\.ckpt))$"): (
        r"\1; `python -m training export --checkpoint \2 --output MODEL` writes one"
    ),
}
# A constructor's words: "depths: expected …".
_ARGUMENT = re.compile(r"^(\w+): expected ")


def one_line(error: Exception) -> str:
    """The message in one line, without asides and without the stack of a loader's process."""
    lines = [line.strip() for line in str(error).splitlines()]
    if "Original Traceback (most recent call last):" in lines:
        return _of_process(str(error).splitlines())
    # A dict keeps the order, and each line once.
    said = dict.fromkeys(line for line in lines if line and not line.startswith(_ASIDES))
    whole = " ".join(line.removeprefix("- ") for line in said)
    for pattern, words in _MORE.items():
        whole = pattern.sub(words, whole)
    return _NO_NAME.sub(_names, _ABSTRACT.sub(_UNNAMED, whole))


def _names(found: re.Match[str]) -> str:
    """What to say in place of a name of an optimiser or a schedule that is none."""
    from training import optimisers, schedules  # here: help is to answer at once

    optimiser = found[2] == "optimizer"
    kind: type[object] = optimisers.Optimiser if optimiser else schedules.Schedule
    names = ", ".join(each.__name__ for each in kind.__subclasses__())
    return f"{found[1]}expected one of {names}, or the path of a class, got {found[3] or 'another'}"


def _of_process(lines: list[str]) -> str:
    """What an error in a loader's process says, without its class: what follows the last stack."""
    begin = max(i for i, line in enumerate(lines) if line.endswith("(most recent call last):"))
    said = " ".join(line for line in lines[begin + 1 :] if line and not line.startswith(" "))
    return said.partition(": ")[2] or said


@dataclass(frozen=True)
class Entry:
    """A key of a config file: its path without the words that only a config has, and its value."""

    path: str
    value: str
    file: str
    line: int


def located(message: str, arguments: list[str]) -> str:
    """The message, with file, line number and line of the config that is meant, where one is.

    Args:
        message: in one line, of jsonargparse or of a constructor.
        arguments: the command's. What they set themselves is in no file.
    """
    entries: list[Entry] = []
    for section, file in named_files(arguments):
        if not os.path.isfile(file):
            continue
        try:
            entries = [*_entries(file, section), *entries]
        except yaml.MarkedYAMLError as error:
            if error.problem_mark is None:
                return message
            return _quoted(file, error.problem_mark.line, f"no YAML: {error.problem}")
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            said = f"{file}: expected a config, YAML in UTF-8, got another file: {one_line(error)}"
            return f"{said}; save it as UTF-8, or give a checkpoint as --ckpt_path"
    typed = {_path(each[2:].partition("=")[0]) for each in arguments if each.startswith("--")}
    keys = ".".join(_KEY.findall(message))
    option, argument = _OPTION.search(message), _ARGUMENT.match(message)
    short = f"{keys}: {_CLASS.sub('', _KEY.sub('', message))}" if keys else message
    short += _meant(message)
    configured = named_files(arguments) or "ckpt_path" in typed
    if not configured and (option is not None or "arguments are required" in message):
        return f"{short}; say which config: --config training/configs/….yaml"
    if option is not None:
        meant = [e for e in entries if e.path == f"{keys}.{option[1]}".lstrip(".")]
    elif argument is not None:
        meant = [e for e in entries if e.path.rpartition(".")[2] == argument[1]]
        # Encoder and decoder have arguments of one name: the value tells them apart.
        meant = [e for e in meant if e.value in message.replace("'", "")] or meant
        if any(path.rpartition(".")[2] == argument[1] for path in typed):
            return short
    else:
        meant = [e for e in entries if e.path == keys]
        meant = [e for e in meant if e.value and e.value in message] or meant[-1:]
    if len({e.path for e in meant}) != 1 or meant[0].path in typed:
        return short
    return _quoted(meant[0].file, meant[0].line, short)


def _meant(message: str) -> str:
    """What a misspelt key, argument of a class or config of a message may mean, in words."""
    if found := _NO_CONFIG.search(message):
        folder = Path("training/configs")
        configs = [file.stem for file in folder.glob("*.yaml")]
        return _nearest(found[1], configs, f"{folder}/{{}}.yaml")
    if found := _UNKNOWN.search(message):
        return _nearest(found[1], _keys(), "--{}")
    if (found := _OPTION.search(message)) is None:
        return ""
    classes = _CLASS.findall(message)
    return _nearest(found[1], _arguments(classes[-1]) if classes else _keys())


def _nearest(written: str, known: Iterable[str], form: str = "{}") -> str:
    near = difflib.get_close_matches(written, sorted(known), 1)
    return f"; is {form.format(near[0])} meant?" if near else ""


def _keys() -> Iterable[str]:
    """Those of a config."""
    from training.completion import keys  # here: help is to answer at once
    from training.schema import schema

    return keys(schema())


def _arguments(class_path: str) -> Iterable[str]:
    from training.recipe import class_of  # here, likewise

    kinds = class_of(class_path).__mro__
    return {name for kind in kinds for name in inspect.signature(kind.__init__).parameters}


def _quoted(file: str, line: int, message: str) -> str:
    text = Path(file).read_text(encoding="utf-8").splitlines()[line : line + 1]
    return f"{file}:{line + 1}: {message}" + "".join(f" | {each.strip()}" for each in text)


def _entries(file: str, section: str) -> Iterator[Entry]:
    root = yaml.compose(Path(file).read_text(encoding="utf-8"))
    yield from _below(root, section, file)


def _below(node: yaml.Node | None, path: str, file: str) -> Iterator[Entry]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = _path(f"{path}.{key.value}".lstrip("."))
            yield Entry(name, _text(value), file, key.start_mark.line)
            yield from _below(value, name, file)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _below(item, path, file)


def _path(key: str) -> str:
    """A dotted key without `init_args`, `class_path` and places in lists."""
    parts = [p for p in key.split(".") if p not in ("init_args", "class_path") and not p.isdigit()]
    return ".".join(parts)


def _text(node: yaml.Node) -> str:
    """A value as a message shows it: a name or number, or a list of them; else nothing."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_text(item) for item in node.value)}]"
    return ""
