"""The control: pairs whose partners were dealt out anew.

If gradient supervision helps because a pair says what makes the difference, it must stop helping once every
example is paired with the wrong partner. A table of this kind has the same ends as the one it is made from,
only the relations between them are random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders._regions import Progress, align_pairs, require_images
from vqa_gs.pair_builders.alignment import BOX_WEIGHT
from vqa_gs.pair_builders.base import Alignment, PairSources, made_with, pair_builder
from vqa_gs.pair_builders.selection import Candidates
from vqa_gs.pair_builders.table import IDENTITY, MATCHED, SPARSE, PairTable, read_pair_table

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import sha256_file

KIND = "shuffled"

# What a wrong partner is charged. The first must never happen, so no number of the others outweighs it.
_OWN_PARTNER, _SAME_IMAGE, _SAME_ANSWER = 1000, 4, 1

_SWEEPS = 10
_TRIES = 32


@dataclass(frozen=True)
class Settings:
    """What is shuffled.

    Args:
        of: the pair table whose partners are dealt out anew; it has to be given.
        box_weight: what the place of a region counts in matching, appearance counting 1.
        first: shuffle only the first so many pairs, those that ``data.max_pairs`` would leave; 0: all.
    """

    of: Path | None = None
    box_weight: float = BOX_WEIGHT
    first: int = 0

    def __post_init__(self) -> None:
        Alignment(box_weight=self.box_weight)
        if self.first < 0:
            raise UsageError(f"shuffled.first must be at least 0, not {self.first}")


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
    both = [
        np.array([numbers.setdefault(value, len(numbers)) for value in _plain(column)], np.int64)
        for column in (left, right)
    ]
    return both[0], both[1]


def _plain(column: Any) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _improve(order: NDArray[np.int64], penalty: Any, generator: np.random.Generator) -> None:
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


def shuffle_table(
    table: PairTable,
    sources: PairSources,
    seed: int,
    box_weight: float = BOX_WEIGHT,
    progress: Progress | None = None,
) -> PairTable:
    """Returns the control of a table in memory.

    Pair p keeps its end a, weight and number of rows, and gets another end b with its mask and answer. An
    identity pair stays one if the numbers of regions agree; where they do not, all regions are matched. A
    matched pair is matched anew, a sparse one reduced to as many rows as it had.

    Args:
        table: the table.
        sources: the questions its ids are in, and the region store.
        seed: of the dealing.
        box_weight: see :func:`vqa_gs.pair_builders.alignment.match_regions`.
        progress: called with the pairs matched.

    Raises:
        DataError: a question or image is unknown, or there is no such dealing.
    """
    store = sources.require_store()
    ends = sources.ends
    candidates = Candidates.of(table, sources)
    images_a = [ends.questions[row].image_id for row in candidates.a.tolist()]
    images_b = [ends.questions[row].image_id for row in candidates.b.tolist()]
    require_images(store, images_a + images_b, table.question_a.tolist() + table.question_b.tolist())
    _, answers_a, answers_b = candidates.answers()
    order = shuffle_partners(table, seed, answers_a, answers_b, images_a, images_b)
    partners = table.select(order)
    images_b = [images_b[at] for at in order.tolist()]

    alignment = table.alignment.copy()
    unequal = store.counts(images_a) != store.counts(images_b)
    alignment[(alignment == IDENTITY) & unequal] = MATCHED
    rematch = np.flatnonzero(alignment != IDENTITY)
    had = np.maximum(np.diff(table.first), 1)
    masks = [partners.mask_of(at) for at in rematch.tolist()]
    first, rows = align_pairs(
        store,
        [images_a[at] for at in rematch.tolist()],
        [images_b[at] for at in rematch.tolist()],
        box_weight=box_weight,
        sparse=np.where(alignment[rematch] == SPARSE, had[rematch], 0),
        keep_b=[None if mask is None else np.flatnonzero(mask) for mask in masks],
        progress=progress,
    )
    lengths = np.zeros(len(table), np.int64)
    lengths[rematch] = np.diff(first)
    return PairTable(
        question_a=table.question_a,
        question_b=partners.question_b,
        kind=np.zeros(len(table), np.uint8),
        alignment=alignment,
        weight=table.weight,
        distance=np.full(len(table), np.nan, np.float32),
        first=np.concatenate([[0], np.cumsum(lengths)]),
        rows=rows,
        kinds=(KIND,),
        mask_first=partners.mask_first,
        mask_keep=partners.mask_keep,
        answer_b=partners.answer_b,
        settings={KIND: made_with(Settings(None, box_weight), seed, {}) | {"pairs": table.settings}},
        sources={**table.sources, **sources.files()},
    )


@pair_builder(KIND, Settings, needs=("store",))
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """The control: the pairs of another table, with partners dealt out anew.

    Args:
        sources: the questions the other table's ids are in, and the region store.
        settings: see :class:`Settings`.
        seed: of the dealing.
        progress: called with the pairs matched.

    Returns:
        As many pairs as the other table has, or the first of them, see :func:`shuffle_table`.

    Raises:
        UsageError: no table is named.
        DataError: it has no pairs, does not fit the sources, or cannot be dealt out.
    """
    if settings.of is None:
        raise UsageError("shuffled pairs need a table to shuffle", mend="name it with `of`")
    table = read_pair_table(settings.of, require_pairs=True)
    if settings.first:
        table = table.select(range(min(settings.first, len(table))))
    try:
        shuffled = shuffle_table(table, sources, seed, settings.box_weight, progress)
    except DataError as error:
        if error.file is not None:
            raise
        raise DataError(error.problem, file=settings.of, record=error.record, mend=error.mend) from error
    shuffled.settings[KIND] |= {"of": str(settings.of), "first": settings.first}
    shuffled.sources[str(settings.of)] = sha256_file(settings.of)
    return shuffled
