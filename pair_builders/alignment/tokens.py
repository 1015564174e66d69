"""Which word of one question corresponds to which of another: for directions in the space of word vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from vqa_gs.pair_builders.alignment.directions import AlignmentIndex


def align_tokens(tokens_a: NDArray[np.int64], tokens_b: NDArray[np.int64], padding: int = 0) -> AlignmentIndex:
    """Aligns the questions of P pairs word by word along their shortest edit.

    Equal and replaced words correspond; a word that was inserted or deleted has no counterpart, which counts as a
    zero vector. Padding is aligned to nothing.

    Args:
        tokens_a: (P, La) word indices of the ends a.
        tokens_b: (P, Lb) of the ends b.
        padding: the index that is no word.

    Returns:
        Gather indices as of regions, see `AlignmentIndex`.
    """
    index_a, index_b = np.full(tokens_a.shape, -1, np.int64), np.full(tokens_b.shape, -1, np.int64)
    words_a, words_b = tokens_a != padding, tokens_b != padding
    for pair in range(len(tokens_a)):
        at_a, at_b = np.flatnonzero(words_a[pair]), np.flatnonzero(words_b[pair])
        # Lists of ints: the distance hashes elements one by one.
        edits = Levenshtein.opcodes(tokens_a[pair, at_a].tolist(), tokens_b[pair, at_b].tolist())
        for tag, a_from, a_to, b_from, b_to in edits:
            if tag in ("equal", "replace"):
                index_a[pair, at_a[a_from:a_to]] = at_b[b_from:b_to]
                index_b[pair, at_b[b_from:b_to]] = at_a[a_from:a_to]
    return AlignmentIndex(index_a, words_a, index_b, words_b)
