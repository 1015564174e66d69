"""What answers become by tricks on the answers' statistics alone: controls for accuracy under changed priors.

Where priors change so that test questions have answers that training never shows with their type, avoiding what
training shows is rewarded as if it were looking (Teney et al., *On the Value of Out-of-Distribution Testing: An Example
of Goodhart's Law*, NeurIPS 2020). The controls do that to a model that learnt nothing of the kind: a method has to come
out above them.

With p(a) the model's probability of an answer, and p_train(a) its share among the training questions of the type, one
added to each count, the answer becomes the highest of

| control | |
|---|---|
| ``seen_forbidden`` | p(a), of the answers that training never shows with the type |
| ``prior_inverted`` | p(a) / p_train(a)^2: as if the test's prior were the inverse of training's |
| ``test_prior`` | p(a) p_test(a) / p_train(a), p_test(a) the share in the test itself, which no method may know |

The latter two adjust probabilities to another prior (Saerens, Latinne, Decaestecker, *Adjusting the outputs of a
classifier to new a priori probabilities*, Neural Computation 2002).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.metrics import Scores
from vqa_gs.eval.results import Top
from vqa_gs.eval.rules import score_questions

from vqa_gs.data.normalize import answer_form
from vqa_gs.data.questions import Annotation, QuestionId

Floats = npt.NDArray[np.floating]
Codes = npt.NDArray[np.int64]

CONTROLS = ("seen_forbidden", "prior_inverted", "test_prior")
NOTHING = -1


@dataclass(frozen=True)
class Controlled:
    """Answers under the controls.

    Attributes:
        answers: by control (n,) answers; None where none of the answers at hand is left.
        vocabulary: the answers that could be given.
        top_k: how many answers of each question were at hand, the best ones; None: the whole vocabulary.
    """

    answers: Mapping[str, Sequence[str | None]]
    vocabulary: Sequence[str]
    top_k: int | None = None


class AnswerControls:
    """Chooses answers under the controls.

    Args:
        train: training annotations, with question types.
        test: annotations of the n questions.
        vocabulary: the V answers a model may give.
        rule: the scoring rule; answers are the same if it compares them as the same.
    """

    def __init__(
        self, train: Sequence[Annotation], test: Sequence[Annotation], vocabulary: Sequence[str], rule: str
    ) -> None:
        form = answer_form(rule)
        self.vocabulary = list(vocabulary)
        types = {name: code for code, name in enumerate(dict.fromkeys(one.question_type for one in test))}
        self.type = np.fromiter((types[one.question_type] for one in test), np.int64, len(test))
        classes = [form(answer) for answer in self.vocabulary]

        def counts(annotations: Sequence[Annotation]) -> npt.NDArray[np.float64]:
            found = Counter((one.question_type, form(one.majority)) for one in annotations)
            return np.array([[found[kind, answer] for answer in classes] for kind in types], np.float64)

        seen, true = counts(train), counts(test)
        with np.errstate(divide="ignore"):
            # Constants of a type do not matter to which of its answers is the highest.
            inverted, given = -2 * np.log(seen + 1), np.log(true) - np.log(seen + 1)
        forbidden = np.where(seen > 0, -np.inf, 0.0)
        self._added = np.stack([forbidden, inverted, given]).astype(np.float32)

    def choose(self, rows: Codes, log_p: Floats, codes: Codes | None = None) -> Codes:
        """Returns the answers of some questions under each control.

        Args:
            rows: (b,) positions of the questions.
            log_p: (b, k) log-probabilities of answers; -inf for none.
            codes: (b, k) positions of these answers in the vocabulary; None: all of it in its order.

        Returns:
            int64 (b, controls) positions in the vocabulary, of equal ones the first; `NOTHING` where none is left.
        """
        kinds = self.type[rows]
        chosen = np.empty((len(rows), len(CONTROLS)), np.int64)
        for at, added in enumerate(self._added):
            scores = log_p + (added[kinds] if codes is None else added[kinds[:, None], codes])
            best = scores.argmax(1)
            left = np.isfinite(np.take_along_axis(scores, best[:, None], 1)[:, 0])
            label = best if codes is None else np.take_along_axis(codes, best[:, None], 1)[:, 0]
            chosen[:, at] = np.where(left, label, NOTHING)
        return chosen

    def answered(self, chosen: Codes, top_k: int | None = None) -> Controlled:
        """Returns the answers of (n, controls) positions."""
        texts = [*self.vocabulary, None]
        columns = zip(CONTROLS, chosen.T.tolist(), strict=True)
        return Controlled(
            {name: [texts[label] for label in column] for name, column in columns}, self.vocabulary, top_k
        )


def controlled_top(
    train: Sequence[Annotation], test: Sequence[Annotation], top: Mapping[QuestionId, Top], rule: str
) -> Controlled:
    """Returns answers under the controls from the best answers of each question; the vocabulary is all that occur.

    Args:
        train: training annotations, with question types.
        test: annotations of the questions.
        top: the best answers of each question and their logits, whose sigmoids are their probabilities; questions that
            have none stay unanswered.
        rule: the scoring rule.
    """
    vocabulary = list(dict.fromkeys(answer for listed in top.values() for answer, _ in listed))
    code = {answer: at for at, answer in enumerate(vocabulary)}
    listed = [top.get(one.question_id, ()) for one in test]
    shape = len(test), max(map(len, listed), default=0) or 1
    log_p, codes = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int64)
    for row, entries in enumerate(listed):
        if entries:
            codes[row, : len(entries)] = [code[answer] for answer, _ in entries]
            log_p[row, : len(entries)] = -np.logaddexp(0, [-logit for _, logit in entries])
    controls = AnswerControls(train, test, vocabulary, rule)
    known = [len(entries) for entries in listed if entries]
    return controls.answered(controls.choose(np.arange(len(test)), log_p, codes), min(known, default=0))


def supported(train: Sequence[Annotation], test: Sequence[Annotation], rule: str) -> npt.NDArray[np.bool_]:
    """Returns bool (n,): of which questions training has the type and the majority answer together."""
    form = answer_form(rule)
    seen = {(one.question_type, form(one.majority)) for one in train}
    return np.array([(one.question_type, form(one.majority)) in seen for one in test], np.bool_)


def ceiling(annotations: Sequence[Annotation], vocabulary: Sequence[str], rule: str) -> Scores:
    """Returns the highest accuracy that an answer of the vocabulary has on each question, float64 (n,) in 0..1."""
    form = answer_form(rule)
    written: dict[str, list[str]] = {}
    for answer in vocabulary:
        written.setdefault(form(answer), []).append(answer)
    rows, tried = [], []
    for row, annotation in enumerate(annotations):
        for said in dict.fromkeys(form(answer.answer) for answer in annotation.answers):
            for answer in written.get(said, ()):
                rows.append(row)
                tried.append(answer)
    best = np.zeros(len(annotations))
    np.maximum.at(best, np.array(rows, np.int64), score_questions([annotations[row] for row in rows], tried, rule))
    return best
