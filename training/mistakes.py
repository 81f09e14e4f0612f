"""A user's mistake in one line, with the place in the config where it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

# What jsonargparse says of the alternatives that were not meant, and of what was typed.
_ASIDES = (
    "Does not validate against any",
    "Subtypes:",
    "Errors:",
    "Given value",
    "- Expected a <class 'NoneType'>",
    "- Expected a path but",
    "- Import path",
)


def one_line(error: Exception) -> str:
    """The message in one line, without asides and without the stack of a loader's process."""
    lines = [line.strip() for line in str(error).splitlines()]
    if "Original Traceback (most recent call last):" in lines:
        return lines[-1].partition(": ")[2]
    # A dict keeps the order, and each line once.
    said = dict.fromkeys(line for line in lines if line and not line.startswith(_ASIDES))
    return " ".join(line.removeprefix("- ") for line in said)


def located(message: str, arguments: list[str]) -> str:
    return message
