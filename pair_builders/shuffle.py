"""Wrong partners: the ends of a pair table dealt out anew, at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.table import PairTable

from vqa_gs.common.errors import DataError

# What a wrong partner is charged. The first must never happen, so no number of the others outweighs it.
_OWN_PARTNER, _SAME_IMAGE, _SAME_ANSWER = 1000, 4, 1

_SWEEPS = 10
_TRIES = 32

Penalty = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


def shuffle_partners(
    table: PairTable,
    seed: int,
    answers_a: Sequence[Any] | NDArray[Any] | None = None,
    answers_b: Sequence[Any] | NDArray[Any] | None = None,
    images_a: Sequence[Any] | NDArray[Any] | None = None,
    images_b: Sequence[Any] | NDArray[Any] | None = None,
) -> NDArray[np.int64]:
    """Deals the ends b of a table out anew, so that no end a keeps its partner.

    Where it can be had, no end a gets itself, its own image or its own answer either.

    Args:
        table: P pairs, 2 or more.
        seed: of the dealing.
        answers_a: (P,) the answers at ends a, anything that can be compared; None: not looked at.
        answers_b: (P,) at ends b.
        images_a: (P,) the images at ends a; None: not looked at.
        images_b: (P,) at ends b.

    Returns:
        (P,) a permutation: pair p gets end b of pair ``order[p]``.

    Raises:
        DataError: there is no such dealing, because one question is end b of more than half of the pairs.
    """
    pairs = len(table)
    generator = np.random.default_rng(seed)
    question_a, question_b = _codes(table.question_a, table.question_b)
    most = int(np.bincount(question_b).max(initial=0)) if pairs else 0
    if pairs and 2 * most > pairs:
        raise DataError(
            f"partners cannot be dealt out anew: one question is the partner in {most} of {pairs} pairs",
            mend="shuffle a table with more pairs",
        )
    given = [_codes(answers_a, answers_b), _codes(images_a, images_b)]

    def penalty(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        charge = _OWN_PARTNER * (question_b[a] == question_b[b]) + _SAME_IMAGE * (question_a[a] == question_b[b])
        for cost, (codes_a, codes_b) in zip((_SAME_ANSWER, _SAME_IMAGE), given, strict=True):
            if len(codes_a):
                charge = charge + cost * (codes_a[a] == codes_b[b])
        return charge

    everyone = np.arange(pairs, dtype=np.int64)
    order = generator.permutation(everyone)
    _improve(order, penalty, generator)
    if (question_b[order] == question_b).any():
        # Swaps got stuck, as they may where one partner is very frequent. Sorted by partner, a step of the
        # largest group's size always leads to another partner; what is random is the order within groups.
        mixed = generator.permutation(everyone)
        mixed = mixed[np.argsort(question_b[mixed], kind="stable")]
        order[mixed] = np.roll(mixed, -most)
        _improve(order, penalty, generator)
    return order


def _codes(left: Any, right: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers the distinct values of two columns; a dict, since numbers and text do not sort together."""
    if left is None or right is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    numbers: dict[Any, int] = {}
    codes_a, codes_b = ([numbers.setdefault(value, len(numbers)) for value in end] for end in (left, right))
    return np.array(codes_a, np.int64), np.array(codes_b, np.int64)


def _improve(order: NDArray[np.int64], penalty: Penalty, generator: np.random.Generator) -> None:
    """Swaps partners, in place, while that lowers what the two pairs are charged."""
    everyone = np.arange(len(order), dtype=np.int64)
    for _ in range(_SWEEPS):
        charged = np.flatnonzero(penalty(everyone, order))
        changed = False
        for pair in generator.permutation(charged).tolist():
            others = everyone
            if len(order) > 2 * _TRIES:
                # Half of them from those charged too: the last few can often be mended by each other alone.
                anyone = generator.integers(0, len(order), _TRIES)
                others = np.concatenate([anyone, generator.choice(charged, _TRIES)])
            here = np.full(len(others), pair)
            gain = penalty(here, order[here]) + penalty(others, order[others])
            gain = gain - penalty(here, order[others]) - penalty(others, order[here])
            gain[others == pair] = 0
            best = int(np.argmax(gain))
            if gain[best] > 0:
                other = others[best]
                order[pair], order[other] = order[other], order[pair]
                changed = True
        if not changed:
            return
