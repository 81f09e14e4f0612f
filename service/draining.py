"""The first part of a process's end: it says that it is not ready, and goes on answering."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType


class Draining:
    """Puts SIGTERM off by `seconds`, in which proxies learn to send their requests elsewhere.

    BentoML's parent process holds the socket until the end: what still connects to it after
    SIGTERM would wait there, and be lost.

    Attributes:
        begun: whether SIGTERM has come.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begun = False

    def watch(self) -> None:
        """Takes SIGTERM over from the server that runs this event loop, where it is its own."""
        if not self._seconds or threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        end = signal.getsignal(signal.SIGTERM)

        def begin(number: int, frame: FrameType | None) -> None:
            self.begun = True
            if callable(end):
                loop.call_soon_threadsafe(loop.call_later, self._seconds, end, number, frame)

        signal.signal(signal.SIGTERM, begin)
