"""Reading millions of records without the cycle collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """A block without the cycle collector, which would walk all that is read again and again: a tenth of the time.

    Memory is freed as ever but for objects that refer to themselves in a circle, of which records have none.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
