"""What every breakdown is given: scored answers, and whatever else the data allows to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.controls import Controlled
from vqa_gs.eval.edited import EditedAnswers
from vqa_gs.eval.grounding_file import GroundingFile, Relevance
from vqa_gs.eval.metrics import Scores
from vqa_gs.eval.results import Confidence, Top
from vqa_gs.eval.rules import Memo
from vqa_gs.eval.runs import SplitMetrics

from vqa_gs.data.groups import Groups
from vqa_gs.data.normalize import answer_form
from vqa_gs.data.questions import Annotation, QuestionId, QuestionSet

Pair = tuple[QuestionId, QuestionId]


@dataclass(frozen=True)
class Restricted:
    """Answers of a model that sees some regions alone, by question id, see `vqa-gs predict --regions`.

    Attributes:
        relevant: from the regions that matter.
        irrelevant: from those that do not.
    """

    relevant: Mapping[QuestionId, str]
    irrelevant: Mapping[QuestionId, str]


@dataclass(frozen=True)
class Evidence:
    """What may be known besides questions, answers and scores; each is None or empty where it is not.

    Attributes:
        train: training annotations, with question types, for the priors.
        pairs: lists of question id pairs by name.
        counterexamples: VQA-CE's list of question ids.
        hard: VQA-CE's list of question ids that no rule covers.
        local_groups: GQA's ``groups.local`` by question id; head and tail are then taken within these.
        semantic_types: GQA's ``types.semantic`` by question id.
        in_domain: the metrics of the in-domain split.
        confidence: probability and entropy of each answer, by question id.
        controlled: answers under the controls, as training has them.
        top: the best answers of each question, to find those under the controls among.
        edited: answers to edited images (IV-VQA, CV-VQA).
        grounding: attention and gradient by region.
        relevance: which regions matter to a question.
        groups: which questions belong together, as the test's files say.
        originals: by a question that was made from another one, the accuracy of that one's answer, in 0..1.
        restricted: answers from some regions alone.
        raw: answers as they were written, where short answers were taken out of long ones.
        means: subsets to average over, each list of question ids by name, by the mean's name.
    """

    train: Sequence[Annotation] | None = None
    pairs: Mapping[str, Sequence[Pair]] = field(default_factory=dict)
    counterexamples: Sequence[QuestionId] | None = None
    hard: Sequence[QuestionId] | None = None
    local_groups: Mapping[QuestionId, str] | None = None
    semantic_types: Mapping[QuestionId, str] | None = None
    in_domain: SplitMetrics | None = None
    confidence: Mapping[QuestionId, Confidence] | None = None
    controlled: Controlled | None = None
    top: Mapping[QuestionId, Top] | None = None
    edited: EditedAnswers | None = None
    grounding: GroundingFile | None = None
    relevance: Relevance | None = None
    groups: Groups = field(default_factory=Groups)
    originals: Mapping[QuestionId, float] | None = None
    restricted: Restricted | None = None
    raw: Mapping[QuestionId, str] | None = None
    means: Mapping[str, Mapping[str, Sequence[QuestionId]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """Scored answers of a set.

    Attributes:
        questions: the n questions, with annotations.
        predictions: (n,) the predicted answers, None where there is none.
        scores: (n,) float64, accuracies in 0..1.
        rule: the scoring rule.
        evidence: what else there is to look at.
        subsets: the rows of parts of them, by name.
    """

    questions: QuestionSet
    predictions: Sequence[str | None]
    scores: Scores
    rule: str
    evidence: Evidence
    subsets: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    @property
    def annotations(self) -> list[Annotation]:
        """The annotations of the questions."""
        assert self.questions.annotations is not None
        return self.questions.annotations

    @cached_property
    def row_of(self) -> dict[QuestionId, int]:
        """The row of each question id."""
        return self.questions.row_of

    @cached_property
    def image_codes(self) -> npt.NDArray[np.int64]:
        """A number for the image of each question, (n,) int64."""
        codes: dict[object, int] = {}
        given = (codes.setdefault(question.image_id, len(codes)) for question in self.questions.questions)
        return np.fromiter(given, np.int64, len(self.questions))

    @cached_property
    def question_types(self) -> list[str]:
        """The question type of each question."""
        return [annotation.question_type for annotation in self.annotations]

    @cached_property
    def truths(self) -> list[str]:
        """The majority answers in the form in which the rule compares."""
        form = Memo(answer_form(self.rule))
        return [form[annotation.majority] for annotation in self.annotations]

    @cached_property
    def answers(self) -> list[str | None]:
        """The predictions in the form in which the rule compares, None where there is none."""
        form = Memo(answer_form(self.rule))
        return [None if text is None else form[text] for text in self.predictions]

    def rows_of(self, groups: Sequence[Sequence[QuestionId]]) -> npt.NDArray[np.int64]:
        """Returns the rows of groups of equally many questions, (groups, members)."""
        members = len(groups[0])
        found = (self.row_of[key] for group in groups for key in group)
        return np.fromiter(found, np.int64, len(groups) * members).reshape(-1, members)

    def accuracy(self, rows: npt.ArrayLike) -> float | None:
        """Returns the mean accuracy of some rows in percent, None of no rows."""
        chosen = self.scores[np.array(rows, np.int64) if isinstance(rows, list) else np.asarray(rows)]
        return 100 * float(chosen.mean()) if len(chosen) else None
