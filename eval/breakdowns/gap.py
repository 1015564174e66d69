"""In-domain accuracy beside out-of-distribution accuracy."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, shown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.metrics import by_group, overall
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content, ordered_answer_types
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

from vqa_gs.common.errors import UsageError


class Beside(msgspec.Struct, frozen=True):
    """An accuracy in-domain and out of distribution, and the first minus the second; None where there is none."""

    in_domain: float | None
    ood: float
    gap: float | None


def _beside(inside: float | None, outside: float) -> Beside:
    return Beside(inside, outside, None if inside is None else inside - outside)


@BREAKDOWNS.register("gap")
class Gap(Breakdown, frozen=True):
    """Accuracy on the in-domain split, on this one, and the first minus the second, overall and by type."""

    order: ClassVar[int] = 32

    split: str
    overall: Beside
    per_answer_type: dict[str, Beside]
    per_question_type: dict[str, Beside]

    @classmethod
    def of(cls, scored: Scored) -> Gap | None:
        """Computes the section.

        Raises:
            UsageError: the in-domain metrics were computed under another rule.
        """
        metrics = scored.evidence.in_domain
        if metrics is None:
            return None
        if metrics.scoring != scored.rule:
            raise UsageError(
                f"the in-domain metrics are under the rule {metrics.scoring!r}, these under {scored.rule!r}",
                mend="score both under one rule",
            )

        def by_type(labels: list[str], inside: dict[str, float | None]) -> dict[str, Beside]:
            means = by_group(scored.scores, labels)
            return {name: _beside(inside.get(name), mean.accuracy) for name, mean in means.items()}

        answer_types = [annotation.answer_type for annotation in scored.annotations]
        return cls(
            metrics.split,
            _beside(metrics.overall, overall(scored.scores)),
            by_type(answer_types, metrics.per_answer_type),
            by_type(scored.question_types, metrics.per_question_type),
        )

    def lines(self, rule: str) -> list[str]:
        """Returns both accuracies and the gap."""
        whole = self.overall
        gap = "" if whole.gap is None else f", gap {whole.gap:.2f} points"
        return [f"in-domain ({self.split}) {shown(whole.in_domain)} %, here {shown(whole.ood)} % ({rule}){gap}"]

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table; None where the in-domain split has a metrics file, as the other tables then show both."""
        if content.splits.in_domain is not None:
            return None
        kinds = ordered_answer_types(kind for one in content.breakdowns(Gap) for kind in one.per_answer_type)
        parts = {"all questions": ["overall"], **{kind: ["per_answer_type", kind] for kind in kinds}}
        measures: list[MeasureRow[Gap]] = [
            MeasureRow(f"{name}: {label}", at(*path, field))
            for name, path in parts.items()
            for field, label in (("in_domain", "in-domain"), ("ood", "OOD"), ("gap", "gap"))
        ]
        notes = (content.note(), "The in-domain scores are those the evaluation was given; gap: in-domain minus OOD.")
        table = measure_table(content, Gap, "In-domain beside OOD", notes, measures)
        return Section("In-domain beside OOD", "gap", "Gap", (table,)) if table else None
