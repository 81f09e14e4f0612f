"""Who is next: fair shares of a thing that serves one at a time, by measured time.

Each has a clock that runs by the seconds it was served; the common clock runs by everybody's,
divided by how many there are, so it shows what a fair share would have been. Who is furthest behind
is next. Parekh and Gallager's generalised processor sharing (IEEE/ACM Transactions on Networking,
1993), by windows instead of bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Who = TypeVar("Who")

# A newcomer begins this many seconds of service behind the common clock. So a request of a window
# or two need not let those pass who happen to be a window behind; and no stream of newcomers can
# keep the others back by more than this.
HEAD_START_S = 0.25


class Turns:
    """The clocks of those who can be served."""

    def __init__(self) -> None:
        self._now = 0.0
        self._clocks: dict[Any, float] = {}

    def seat(self, those: Iterable[Any]) -> None:
        """Who can be served from now on, in place of those before; who left saves up no turns."""
        begin = self._now - HEAD_START_S
        self._clocks = {who: self._clocks.get(who, begin) for who in those}

    def served(self, who: object, seconds: float) -> None:
        """Counts what `who` was given."""
        self._clocks[who] += seconds
        self._now += seconds / len(self._clocks)

    def next(self, those: Iterable[Who], tie: Callable[[Who], Any]) -> Who:
        """Of these the one furthest behind; of equals, that of the least `tie`."""
        return min(those, key=lambda who: (self._clocks[who], tie(who)))
