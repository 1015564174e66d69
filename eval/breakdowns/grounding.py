"""Whether a model looks where it ought to: attention and gradient on the regions that matter."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, StudyKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.grounding_file import GroundingFile, Relevance
from vqa_gs.eval.metrics import fully_right
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

_MEASURES = {
    "attention on the relevant regions, %": ("regions", "all", "attention"),
    "gradient on the relevant regions, %": ("regions", "all", "gradient"),
    "share of regions that are relevant, %": ("regions", "all", "chance"),
    "strongest attention on a relevant region, %": ("regions", "all", "attention_pointing"),
    "strongest gradient on a relevant region, %": ("regions", "all", "gradient_pointing"),
    "attention on them, right answers, %": ("regions", "right", "attention"),
    "attention on them, wrong answers, %": ("regions", "wrong", "attention"),
    "gradient with the pair's direction, cosine": ("pairs", "cosine"),
    "gradient towards the partner, % of pair ends": ("pairs", "positive"),
}


class RegionShares(msgspec.Struct, frozen=True):
    """Means over some questions, in percent, of what lies on the regions that matter."""

    questions: int
    attention: float
    gradient: float
    chance: float
    attention_pointing: float
    gradient_pointing: float


class ByOutcome(msgspec.Struct, frozen=True):
    """The same of all questions and of those answered right and wrong; None of none."""

    all: RegionShares
    right: RegionShares | None
    wrong: RegionShares | None


class PairAlignment(msgspec.Struct, frozen=True):
    """The gradient's cosine with the direction to the counterfactual partner, over the ends where it is defined."""

    pairs: int
    ends: int
    cosine: float
    positive: float
    function: str


@BREAKDOWNS.register("grounding")
class Grounding(Breakdown, frozen=True):
    """Share of attention and of gradient on the relevant regions, and the gradient's alignment with pairs.

    Shares are percent of a question's sum over its regions, averaged over questions; "chance" is the share of
    regions that are relevant, "pointing" how often the strongest region is. "pairs" has the mean cosine between
    the gradient and the direction to the counterfactual partner, which gradient supervision maximises, over the
    ends where it is defined.
    """

    order: ClassVar[int] = 68
    study: ClassVar[StudyKind | None] = StudyKind(
        "looks",
        "Where it looks",
        "Share in % of the attention, and of the length of the predicted answer's gradient by region, on the regions"
        " the answer is read from; chance: the share of these among all regions.",
        "Where models look",
        "share on the regions the answer is read from, %",
        level="chance",
    )

    threshold: float | None
    regions: ByOutcome | None
    pairs: PairAlignment | None

    @classmethod
    def of(cls, scored: Scored) -> Grounding | None:
        """Computes the section.

        Raises:
            DataError: the hints are of another number of regions.
        """
        file, relevance = scored.evidence.grounding, scored.evidence.relevance
        if file is None:
            return None
        regions = None if relevance is None else _of_regions(scored, file, relevance)
        pairs = _of_pairs(file)
        if regions is None and pairs is None:
            return None
        return cls(relevance.threshold if relevance else None, regions, pairs)

    def lines(self, rule: str) -> list[str]:
        """Returns the shares on the regions that matter, and the alignment with pairs."""
        lines = []
        if self.regions:
            part = self.regions.all
            lines.append(
                f"relevant regions get {part.attention:.2f} % of attention, {part.gradient:.2f} % of gradient,"
                f" chance {part.chance:.2f} %"
            )
        if self.pairs:
            lines.append(f"gradient alignment with {self.pairs.pairs:,} pairs {self.pairs.cosine:+.3f}")
        return lines

    def measured(self) -> dict[str, Measured]:
        """Returns the shares over all questions."""
        if self.regions is None:
            return {}
        part = self.regions.all
        return {name: Measured(getattr(part, name), part.questions) for name in ("attention", "chance", "gradient")}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        measures: list[MeasureRow[Grounding]] = [
            MeasureRow(label, at(*path), at(*path[:-1], "ends" if path[0] == "pairs" else "questions"))
            for label, path in _MEASURES.items()
        ]
        notes = (
            f"Right and wrong as scored by {content.rule}.",
            "Shares are of a question's sum over its regions, averaged over questions; more than the share of relevant "
            "regions is more than chance. The cosine is what gradient supervision raises.",
        )
        table = measure_table(content, Grounding, "Where it looks", notes, measures, "questions or pair ends")
        return Section("Where it looks", "grounding", "Grounding", (table,)) if table else None


def _share(values: npt.NDArray[np.float32], matter: npt.NDArray[np.bool_]) -> float:
    total = float(values.sum(dtype=np.float64))
    return 100 * float(values[matter].sum(dtype=np.float64)) / total if total > 0 else 0.0


def _of_regions(scored: Scored, grounding: GroundingFile, relevance: Relevance) -> ByOutcome | None:
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

    def means(part: npt.NDArray[np.float64]) -> RegionShares | None:
        return RegionShares(len(part), *part[:, :-1].mean(axis=0).tolist()) if len(part) else None

    whole, answered_right = means(table), table[:, -1] > 0
    assert whole is not None
    return ByOutcome(whole, means(table[answered_right]), means(table[~answered_right]))


def _of_pairs(grounding: GroundingFile) -> PairAlignment | None:
    if grounding.cosine is None:
        return None
    known = grounding.cosine[~np.isnan(grounding.cosine)].astype(np.float64)
    if not len(known):
        return None
    positive = 100 * float((known > 0).mean())
    return PairAlignment(len(grounding.pairs), len(known), float(known.mean()), positive, grounding.function)
