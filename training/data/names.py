"""Many names in one message."""

from __future__ import annotations

from collections.abc import Sequence

TOLD = 5


def some_of(names: Sequence[object]) -> str:
    """The first few, and how many more there are.

    Examples:
        >>> some_of("abcdefg")
        'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(map(str, names[:TOLD])) + more
