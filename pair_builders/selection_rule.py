"""What every selection looks like, and how several are applied: which pairs are worth learning from.

A rule looks at all candidates at once and says which stay, what they weigh, and which regions their direction is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.part import Part, register
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import PairTable
from vqa_gs.pair_builders.table.columns import is_given

from vqa_gs.common.phases import phase
from vqa_gs.common.registry import Registry


@dataclass(eq=False)
class Candidates:
    """P pairs that may be taken.

    Attributes:
        table: the pairs, their regions not matched yet.
        sources: what they were made from.
        a: (P,) int64, rows of ``sources.ends``.
        b: (P,) int64.
        regions: (P,) objects, None or the (regions of a, regions of b) that the direction is about.
    """

    table: PairTable
    sources: PairSources
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    regions: NDArray[np.object_]

    @classmethod
    def of(cls, table: PairTable, sources: PairSources) -> Candidates:
        """Looks the ends of a table up; DataError where one is not known."""
        ends = sources.ends
        regions = np.full(len(table), None, dtype=object)
        return cls(table, sources, ends.rows_of(table.question_a), ends.rows_of(table.question_b), regions)

    def __len__(self) -> int:
        return len(self.table)

    def images(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the store's rows of the images at both ends, (P,) each."""
        rows, questions = self.sources.classes.rows, self.sources.ends.questions
        of_question = np.full(len(questions), -1, np.int64)
        for row in np.unique(np.concatenate([self.a, self.b])).tolist():
            of_question[row] = rows[questions[row].image_id]
        return of_question[self.a], of_question[self.b]

    def answers(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """Returns the distinct answers, and the numbers among them of those at ends a and b, (P,) each."""
        known, codes = self.sources.ends.answers
        at_a, at_b = codes[self.a], codes[self.b]
        if self.table.answer_b is not None:
            numbers = {answer: number for number, answer in enumerate(known)}
            for pair in np.flatnonzero(is_given(self.table.answer_b)).tolist():
                at_b[pair] = numbers.setdefault(self.table.answer_b[pair], len(numbers))
            known = list(numbers)
        return known, at_a, at_b


@dataclass(eq=False)
class Chosen:
    """What a rule says of P candidates.

    Attributes:
        keep: (P,) bool.
        weight: (P,) float32 factors of the pairs' weights, or None.
        regions: (P,) objects as in :class:`Candidates`, or None to leave them as they are.
    """

    keep: NDArray[np.bool_]
    weight: NDArray[np.float32] | None = None
    regions: NDArray[np.object_] | None = None


Rule = Callable[[Candidates, Any], Chosen]
"""Says what stays of some candidates, given its settings."""

Selection = tuple[str, Any]
"""A rule's name and its settings."""

SELECTIONS: Registry[Part[Rule]] = Registry("selection of pairs", "vqa_gs.pair_builders.selection")


def selection(name: str, settings: type[Any]) -> Callable[[Rule], Rule]:
    """Returns a decorator that registers a rule and leaves it as it is."""
    return register(SELECTIONS, name, settings)


def select(candidates: Candidates, rules: Sequence[Selection]) -> tuple[Candidates, list[dict[str, Any]]]:
    """Applies rules one after the other.

    Args:
        candidates: what they choose from.
        rules: names and settings, in the order of their application.

    Returns:
        What is left, and for each rule its settings and how many pairs came in and stayed.
    """
    report = []
    for name, settings in rules:
        with phase(f"choosing among {len(candidates):,} pairs by the rule {name}"):
            chosen = SELECTIONS[name].function(candidates, settings)
        kept = np.flatnonzero(chosen.keep)
        table = candidates.table.select(kept)
        if chosen.weight is not None:
            table.weight *= chosen.weight[kept]
        regions = candidates.regions if chosen.regions is None else chosen.regions
        report.append({"rule": name, **asdict(settings), "of": len(candidates), "kept": len(kept)})
        candidates = Candidates(table, candidates.sources, candidates.a[kept], candidates.b[kept], regions[kept])
    return candidates, report
