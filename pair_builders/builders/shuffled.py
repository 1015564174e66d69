"""The control: pairs whose partners were dealt out anew.

If gradient supervision helps because a pair says what makes the difference, it must stop helping once every
example is paired with the wrong partner. A table of this kind has the same ends as the one it is made from,
only the relations between them are random.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from vqa_gs.pair_builders.alignment.batches import align_pairs
from vqa_gs.pair_builders.alignment.matching import BOX_WEIGHT
from vqa_gs.pair_builders.alignment.settings import Alignment
from vqa_gs.pair_builders.builder import made_with, pair_builder
from vqa_gs.pair_builders.selection_rule import Candidates
from vqa_gs.pair_builders.shuffle import shuffle_partners
from vqa_gs.pair_builders.sources import PairSources, Progress
from vqa_gs.pair_builders.table import IDENTITY, MATCHED, SPARSE, PairTable, read_pair_table

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import sha256_file

KIND = "shuffled"


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


def shuffle_table(
    table: PairTable,
    sources: PairSources,
    seed: int,
    settings: Settings | None = None,
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
        settings: of the builder; None: the defaults.
        progress: called with the pairs matched.

    Raises:
        DataError: a question or image is unknown, or there is no such dealing.
    """
    chosen = settings or Settings()
    store, candidates = sources.require_store(), Candidates.of(table, sources)
    sources.require_images(np.concatenate([candidates.a, candidates.b]))
    images_a, images_b = sources.images(candidates.a), sources.images(candidates.b)
    _, answers_a, answers_b = candidates.answers()
    order = shuffle_partners(table, seed, answers_a, answers_b, images_a, images_b)
    partners = table.select(order)
    images_b = sources.images(candidates.b[order])
    alignment = table.alignment.copy()
    unequal = store.counts(images_a) != store.counts(images_b)
    alignment[(alignment == IDENTITY) & unequal] = MATCHED
    rematch = np.flatnonzero(alignment != IDENTITY)
    had = np.maximum(np.diff(table.first), 1)
    masks = [partners.mask_of(at) for at in rematch.tolist()]
    first, rows = align_pairs(
        store,
        sources.images(candidates.a[rematch]),
        sources.images(candidates.b[order[rematch]]),
        box_weight=chosen.box_weight,
        sparse=np.where(alignment[rematch] == SPARSE, had[rematch], 0),
        keep_b=[None if mask is None else np.flatnonzero(mask) for mask in masks],
        progress=progress,
    )
    lengths = np.zeros(len(table), np.int64)
    lengths[rematch] = np.diff(first)
    return replace(
        partners,
        question_a=table.question_a,
        kind=np.zeros(len(table), np.uint8),
        alignment=alignment,
        weight=table.weight,
        distance=np.full(len(table), np.nan, np.float32),
        first=np.concatenate([[0], np.cumsum(lengths)]),
        rows=rows,
        kinds=(KIND,),
        settings={KIND: made_with(chosen, seed, {}) | {"pairs": table.settings}},
        sources={**table.sources, **sources.files()},
    )


@pair_builder(KIND, Settings)
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """The control: the pairs of another table, with partners dealt out anew.

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
        shuffled = shuffle_table(table, sources, seed, settings, progress)
    except DataError as error:
        if error.file is not None:
            raise
        raise DataError(error.problem, file=settings.of, record=error.record, mend=error.mend) from error
    shuffled.sources[str(settings.of)] = sha256_file(settings.of)
    return shuffled
