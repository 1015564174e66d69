"""How far answers follow the training set's habits: predicted against training and true answers, by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Scored

from vqa_gs.data.normalize import answer_form
from vqa_gs.data.priors import jensen_shannon

# As many answers as a chart of one type can show.
SHOWN = 10


def _by_type(types: Iterable[str], answers: Iterable[str]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for kind, answer in zip(types, answers, strict=True):
        counts.setdefault(kind, Counter())[answer] += 1
    return counts


def _top(counts: Counter[str]) -> str:
    return min(counts, key=lambda answer: (-counts[answer], answer))


def _of_type(train: Counter[str], predicted: Counter[str], true: Counter[str]) -> dict[str, Any]:
    prior = _top(train)
    shares = {
        answer: {
            name: 100 * counts[answer] / counts.total()
            for name, counts in (("train", train), ("predicted", predicted), ("true", true))
        }
        for answer in train | predicted | true
    }
    shown = sorted(shares, key=lambda answer: (-max(shares[answer].values()), answer))[:SHOWN]
    return {
        "questions": true.total(),
        "train_questions": train.total(),
        "prior_answer": prior,
        "predicted_prior": 100 * predicted[prior] / predicted.total(),
        "true_prior": 100 * true[prior] / true.total(),
        "divergence": {
            "predicted_train": jensen_shannon(predicted, train),
            "predicted_true": jensen_shannon(predicted, true),
            "train_true": jensen_shannon(train, true),
        },
        "answers": [{"answer": answer, **shares[answer]} for answer in shown],
    }


@BREAKDOWNS.register("prior")
def prior(scored: Scored) -> dict[str, Any] | None:
    """Per question type: the answers' shares in training, in the predictions and in truth, and how they diverge.

    A model that leans on the prior has predictions nearer to training than to truth (``predicted_train`` below
    ``predicted_true``), and gives the training's most common answer (``prior_answer``) more often than it is true.
    Types that training does not have are left out; answers are majority answers. "overall" is the mean over
    questions.
    """
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
    weights = np.array([section["questions"] for section in sections.values()], np.float64)

    def mean(pick: Any) -> float:
        return float(np.average([pick(section) for section in sections.values()], weights=weights))

    return {
        "overall": {
            "questions": int(weights.sum()),
            "predicted_prior": mean(lambda section: section["predicted_prior"]),
            "true_prior": mean(lambda section: section["true_prior"]),
            "divergence": {
                name: mean(lambda section, name=name: section["divergence"][name])
                for name in ("predicted_train", "predicted_true", "train_true")
            },
        },
        "per_question_type": sections,
    }
