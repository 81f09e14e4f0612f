"""`i2i`: predict pictures, list the models, look into one."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module

from i2i.commands.parser import EXIT_INTERRUPTED, EXIT_USAGE, build_parser
from i2i.commands.stdout import give_up_stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status, as `i2i predict --help` tells them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may hold what the terminal's encoding does not.
            stream.reconfigure(errors="backslashreplace")
    options = build_parser().parse_args(arguments)
    with _signals_as_interrupts() as signals:
        try:
            status: int = import_module(f"i2i.commands.{options.command}").run(options)
        except BrokenPipeError as error:
            return give_up_stdout(error)
        except (ValueError, OSError, MemoryError) as error:
            print(f"i2i: {error}", file=sys.stderr)
            return EXIT_USAGE
        except KeyboardInterrupt:
            print("i2i: interrupted", file=sys.stderr)
            status = EXIT_INTERRUPTED
    try:
        sys.stdout.flush()
    except OSError as error:
        return give_up_stdout(error)
    return 128 + signals[0] if signals else status


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[list[int]]:
    """Has SIGTERM and SIGHUP end a command as Ctrl-C does, which clears up; gives those that came.

    What somebody else handles or ignores, as nohup does SIGHUP, stays so.
    """
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    ending = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]  # Windows has one
    taken = [each for each in ending if each and signal.getsignal(each) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        taken = []  # Python handles signals in its main thread only
    for each in taken:
        signal.signal(each, interrupt)
    try:
        yield came
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
