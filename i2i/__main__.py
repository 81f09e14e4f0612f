"""`i2i`: predict pictures, list the models, look into one."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from i2i.commands.parser import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status, as `i2i predict --help` tells them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may hold what the terminal's encoding does not.
            stream.reconfigure(errors="backslashreplace")
    options = build_parser().parse_args(arguments)
    try:
        status: int = import_module(f"i2i.commands.{options.command}").run(options)
    except BrokenPipeError:
        # The reader of our output has gone (`i2i models | head`); so has the place for a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except (ValueError, OSError, MemoryError) as error:
        print(f"i2i: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("i2i: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
