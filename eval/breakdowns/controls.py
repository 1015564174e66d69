"""What tricks on the answers' statistics would reach: accuracy under changed priors has to be above that."""

from __future__ import annotations

from typing import ClassVar

import msgspec
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


@BREAKDOWNS.register("controls")
class Controls(Breakdown, frozen=True):
    """Accuracy of the same model under tricks that look at answers' statistics alone, see `vqa_gs.eval.controls`.

    All in percent. ``supported`` is the share of questions whose question type and majority answer occur together in
    training; where it is near 0, avoiding what training shows is rewarded as if it were looking. ``ceiling`` is the
    accuracy were the best answer of the vocabulary given each time. ``top_k`` says how many of each question's best
    answers the controls choose among, null: all of the vocabulary; questions of which no answer is left score 0, and
    ``without`` is their share.
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

    @classmethod
    def of(cls, scored: Scored) -> Controls | None:
        """Computes the section."""
        train, rule, annotations = scored.evidence.train, scored.rule, scored.annotations
        found = scored.evidence.controlled
        if train is not None and found is None and scored.evidence.top is not None:
            found = controlled_top(train, annotations, scored.evidence.top, rule)
        if train is None or found is None:
            return None
        accuracy, without = {}, {}
        for name, texts in found.answers.items():
            named = zip(scored.questions.question_ids, texts, strict=True)
            given = {question_id: text for question_id, text in named if text is not None}
            accuracy[name] = 100 * float(score_answers(scored.questions, given, rule, allow_missing=True).mean())
            if len(given) < len(texts):
                without[name] = 100 * (1 - len(given) / len(texts))
        return cls(
            questions=len(annotations),
            accuracy=100 * float(scored.scores.mean()),
            **accuracy,
            ceiling=100 * float(ceiling(annotations, found.vocabulary, rule).mean()),
            supported=100 * float(supported(train, annotations, rule).mean()),
            vocabulary=len(found.vocabulary),
            top_k=found.top_k,
            without=without,
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
        return Section("Controls", "controls", "Controls", (table,)) if table else None
