"""Whether a model looks where it ought to: attention and gradient on the regions that matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Scored
from vqa_gs.eval.grounding import GroundingFile, Relevance
from vqa_gs.eval.metrics import fully_right


def _share(values: npt.NDArray[np.float32], matter: npt.NDArray[np.bool_]) -> float:
    total = float(values.sum(dtype=np.float64))
    return 100 * float(values[matter].sum(dtype=np.float64)) / total if total > 0 else 0.0


def _of_regions(scored: Scored, grounding: GroundingFile, relevance: Relevance) -> dict[str, Any] | None:
    rows = []
    right = fully_right(scored.scores)
    for place, question_id in enumerate(grounding.question_ids):
        row = scored.row_of.get(question_id)
        part = slice(grounding.first[place], grounding.first[place + 1])
        matter = None if row is None else relevance.of(question_id, grounding.boxes[part])
        # Where no region matters there is nothing to look at, where all do nothing to miss.
        if matter is None or not matter.any() or matter.all():
            continue
        attention, gradient = grounding.attention[part], grounding.gradient[part]
        rows.append(
            (
                _share(attention, matter),
                _share(gradient, matter),
                100 * float(matter.mean()),
                100 * float(matter[int(attention.argmax())]),
                100 * float(matter[int(gradient.argmax())]),
                bool(right[row]),
            )
        )
    if not rows:
        return None
    table = np.array(rows, np.float64)
    names = ("attention", "gradient", "chance", "attention_pointing", "gradient_pointing")

    def means(part: npt.NDArray[np.float64]) -> dict[str, Any] | None:
        if not len(part):
            return None
        return {"questions": len(part), **dict(zip(names, part[:, :-1].mean(axis=0).tolist(), strict=True))}

    answered_right = table[:, -1] > 0
    return {"all": means(table), "right": means(table[answered_right]), "wrong": means(table[~answered_right])}


def _of_pairs(grounding: GroundingFile) -> dict[str, Any] | None:
    if grounding.cosine is None:
        return None
    known = grounding.cosine[~np.isnan(grounding.cosine)].astype(np.float64)
    if not len(known):
        return None
    return {
        "pairs": len(grounding.pairs),
        "ends": len(known),
        "cosine": float(known.mean()),
        "positive": 100 * float((known > 0).mean()),
        "function": grounding.function,
    }


@BREAKDOWNS.register("grounding")
def grounding(scored: Scored) -> dict[str, Any] | None:
    """Share of attention and of gradient on the relevant regions, and the gradient's alignment with pairs.

    Shares are percent of a question's sum over its regions, averaged over questions; "chance" is the share of
    regions that are relevant, "pointing" how often the strongest region is. "pairs" has the mean cosine between
    the gradient and the direction to the counterfactual partner, which gradient supervision maximises, over the
    ends where it is defined.
    """
    file, relevance = scored.evidence.grounding, scored.evidence.relevance
    if file is None:
        return None
    regions = None if relevance is None else _of_regions(scored, file, relevance)
    pairs = _of_pairs(file)
    if regions is None and pairs is None:
        return None
    return {"threshold": relevance.threshold if relevance else None, "regions": regions, "pairs": pairs}
