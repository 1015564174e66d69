"""Memory for batches: on huge pages where the system has them, and tests on it that cost one pass."""

from __future__ import annotations

import mmap
from math import prod

import numpy as np

from vqa_gs.common.lazy import torch

_HUGE_PAGE = 1 << 21
# Torch cuts copies of 2^15 numbers and more into threads.
_ONE_THREAD = (1 << 15) - 1


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Returns an uninitialised contiguous tensor; a large one lies on huge pages.

    The first touch of 4 kB pages costs more than filling them; a huge page costs one touch for 512 of them.
    """
    count = prod(shape)
    size = count * dtype.itemsize
    if size < 2 * _HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape, dtype=dtype)
    memory = mmap.mmap(-1, -(-size // _HUGE_PAGE) * _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    # The tensor holds the map, which goes when the last view of it does.
    return torch.frombuffer(memory, dtype=dtype, count=count).view(shape)


def reuse(old: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Returns an uninitialised contiguous tensor, in the memory of ``old`` where that is large enough."""
    if old is None or old.dtype != dtype or old.device.type != "cpu" or old.storage_offset() != 0:
        return empty(shape, dtype)
    if old.shape == shape and old.is_contiguous():
        return old
    storage = old.untyped_storage()
    if storage.nbytes() >= prod(shape) * old.element_size():
        return old.new_empty(0).set_(storage, 0, shape)  # type: ignore[call-overload]
    if torch.cuda.is_available() and old.is_pinned():
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    return empty(shape, dtype)


def copy_alone(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copies contiguous numbers to another type in this thread alone.

    Torch's threads would fight with those of the step that is computed meanwhile, or with a hash; this thread, given
    less at a time, copies as fast as memory lets it. It is one call: a call a piece costs a fourth of the copying.
    """
    torch._foreach_copy_(target.view(-1).split(_ONE_THREAD), source.view(-1).split(_ONE_THREAD))


def all_finite(values: np.ndarray) -> bool:
    """Returns whether no number is NaN or infinite, for contiguous float16 or float32.

    NaN and infinity are the largest bit patterns of their sign, so integer maxima tell, faster than any
    arithmetic. Numbers of which none is negative, as after a ReLU, need one pass.
    """
    if values.size == 0:
        return True
    infinity, sign = (0x7C00, 0x8000) if values.itemsize == 2 else (0x7F800000, 0x80000000)
    largest = int(values.view(f"u{values.itemsize}").max())
    return largest < infinity or (
        largest < sign | infinity and int(values.view(f"i{values.itemsize}").max()) < infinity
    )
