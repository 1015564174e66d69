"""What every pair builder looks like, and how one is run: find pairs, select among them, match their regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from vqa_gs.pair_builders.alignment.batches import align_pairs
from vqa_gs.pair_builders.alignment.settings import Alignment
from vqa_gs.pair_builders.part import Part, register
from vqa_gs.pair_builders.selection_rule import Candidates, Selection, select
from vqa_gs.pair_builders.sources import PairSources, Progress
from vqa_gs.pair_builders.table import IDENTITY, SPARSE, PairTable
from vqa_gs.pair_builders.table.columns import is_given

from vqa_gs.common.errors import UsageError
from vqa_gs.common.phases import phase
from vqa_gs.common.registry import Registry

Build = Callable[..., PairTable]
"""Returns the pairs, their regions not matched yet, from the :class:`PairSources`, the builder's settings, the seed of
what it chooses at random, and what is told of the progress, or None."""


@dataclass(frozen=True)
class PairBuilder(Part[Build]):
    """A registered builder; its name is the kind of the pairs it makes."""

    def build(
        self,
        sources: PairSources,
        settings: Any = None,
        seed: int = 0,
        progress: Progress | None = None,
        rules: Sequence[Selection] = (),
    ) -> PairTable:
        """Finds pairs, selects among them, and matches the regions of what is left.

        Args:
            sources: what they are made from.
            settings: a ``Settings`` of this builder; None: the defaults.
            seed: equal seeds, settings and sources give equal tables.
            progress: called from time to time.
            rules: selections by name, with their settings, in the order of their application.

        Raises:
            UsageError: the settings make no sense, or a source is missing.
            DataError: the sources do not fit together.
        """
        for questions in (sources.questions, sources.edited):
            if questions is not None and questions.annotations is None:
                raise UsageError(
                    f"{self.name} pairs need the questions' answers",
                    file=next(iter(questions.sources), None),
                    mend="name the annotations file too",
                )
        chosen = self.Settings() if settings is None else settings
        with phase(f"making {self.name} pairs"):
            table = self.function(sources, chosen, seed, progress)
            candidates, report = select(Candidates.of(table, sources), rules)
            table = candidates.table
            if isinstance(chosen, Alignment):
                table = _aligned(candidates, chosen, progress)
        if rules:
            table.settings[self.name]["selected"] = report
            if is_given(candidates.regions).any():
                table.sources.update(sources.classes.sources)
                table = _with_classes(table, candidates)
        return table


BUILDERS: Registry[PairBuilder] = Registry("pair builder", "vqa_gs.pair_builders.builders")


def pair_builder(kind: str, settings: type[Any]) -> Callable[[Build], Build]:
    """Returns a decorator that registers a builder's function and leaves it as it is.

    Args:
        kind: the name it is found by.
        settings: its settings class; one derived from :class:`Alignment` has the regions of its pairs matched.
    """
    return register(BUILDERS, kind, settings, PairBuilder)


def table_of(
    kind: str,
    sources: PairSources,
    settings: Any,
    seed: int,
    a: ArrayLike,
    b: ArrayLike,
    *,
    dropped: Mapping[str, int] | None = None,
    files: Mapping[str, str] | None = None,
    **columns: Any,
) -> PairTable:
    """Makes the table of a builder, with its settings, seed and sources noted down.

    Args:
        kind: the kind of the pairs.
        sources: what they are made from.
        settings: the builder's; ``weight`` and ``alignment`` are those of the pairs.
        seed: the builder's.
        a: (P,) the questions at end a, rows of ``sources.ends``.
        b: (P,) those at end b.
        dropped: how many pairs or questions were left out, by reason.
        files: path -> SHA-256 of what was read beside the sources.
        columns: further columns, as :meth:`PairTable.of_one_kind` takes them.
    """
    questions = sources.ends.questions
    ids = ([questions[row].question_id for row in np.asarray(end).tolist()] for end in (a, b))
    return PairTable.of_one_kind(
        kind,
        *ids,
        alignment=getattr(settings, "alignment", "identity"),
        weight=settings.weight,
        settings=made_with(settings, seed, dropped or {}),
        sources={**sources.files(), **(files or {})},
        **columns,
    )


def made_with(settings: Any, seed: int, dropped: Mapping[str, int]) -> dict[str, Any]:
    """Returns a table's entry on how its pairs were made, in plain JSON types; see :func:`table_of`."""
    return {**plain(asdict(settings)), "seed": seed, "dropped": dict(dropped)}


def plain(value: Any) -> Any:
    """Returns settings in plain JSON types: paths as text."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _with_classes(table: PairTable, candidates: Candidates) -> PairTable:
    """Notes down the class of every region in the alignment rows."""
    classes = candidates.sources.classes
    owner = np.repeat(np.arange(len(table)), np.diff(table.first))
    codes = np.full(table.rows.shape, -1, np.int32)
    for end, images in enumerate(candidates.images()):
        there = table.rows[:, end] >= 0
        codes[there, end] = classes.code[classes.first[images[owner[there]]] + table.rows[there, end]]
    return replace(table, region_class=codes, class_names=classes.names)


def _aligned(candidates: Candidates, settings: Alignment, progress: Progress | None) -> PairTable:
    """Fills in the alignment rows of pairs that are not identity pairs, and of all whose regions were named."""
    table, sources = candidates.table, candidates.sources
    # Where the answers are equal nothing makes a difference: no region has a direction.
    _, answer_a, answer_b = candidates.answers()
    equal = answer_a == answer_b
    named = is_given(candidates.regions) & ~equal
    todo = np.flatnonzero(named | (table.alignment != IDENTITY) & ~equal)
    some = candidates.regions[todo]
    first, rows = align_pairs(
        sources.require_store(),
        sources.images(candidates.a[todo]),
        sources.images(candidates.b[todo]),
        box_weight=settings.box_weight,
        sparse=np.where((table.alignment[todo] == SPARSE) & ~named[todo], settings.sparse_regions, 0),
        keep_a=[None if given is None else given[0] for given in some],
        keep_b=[None if given is None else given[1] for given in some],
        named=named[todo],
        progress=progress,
    )
    lengths = np.zeros(len(table), np.int64)
    lengths[todo] = np.diff(first)
    alignment = np.where(named | equal, SPARSE, table.alignment).astype(np.uint8)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return replace(table, alignment=alignment, first=bounds, rows=rows)
