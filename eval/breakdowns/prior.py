"""How far answers follow the training set's habits: predicted against training and true answers, by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import ClassVar

import msgspec
import numpy as np
from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, StudyKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import (
    MISSING,
    Cell,
    Column,
    Section,
    count_cell,
    make_table,
    score_cell,
    text_cell,
)
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import at

from vqa_gs.data.normalize import answer_form
from vqa_gs.data.priors import jensen_shannon

# As many answers as a chart of one type can show.
SHOWN = 10


class Divergence(msgspec.Struct, frozen=True):
    """Jensen-Shannon divergences of answer distributions, in bits."""

    predicted_train: float
    predicted_true: float
    train_true: float


class AnswerShare(msgspec.Struct, frozen=True):
    """One answer's shares in percent."""

    answer: str
    train: float
    predicted: float
    true: float


class WholePrior(msgspec.Struct, frozen=True):
    """How often the training's most common answer is given and how often it is true, in percent."""

    questions: int
    predicted_prior: float
    true_prior: float
    divergence: Divergence

    @property
    def bias(self) -> Measured:
        """How much more often it is given than it is true, in points."""
        return Measured(self.predicted_prior - self.true_prior, self.questions)


class TypePrior(WholePrior, frozen=True, kw_only=True):
    """The same of one question type, with the answers that are common anywhere."""

    train_questions: int
    prior_answer: str
    answers: list[AnswerShare]


def _by_type(types: Iterable[str], answers: Iterable[str]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for kind, answer in zip(types, answers, strict=True):
        counts.setdefault(kind, Counter())[answer] += 1
    return counts


def _top(counts: Counter[str]) -> str:
    return min(counts, key=lambda answer: (-counts[answer], answer))


def _of_type(train: Counter[str], predicted: Counter[str], true: Counter[str]) -> TypePrior:
    prior = _top(train)
    shares = [
        AnswerShare(answer, *(100 * counts[answer] / counts.total() for counts in (train, predicted, true)))
        for answer in train | predicted | true
    ]
    shares.sort(key=lambda share: (-max(share.train, share.predicted, share.true), share.answer))
    return TypePrior(
        questions=true.total(),
        train_questions=train.total(),
        prior_answer=prior,
        predicted_prior=100 * predicted[prior] / predicted.total(),
        true_prior=100 * true[prior] / true.total(),
        divergence=Divergence(
            jensen_shannon(predicted, train), jensen_shannon(predicted, true), jensen_shannon(train, true)
        ),
        answers=shares[:SHOWN],
    )


@BREAKDOWNS.register("prior")
class Prior(Breakdown, frozen=True):
    """Per question type: the answers' shares in training, in the predictions and in truth, and how they diverge.

    A model that leans on the prior has predictions nearer to training than to truth (``predicted_train`` below
    ``predicted_true``), and gives the training's most common answer (``prior_answer``) more often than it is true.
    Types that training does not have are left out; answers are majority answers. "overall" is the mean over
    questions.
    """

    order: ClassVar[int] = 62
    study: ClassVar[StudyKind | None] = StudyKind(
        "prior",
        "Prior bias",
        "How much more often, in points, the training set's most common answer of a question type is predicted than it"
        " is right: 0 is no bias. The first row is the mean over questions.",
        "Prior bias",
        "training's most common answer: predicted minus right, points",
        higher_is_better=False,
    )

    overall: WholePrior
    per_question_type: dict[str, TypePrior]

    @classmethod
    def of(cls, scored: Scored) -> Prior | None:
        """Computes the section."""
        if scored.evidence.train is None:
            return None
        form = answer_form(scored.rule)
        train = _by_type(
            (annotation.question_type for annotation in scored.evidence.train),
            (form(annotation.majority) for annotation in scored.evidence.train),
        )
        rows = [row for row, answer in enumerate(scored.answers) if answer is not None]
        types = [scored.question_types[row] for row in rows]
        predicted = _by_type(types, (scored.answers[row] or "" for row in rows))
        true = _by_type(types, (scored.truths[row] for row in rows))
        sections = {kind: _of_type(train[kind], predicted[kind], true[kind]) for kind in sorted(true) if kind in train}
        if not sections:
            return None
        weights = np.array([section.questions for section in sections.values()], np.float64)

        def mean(pick: Callable[[TypePrior], float]) -> float:
            return float(np.average([pick(section) for section in sections.values()], weights=weights))

        whole = WholePrior(
            int(weights.sum()),
            mean(lambda section: section.predicted_prior),
            mean(lambda section: section.true_prior),
            Divergence(
                mean(lambda section: section.divergence.predicted_train),
                mean(lambda section: section.divergence.predicted_true),
                mean(lambda section: section.divergence.train_true),
            ),
        )
        return cls(whole, sections)

    def lines(self, rule: str) -> list[str]:
        """Returns how often the training's most common answer is given and true."""
        whole = self.overall
        return [
            f"training's most common answer of the type is predicted {whole.predicted_prior:.2f} %, right"
            f" {whole.true_prior:.2f} % of the time"
        ]

    def measured(self) -> dict[str, Measured]:
        """Returns the bias over all questions and of each question type."""
        return {"": self.overall.bias, **{kind: part.bias for kind, part in self.per_question_type.items()}}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table on the OOD split, on the in-domain one where there is no other."""
        known = [split for split in content.splits.names if content.breakdowns(Prior, split)]
        split = next((name for name in (content.splits.ood, *known) if name in known), None)
        if split is None:
            return None
        columns = [
            Column("question type", numeric=False),
            Column("most common answer in training", numeric=False),
            Column("questions"),
            Column("it is right, %"),
        ]
        for arm in content.arms:
            labels = ("it is predicted, %", "distance to training", "distance to annotators")
            columns += [Column(label, arm.name) for label in labels]
        kinds = sorted({kind for one in content.breakdowns(Prior) for kind in one.per_question_type})
        rows = [_row(content, split, kind, at("per_question_type", kind)) for kind in kinds]
        rows.sort(key=lambda row: -(row[2].sort or 0.0))
        notes = (
            f"On {split}; answers compared as the rule {content.rule} compares them.",
            "How often the answer that is most common in training for a question type is predicted here, and how often "
            "it is right, being the majority answer of the annotators.",
            "Distance: Jensen-Shannon divergence in bits between how often each answer is predicted and how often it "
            "occurs in training, or is the annotators' here; nearer to training than to annotators means that a model "
            "repeats training's statistics.",
        )
        name = "Leaning on the prior"
        whole = _row(content, split, "all types", at("overall"))
        table = make_table(name, notes, columns, [whole, *rows], filterable=True)
        return Section(name, "prior", "Prior", (table,)) if table else None


def _row(content: Content, split: str, name: str, part: Callable[[Prior], WholePrior | None]) -> tuple[Cell, ...]:
    first = next((found for one in content.breakdowns(Prior, split) if (found := part(one))), None)
    cells = [text_cell(name), text_cell(first.prior_answer if isinstance(first, TypePrior) else MISSING)]
    cells.append(count_cell(first.questions if first else None))
    cells.append(score_cell(Spread((first.true_prior,)) if first else None))

    def cell(arm: Arm, value: Callable[[WholePrior], float], digits: int) -> Cell:
        def of(one: Prior) -> float | None:
            found = part(one)
            return None if found is None else value(found)

        return score_cell(arm.spread(split, content.picking(Prior, of)), digits=digits)

    for arm in content.arms:
        cells.append(cell(arm, lambda found: found.predicted_prior, 2))
        cells.append(cell(arm, lambda found: found.divergence.predicted_train, 3))
        cells.append(cell(arm, lambda found: found.divergence.predicted_true, 3))
    return tuple(cells)
