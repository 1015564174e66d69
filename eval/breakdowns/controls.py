"""What tricks on the answers' statistics would reach: accuracy under changed priors has to be above that."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, StudyKind
from vqa_gs.eval.controls import ceiling, controlled_top, supported
from vqa_gs.eval.evaluate import score_answers
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

LABELS = {
    "accuracy": "as it answers",
    "seen_forbidden": "answers seen with the type forbidden",
    "prior_inverted": "prior inverted",
    "test_prior": "test prior given",
    "ceiling": "ceiling by vocabulary",
    "supported": "type and answer seen in training",
}


class Part(msgspec.Struct, frozen=True):
    """The same for a part of the questions: those of an answer type, or a subset; all but ``questions`` in percent."""

    questions: int
    accuracy: float
    seen_forbidden: float
    prior_inverted: float
    test_prior: float


@BREAKDOWNS.register("controls")
class Controls(Breakdown, frozen=True):
    """Accuracy of the same model under tricks that look at answers' statistics alone, see `vqa_gs.eval.controls`.

    All in percent. ``supported`` is the share of questions whose question type and majority answer occur together in
    training; where it is near 0, avoiding what training shows is rewarded as if it were looking. ``ceiling`` is the
    accuracy were the best answer of the vocabulary given each time. ``top_k`` says how many of each question's best
    answers the controls choose among, null: all of the vocabulary; questions of which no answer is left score 0, and
    ``without`` is their share. ``parts`` are answer types and, as ``subset NAME``, subsets.
    """

    order: ClassVar[int] = 61
    study: ClassVar[StudyKind | None] = StudyKind(
        "controls",
        "Controls",
        "Accuracy in % of each arm's own models under tricks on the answers' statistics: answers forbidden that"
        " training shows with the question type; each answer's probability over the square of its share in training, or"
        " adjusted to its share in the test. Then what the best answer of the vocabulary would reach, and the share of"
        " questions whose type and answer occur together in training. A method that looks is above the tricks.",
        "Controls",
        "%",
        higher_is_better=False,
    )

    questions: int
    accuracy: float
    seen_forbidden: float
    prior_inverted: float
    test_prior: float
    ceiling: float
    supported: float
    vocabulary: int
    top_k: int | None
    without: dict[str, float] = msgspec.field(default_factory=dict)
    parts: dict[str, Part] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, scored: Scored) -> Controls | None:
        """Computes the section."""
        train, rule, annotations = scored.evidence.train, scored.rule, scored.annotations
        found = scored.evidence.controlled
        if train is not None and found is None and scored.evidence.top is not None:
            found = controlled_top(train, annotations, scored.evidence.top, rule)
        if train is None or found is None:
            return None
        scores, without = {"accuracy": scored.scores}, {}
        for name, texts in found.answers.items():
            named = zip(scored.questions.question_ids, texts, strict=True)
            given = {question_id: text for question_id, text in named if text is not None}
            scores[name] = score_answers(scored.questions, given, rule, allow_missing=True)
            if len(given) < len(texts):
                without[name] = 100 * (1 - len(given) / len(texts))
        return cls(
            questions=len(annotations),
            **{name: 100 * float(values.mean()) for name, values in scores.items()},
            ceiling=100 * float(ceiling(annotations, found.vocabulary, rule).mean()),
            supported=100 * float(supported(train, annotations, rule).mean()),
            vocabulary=len(found.vocabulary),
            top_k=found.top_k,
            without=without,
            parts={
                name: Part(len(rows), **{key: 100 * float(values[rows].mean()) for key, values in scores.items()})
                for name, rows in _parts(scored).items()
            },
        )

    @property
    def trick(self) -> float:
        """The better of the two controls that know nothing of the test, in percent."""
        return max(self.seen_forbidden, self.prior_inverted)

    def lines(self, rule: str) -> list[str]:
        """Returns the controls, what they chose among, and how much of the test training supports."""
        among = "all answers" if self.top_k is None else f"the best {self.top_k} answers"
        return [
            f"controls, choosing among {among} ({rule}): seen answers forbidden {self.seen_forbidden:.2f} %, prior"
            f" inverted {self.prior_inverted:.2f} %, test prior given {self.test_prior:.2f} %",
            f"{self.supported:.2f} % of the questions have a type and answer that training shows together; the best"
            f" of {self.vocabulary:,} answers would score {self.ceiling:.2f} % ({rule})",
        ]

    def measured(self) -> dict[str, Measured]:
        """Returns the controls, the ceiling and the support; the accuracy itself is measured elsewhere."""
        names = [name for name in LABELS if name != "accuracy"]
        return {LABELS[name]: Measured(getattr(self, name), self.questions) for name in names}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table of the controls beside the arms."""
        sections = content.breakdowns(Controls)
        notes = [
            f"Accuracy in % as scored by {content.rule}, of each arm's own models. Forbidden: the best answer that"
            " training never shows with the question type. Inverted: the best by probability over the square of the"
            " answer's share in training. Test prior: the best by probability adjusted to the answer's share in the"
            " test, which no method may know.",
            "Seen in training: share of questions whose question type and answer occur together in training. Where it"
            " is near 0, avoiding what training shows is rewarded as if it were looking.",
        ]
        few = sorted({one.top_k for one in sections if one.top_k is not None})
        if few:
            notes.append(f"Chosen among the best {' or '.join(map(str, few))} answers of a question where files told.")
        rows: list[MeasureRow[Controls]] = [
            MeasureRow(f"{label}, %", at(name), at("questions")) for name, label in LABELS.items()
        ]
        table = measure_table(content, Controls, "Controls", notes, rows)
        if table is None:
            return None
        parts = [
            MeasureRow(f"{part}: {LABELS[name]}, %", at("parts", part, name), at("parts", part, "questions"))
            for part in dict.fromkeys(part for one in sections for part in one.parts)
            for name in Part.__struct_fields__[1:]
        ]
        by_part = measure_table(content, Controls, "Controls by answer type and subset", notes[:1], parts)
        tables = (table, by_part) if by_part else (table,)
        return Section("Controls", "controls", "Controls", tables)


def _parts(scored: Scored) -> dict[str, npt.NDArray[np.int64]]:
    """Returns the rows of each answer type, where there are several, and of each subset."""
    types = np.array([annotation.answer_type for annotation in scored.annotations])
    names = np.unique(types).tolist()
    rows = {name: np.flatnonzero(types == name) for name in names if name and len(names) > 1}
    return rows | {f"subset {name}": found for name, found in scored.subsets.items() if len(found)}
