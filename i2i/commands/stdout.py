"""Standard output that takes no more: its disk is full, or its reader has gone."""

from __future__ import annotations

import os
import sys

from i2i.commands.parser import EXIT_FAILED


def give_up_stdout(error: OSError) -> int:
    """Says why standard output is given up, and returns the exit status; what it holds is lost."""
    # A reader that has gone (`i2i models | head`) is no error, and wants no message.
    if not isinstance(error, BrokenPipeError):
        print(f"i2i: standard output: {error.strerror}", file=sys.stderr)
    # Python would try again at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_FAILED
