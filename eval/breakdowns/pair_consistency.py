"""What becomes of the two ends of a pair: complementary questions, edited images, any table of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, shown
from vqa_gs.eval.evidence import Pair, Scored
from vqa_gs.eval.metrics import fully_right
from vqa_gs.eval.report_content.blocks import Cell, Column, Section, Table, count_cell, make_table, text_cell
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table
from vqa_gs.eval.runs import PairAccuracy

_LABELS = {
    "both_right": "both ends right",
    "one_right": "one end right",
    "none_right": "no end right",
    "same_answer": "same answer to both",
}


class PairEnds(msgspec.Struct, frozen=True):
    """What becomes of the pairs of one list, in percent of those with both ends in the set; None where none has."""

    pairs: int
    outside_the_set: int
    both_right: float | None
    one_right: float | None
    none_right: float | None
    same_answer: float | None


@BREAKDOWNS.register("pair_consistency")
class PairConsistency(Breakdown, frozen=True):
    """Of each list of pairs: both ends fully right, one, none, and how often both got the same answer.

    The ends of a pair have different true answers, so the same answer to both is wrong for one of them at least.
    A question-only model answers every pair of one question alike. In the file the lists' names are the fields.
    """

    order: ClassVar[int] = 40

    lists: dict[str, PairEnds]

    @classmethod
    def of(cls, scored: Scored) -> PairConsistency | None:
        """Computes the section."""
        if not scored.evidence.pairs:
            return None
        right = fully_right(scored.scores)
        return cls({name: _of_list(scored, pairs, right) for name, pairs in scored.evidence.pairs.items()})

    @classmethod
    def from_json(cls, content: Any) -> PairConsistency:
        """Reads the section."""
        return cls(msgspec.convert(content, dict[str, PairEnds]))

    def to_json(self) -> Any:
        """Returns the section as plain containers."""
        return msgspec.to_builtins(self.lists)

    def lines(self, rule: str) -> list[str]:
        """Returns a line a list."""
        return [
            f"pairs {name}: both right {shown(part.both_right)} % of {part.pairs:,} ({rule}),"
            f" same answer {shown(part.same_answer)} %"
            for name, part in self.lists.items()
        ]

    def on_card(self) -> dict[str, Measured]:
        """Returns the share of each list's pairs with both ends right."""
        known = ((name, part) for name, part in self.lists.items() if part.both_right is not None)
        return {f"pairs {name}, both right": Measured(part.both_right or 0.0, part.pairs) for name, part in known}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the pair accuracy of every kind of pairs, then what becomes of the pairs."""
        found = tuple(table for table in (_accuracy(content), _ends(content)) if table)
        return Section("Pair consistency", "pairs", "Pairs", found) if found else None


def _of_list(scored: Scored, pairs: Sequence[Pair], right: npt.NDArray[np.bool_]) -> PairEnds:
    place = scored.row_of
    rows = np.array([(place[a], place[b]) for a, b in pairs if a in place and b in place], np.int64).reshape(-1, 2)
    answers = scored.answers
    same = sum(answers[a] is not None and answers[a] == answers[b] for a, b in rows.tolist())
    count, ends = len(rows), right[rows].sum(axis=1)

    def percent(number: int) -> float | None:
        return 100 * number / count if count else None

    both, one, none = (percent(int((ends == number).sum())) for number in (2, 1, 0))
    return PairEnds(count, len(pairs) - count, both, one, none, percent(same))


def _accuracy(content: Content) -> Table | None:
    """Returns the table of the pairs' accuracy, which every metrics file has."""

    def row(kind: str) -> tuple[Cell, ...] | None:
        counts = content.counts(lambda metrics: metrics.pair_accuracy.get(kind, PairAccuracy()).pairs or None)
        first = [text_cell(kind), *map(count_cell, counts)]
        return content.score_row(first, lambda arm, split: arm.pair_accuracy(split, kind))

    kinds = sorted({kind for metrics in content.metrics() for kind in metrics.pair_accuracy})
    columns = [Column("kind of pair", numeric=False), *content.count_columns("pairs"), *content.arm_columns()]
    notes = (content.note(), "A pair counts when both of its questions are answered fully right.", BOLD_NOTE)
    return make_table("Pair accuracy", notes, columns, map(row, kinds))


def _ends(content: Content) -> Table | None:
    """Returns the table of what becomes of the two ends of each list of pairs."""
    measures: list[MeasureRow[PairConsistency]] = [
        MeasureRow(f"{name}: {label}", at("lists", name, field), at("lists", name, "pairs"))
        for name in sorted({name for one in content.breakdowns(PairConsistency) for name in one.lists})
        for field, label in _LABELS.items()
    ]
    notes = (
        f"In % of the pairs; right: a full score under {content.rule}.",
        "The ends have different true answers, so the same answer to both is wrong for one of them at least.",
    )
    return measure_table(content, PairConsistency, "What becomes of the pairs", notes, measures, "pairs")
