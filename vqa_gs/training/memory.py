"""Memory that a training step frees is kept for the next one."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tells the C library to keep freed memory, and where large tensors come from.

    By default glibc maps each large block anew and gives it back at once, so a step on the CPU pays for the first
    touch of the same hundreds of megabytes every time: a tenth of its time. CUDA's memory is torch's own affair.

    Returns:
        Whether the C library took it; others (musl, macOS) have other allocators.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
