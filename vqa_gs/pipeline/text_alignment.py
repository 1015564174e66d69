"""Which word of a pair's one end corresponds to which of the other: found once, cut to each batch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqa_gs.pair_builders.alignment.tokens import align_tokens


class TextAlignment:
    """The words of pairs, aligned along their shortest edit, each text with its counterpart.

    Padding stands in front, so that a word is as far from the end of its row in every batch, whatever its width is:
    counterparts are kept as that distance, in two bytes.

    Args:
        tokens: for each text of an example (n, length) int64, padding in front.
        pairs: (P, 2) int64, rows of both ends.
    """

    def __init__(self, tokens: tuple[Tensor, ...], pairs: NDArray[np.int64]) -> None:
        self._from_end: list[tuple[NDArray[np.uint16], NDArray[np.uint16]]] = []
        for text in tokens:
            length = text.shape[1]
            if length > np.iinfo(np.uint16).max:
                raise ValueError(f"texts of {length} words are longer than what can be aligned")
            a, b = (text.numpy()[pairs[:, end]] for end in (0, 1))
            found = align_tokens(a, b)
            one, other = (
                np.where(index < 0, 0, length - index).astype(np.uint16) for index in (found.index_a, found.index_b)
            )
            self._from_end.append((one, other))

    def of(self, pairs: NDArray[np.int64], tokens: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Returns the alignment of some pairs in a batch.

        Args:
            pairs: (p,) which pairs.
            tokens: the batch: for each text (n, width) int64, the pairs' 2p ends first, no word of theirs cut off.

        Returns:
            Gather indices as of regions (`AlignmentIndex`), each (p, total width), into all
            texts' words one after the other.
        """
        parts, base, count = [], 0, len(pairs)
        for both, text in zip(self._from_end, tokens, strict=True):
            width = text.shape[1]
            ends = []
            for end, from_end in enumerate(both):
                there = from_end[pairs, from_end.shape[1] - width :].astype(np.int64)
                ends.append(np.where(there == 0, -1, base + width - there))
                ends.append((text[end * count : (end + 1) * count] != 0).numpy())
            parts.append(ends)
            base += width
        return tuple(torch.from_numpy(np.concatenate(part, axis=1)) for part in zip(*parts, strict=True))
