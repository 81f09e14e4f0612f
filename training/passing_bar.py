"""A bar for what takes some seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def passing(items: Sequence[T], title: str) -> Iterable[T]:
    """The items, under a bar that goes away; in a log, where it would leave an empty line, none."""
    return track(items, title, transient=True, disable=not Console().is_terminal)
