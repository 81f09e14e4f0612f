"""Threads that the end of the process does not wait for, unlike those of a `ThreadPoolExecutor`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Lane(Executor):
    """Runs calls in the order in which they come, on so many threads at most.

    A codec or a disk that keeps a thread ends with the process, not the process with it.

    Args:
        name: of the threads.
        begin: what each thread does first.
    """

    def __init__(self, threads: int, name: str, begin: Callable[[], None] = lambda: None) -> None:
        self._most, self._name, self._begin = threads, name, begin
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._changing = threading.Lock()
        self._threads = 0
        self._closed = False

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """What `call` will give.

        Raises:
            RuntimeError: the lane is closed, or there is no thread to be had.
        """
        future: Future[T] = Future()
        with self._changing:
            if self._closed:
                raise RuntimeError(f"the lane {self._name} is closed")
            if self._threads < self._most:
                threading.Thread(target=self._serve, name=self._name, daemon=True).start()
                self._threads += 1
            self._calls.put(partial(_run, future, partial(call, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Ends the threads once all calls are done, for which nobody waits."""
        with self._changing:
            if not self._closed:
                self._closed = True
                for _ in range(self._threads):
                    self._calls.put(None)

    def _serve(self) -> None:
        self._begin()
        while (run := self._calls.get()) is not None:
            run()
            del run  # while this thread waits, it holds no picture


def _run(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as failure:
        future.set_exception(failure)
        # The failure holds this frame: in it, it would hold itself, and the picture that failed.
        del future, call
    else:
        future.set_result(result)
