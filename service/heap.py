"""The C library's heap, kept from growing with every order in which requests come."""

from __future__ import annotations

import ctypes

# Parameters of glibc's mallopt, as in <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE = 2**20


def keep_heap_small() -> None:
    """Gives large blocks back at once, and shares one heap between threads; glibc only.

    By default glibc learns to keep blocks of up to 32 MiB, in a heap for each thread: pictures of
    all sizes then leave holes, and the process grows for hours.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter, value in ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _LARGE)):
        mallopt(parameter, value)
