"""From answers to averages: of all questions, by type, of subsets and of pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.metrics import by_code, coded_pair_accuracy, codes, fully_right, overall, pair_accuracy
from vqa_gs.eval.question_types import with_question_types
from vqa_gs.eval.results import check_ids, require_known
from vqa_gs.eval.rules import score_questions
from vqa_gs.eval.runs import Counts, Source, SplitMetrics, SubsetMetrics

from vqa_gs.common.errors import UsageError
from vqa_gs.data.normalize import normalize_answer, normalize_question, strip_answer
from vqa_gs.data.questions import Annotation, QuestionId, QuestionSet

Pair = tuple[QuestionId, QuestionId]

SAME_QUESTION = "same_question"
UNNAMED_SPLIT = "unnamed"


def _annotations(question_set: QuestionSet) -> list[Annotation]:
    if question_set.annotations is None:
        raise UsageError("there are no annotations to score against", mend="give the annotations file")
    return question_set.annotations


class _Averages:
    """The scores of a set with all that its averages need, as numbers: subsets are averaged over by the dozen."""

    def __init__(
        self, question_set: QuestionSet, scores: npt.NDArray[np.float64], pairs: Mapping[str, Sequence[Pair]]
    ) -> None:
        annotations = _annotations(question_set)
        self.scores, self.right = scores, fully_right(scores)
        self.position = question_set.row_of
        self.types, self.answer_type = _coded([annotation.answer_type for annotation in annotations])
        self.kinds, self.question_type = _coded([annotation.question_type for annotation in annotations])
        self.text = _codes_of([question.question for question in question_set.questions], normalize_question)
        self.image = codes(question_set.image_ids)
        majorities = [annotation.majority for annotation in annotations]
        self.majority = _codes_of(majorities, lambda text: normalize_answer(strip_answer(text)))
        self.pairs = {name: self._rows(name, listed) for name, listed in pairs.items()}

    def _rows(self, name: str, pairs: Sequence[Pair]) -> npt.NDArray[np.int64]:
        if name == SAME_QUESTION:
            raise UsageError(f"the name {name!r} is taken", mend="call the pair list something else")
        position = self.position
        rows = [(position[a], position[b]) for a, b in pairs if a in position and b in position]
        if not rows:
            raise UsageError(
                f"no pair of {name!r} has both questions in the set",
                mend="use the pair list of the same split",
            )
        return np.array(rows, np.int64)

    def over(self, rows: npt.NDArray[np.int64]) -> SubsetMetrics:
        """The averages over some questions; pairs count where both ends are among them."""
        scores = self.scores[rows]
        inside = np.zeros(len(self.scores), np.bool_)
        inside[rows] = True
        accuracies = {
            SAME_QUESTION: coded_pair_accuracy(self.right[rows], self.text[rows], self.image[rows], self.majority[rows])
        }
        for name, pairs in self.pairs.items():
            accuracies[name] = pair_accuracy(self.scores, pairs[inside[pairs].all(axis=1)])
        answer_types = by_code(scores, self.answer_type[rows], self.types)
        by_type: dict[str, float | None] = {name: mean.accuracy for name, mean in answer_types.items()}
        return SubsetMetrics(overall(scores), len(rows), by_type, accuracies)


def _coded(names: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Returns the distinct names, sorted, and the place of each name among them."""
    distinct = sorted(set(names))
    place = {name: at for at, name in enumerate(distinct)}
    return distinct, np.fromiter(map(place.__getitem__, names), np.int64, len(names))


def _codes_of(texts: Sequence[str], form: Callable[[str], str]) -> npt.NDArray[np.int64]:
    """Returns the same number for texts of the same form; each distinct text is brought to it once."""
    known: dict[str, int] = {}
    code = {text: known.setdefault(form(text), len(known)) for text in dict.fromkeys(texts)}
    return np.fromiter(map(code.__getitem__, texts), np.int64, len(texts))


def evaluate(
    question_set: QuestionSet,
    answers: Mapping[QuestionId, str],
    rule: str = "official",
    split: str | None = None,
    subsets: Mapping[str, Sequence[QuestionId]] | None = None,
    pairs: Mapping[str, Sequence[Pair]] | None = None,
    *,
    allow_missing: bool = False,
) -> SplitMetrics:
    """Scores answers and returns their averages.

    Args:
        question_set: the questions, with annotations.
        answers: the predicted answer by question id, for exactly these questions.
        rule: the scoring rule (see `vqa_gs.eval.rules.RULES`).
        split: the split's name, written into the file; "unnamed" if None.
        subsets: lists of question ids by name, each averaged on its own.
        pairs: lists of pairs of question ids by name. A pair counts where both questions are in the set, or
            in the subset; how many did stands beside the accuracy.
        allow_missing: score unanswered questions 0 instead of refusing; "missing" then says how many.

    Returns:
        Metrics without intervals and breakdowns. Percentages are unrounded; a pair accuracy over no pairs is None.
        Question types that the annotations lack are assigned by the questions' first words.

    Raises:
        UsageError: the set has no annotations or questions, there is no such rule, a subset is empty, repeats
            a question or names unknown ones, or no pair of a list lies in the set.
        DataError: answers are missing or unknown, or the rule does not apply to a question.

    Example:
        >>> from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet
        >>> questions = [Question(1, 7, "Is it red?"), Question(2, 7, "What is it?")]
        >>> truths = [Annotation(1, 7, (Answer("yes"),)), Annotation(2, 7, (Answer("ball"),))]
        >>> evaluate(QuestionSet(questions, truths, {}), {1: "yes", 2: "cube"}, "exact").overall
        50.0
    """
    question_set, _ = with_question_types(question_set)
    scores = score_answers(question_set, answers, rule, allow_missing=allow_missing)
    missing = len(question_set) - len(answers)
    return summarize(question_set, scores, rule, split, subsets, pairs, missing=missing)


def score_answers(
    question_set: QuestionSet, answers: Mapping[QuestionId, str], rule: str, *, allow_missing: bool = False
) -> npt.NDArray[np.float64]:
    """Returns the accuracy of each question, float64 (n,) in 0..1; see `evaluate`."""
    annotations = _annotations(question_set)
    ids = question_set.question_ids
    check_ids(answers, ids, allow_missing=allow_missing)
    scores = np.zeros(len(ids))
    answered = np.array([row for row, question_id in enumerate(ids) if question_id in answers], np.int64)
    # No text stands for "unanswered": even an empty answer can be right under the official rule ("the").
    scores[answered] = score_questions(
        [annotations[row] for row in answered], [answers[ids[row]] for row in answered], rule
    )
    return scores


def subset_rows(question_set: QuestionSet, name: str, listed: Sequence[QuestionId]) -> npt.NDArray[np.int64]:
    """Returns the rows of a named list of questions, int64 (m,).

    Raises:
        UsageError: the list is empty, repeats a question or names unknown ones.
    """
    position = question_set.row_of
    rows = np.fromiter((position.get(question_id, -1) for question_id in listed), np.int64, len(listed))
    if (rows < 0).any():
        require_known(listed, position, f"subset {name!r}")
    if not len(rows) or np.bincount(rows).max() > 1:
        problem = "repeats questions" if len(rows) else "is empty"
        raise UsageError(f"subset {name!r} {problem}", mend="name each of its questions once")
    return rows


def summarize(
    question_set: QuestionSet,
    scores: npt.NDArray[np.float64],
    rule: str,
    split: str | None = None,
    subsets: Mapping[str, Sequence[QuestionId]] | None = None,
    pairs: Mapping[str, Sequence[Pair]] | None = None,
    *,
    missing: int = 0,
) -> SplitMetrics:
    """Averages the accuracies of a set's questions; see `evaluate` for arguments, outcome and errors."""
    scored = _Averages(question_set, scores, pairs or {})
    whole = scored.over(np.arange(len(question_set)))
    answer_types = by_code(scores, scored.answer_type, scored.types)
    question_types = by_code(scores, scored.question_type, scored.kinds)
    parts = {name: scored.over(subset_rows(question_set, name, listed)) for name, listed in (subsets or {}).items()}
    files = zip(("questions", "annotations"), question_set.sources.items(), strict=False)
    return SplitMetrics(
        scoring=rule,
        split=UNNAMED_SPLIT if split is None else split,
        overall=whole.overall,
        questions=whole.questions,
        per_answer_type=whole.per_answer_type,
        per_question_type={name: mean.accuracy for name, mean in question_types.items()},
        counts=Counts(
            {name: mean.questions for name, mean in answer_types.items()},
            {name: mean.questions for name, mean in question_types.items()},
        ),
        pair_accuracy=whole.pair_accuracy,
        subsets=parts,
        sources={name: Source(path, digest) for name, (path, digest) in files},
        missing=missing or None,
    )
