"""Questions encoded before their images are looked at: thousands at once, and each wording once.

A recurrent network's products have a row a question, which is few in a batch that is as large as its images' regions
allow. And people ask alike: the same words about many images.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqa_gs.models.vqa_model import Encoded, join, take

WINDOW = 16_384
"""Questions whose encodings are held, about: 64 MB where a question is 1,024 numbers."""

AT_ONCE = 2048


def encoded_ahead(
    encode: Callable[[Tensor], Encoded],
    tokens: Tensor,
    batches: Sequence[NDArray[np.int64]],
    window: int = WINDOW,
    at_once: int = AT_ONCE,
) -> Generator[Encoded, None, None]:
    """Yields the encoded questions of one batch after the other.

    Args:
        encode: encodes (n, length) tokens, a row a question, each as if it stood alone.
        tokens: (questions, length) int64.
        batches: rows of the questions, in the order in which they are wanted.
        window: questions that are encoded before the first of them is wanted.
        at_once: questions of a call.
    """
    first = 0
    while first < len(batches):
        last, held = first, 0
        while last < len(batches) and (last == first or held + len(batches[last]) <= window):
            held += len(batches[last])
            last += 1
        there = tokens[torch.from_numpy(np.concatenate(batches[first:last]))].numpy()
        distinct, inverse = np.unique(there, axis=0, return_inverse=True)
        found = join([encode(part) for part in torch.from_numpy(distinct).split(at_once)])
        which = torch.from_numpy(inverse.reshape(-1))
        for part in which.split([len(batch) for batch in batches[first:last]]):
            yield take(found, part)
        first = last
