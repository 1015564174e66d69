"""How answers change when an image is edited: the metrics of IV-VQA and CV-VQA."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured
from vqa_gs.eval.edited import EditKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table
from vqa_gs.eval.results import name_ids
from vqa_gs.eval.rules import Memo

from vqa_gs.common.errors import UsageError
from vqa_gs.data.normalize import normalize_answer, strip_answer

_LABELS = {
    "accuracy_before": "right before the edit",
    "accuracy_after": "right after the edit",
    "flips": "flips, all",
    "pos_neg": "flips, right to wrong",
    "neg_pos": "flips, wrong to right",
    "neg_neg": "flips, wrong to wrong",
    "changed_answer": "another answer",
    "consistent": "count drops by one",
}


def _form(text: str) -> str:
    return normalize_answer(strip_answer(text))


def _as_count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _drops_by_one(before: str, after: str) -> bool:
    first, second = _as_count(before), _as_count(after)
    return first is not None and second is not None and second == first - 1


@BREAKDOWNS.register("flips")
class Flips(Breakdown, frozen=True):
    """Accuracy before and after the edits, and flips by what was right before and after, in percent of the edits.

    IV: the answer ought to stay, so any change is a flip. CV: the count ought to drop by one; everything else is
    a flip, and the share that drops is the consistency. Right is equal to the answer all annotators agree on after
    the official processing (these sets hold no other questions), whatever the scoring rule; in CV-VQA the lists of
    answers are lowered but ``multiple_choice_answer`` is not, so only the lists are looked at. Each edit counts once,
    so a question with many edits counts often; "accuracy_before" counts each question once.
    """

    order: ClassVar[int] = 47

    kind: EditKind
    edits: int
    questions: int
    accuracy_before: float
    accuracy_after: float
    flips: float
    pos_neg: float
    neg_pos: float
    neg_neg: float
    pos_pos: float
    changed_answer: float
    consistent: float | None = None

    @classmethod
    def of(cls, scored: Scored) -> Flips | None:
        """Computes the section.

        Raises:
            UsageError: an edit's original is not in the set or has no answer.
        """
        edited = scored.evidence.edited
        if edited is None:
            return None
        form, row_of = Memo(_form), scored.row_of
        answers = {}
        for question_id in dict.fromkeys(edited.question_ids):
            text = scored.predictions[row_of[question_id]] if question_id in row_of else None
            if text is not None:
                answers[question_id] = form[text]
        stray = [question_id for question_id in edited.question_ids if question_id not in answers]
        if stray:
            raise UsageError(
                f"{len(stray)} edits have no answered original in the set: {name_ids(dict.fromkeys(stray))}",
                mend="evaluate the originals' questions and results, with the edited ones beside them",
            )
        counts = {"pos_neg": 0, "neg_pos": 0, "neg_neg": 0, "pos_pos": 0}
        changed = consistent = right_after = 0
        originals: dict[int, bool] = {}
        for question_id, annotation, text in zip(
            edited.question_ids, edited.annotations, edited.predictions, strict=True
        ):
            row = row_of[question_id]
            before, after = answers[question_id], form[text]
            was_right = originals.setdefault(row, before == form[scored.annotations[row].answers[0].answer])
            is_right = after == form[annotation.answers[0].answer]
            right_after += is_right
            changed += before != after
            drops = _drops_by_one(before, after)
            consistent += drops
            if (not drops) if edited.kind == "cv" else before != after:
                counts[f"{'pos' if was_right else 'neg'}_{'pos' if is_right else 'neg'}"] += 1
        total = len(edited.question_ids)
        return cls(
            kind=edited.kind,
            edits=total,
            questions=len(originals),
            accuracy_before=100 * float(np.mean(list(originals.values()))),
            accuracy_after=100 * right_after / total,
            flips=100 * sum(counts.values()) / total,
            **{name: 100 * count / total for name, count in counts.items()},
            changed_answer=100 * changed / total,
            consistent=100 * consistent / total if edited.kind == "cv" else None,
        )

    def lines(self, rule: str) -> list[str]:
        """Returns the share of flips and their kinds."""
        ways = ", ".join(
            f"{name.replace('_', '->')} {getattr(self, name):.2f}" for name in ("pos_neg", "neg_pos", "neg_neg")
        )
        consistent = "" if self.consistent is None else f", consistent {self.consistent:.2f}"
        return [f"{self.kind.upper()} flips {self.flips:.2f} % of {self.edits:,} edits ({ways}{consistent})"]

    def on_card(self) -> dict[str, Measured]:
        """Returns the share of flips, which is the better the lower, or of counts that drop as they ought to."""
        found = {"flips (lower is better)": Measured(self.flips, self.edits)}
        return (
            found
            if self.consistent is None
            else {**found, _LABELS["consistent"]: Measured(self.consistent, self.edits)}
        )

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table of flips."""
        notes = (
            "In % of the edits; right: equal to the answer on which all annotators agree, whatever the scoring rule.",
            "IV-VQA: the answer ought to stay. CV-VQA: the count ought to drop by one.",
            f"The accuracies beside it are scored by {content.rule}.",
        )
        measures = [MeasureRow[Flips](label, at(name), at("edits")) for name, label in _LABELS.items()]
        table = measure_table(content, Flips, "Edited images", notes, measures, "edits")
        return Section("Edited images", "flips", "Edited images", (table,)) if table else None
