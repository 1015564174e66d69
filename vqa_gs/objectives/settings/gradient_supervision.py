"""Settings of gradient supervision."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.choices import Variant
from vqa_gs.objectives.schedule import Scheduled

EndsChoice = Literal["both", "a", "b"]


@OBJECTIVES.settings("gradient_supervision", "vqa_gs.objectives.terms.gradient_supervision")
@dataclass(frozen=True)
class GradientSupervisionSettings(Scheduled):
    """Settings of gradient supervision; ``weight`` is the paper's lambda.

    Attributes:
        variant: the decision function: ``true``, ``contrast`` or ``loss``.
        place: the input to differentiate by, one that task and model provide: of a question about an image the
            ``regions``, the ``attended`` (pooled) image vector, or the word vectors of the ``question``; of a text the
            vectors of its ``words``, the ``encoded`` words (the encoder's states), or the ``pooled`` vector.
        ends: ends of a pair it acts on: ``both``, ``a`` or ``b``.
        b_weight: weight of an end b beside an end a, as where b is an edited image.
        sparse: use the direction only on so many regions (or words), those that differ most; 0: on all that the pair
            table aligns.
        rest: what becomes of the gradient on regions without a direction: ``zero``, it lowers the cosine, or
            ``free``, it does not count.
        answer_type_weight: weight of an end by the answer type of its question, as ``{number: 0}``; 1 for types that
            are not named. Beside a debiasing margin, supervision of counts costs more than it brings (docs/results.md).
        toward: what a region is compared with: its counterpart in the ``partner``, or the ``mean`` region of the
            counterpart's class, over the ends of all pairs. The mean is the direction averaged over all partners that
            show the same; it needs pairs whose regions have classes (``pairs build --select named``). A region whose
            counterpart has no class is compared with it.
        cost: how the gradient is taken: ``double_backward`` holds for every model, ``closed_form`` for product
            attention with ReLU and the place ``regions``; both give the same numbers.
    """

    variant: Variant = "contrast"
    place: str = "regions"
    ends: EndsChoice = "both"
    b_weight: float = 1.0
    sparse: int = 0
    rest: Literal["zero", "free"] = "zero"
    answer_type_weight: dict[str, float] = field(default_factory=dict)
    toward: Literal["partner", "mean"] = "partner"
    cost: Literal["double_backward", "closed_form"] = "double_backward"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("b_weight", "sparse"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"objectives: {name} must not be negative, got {getattr(self, name)}")
        for name, weight in self.answer_type_weight.items():
            if not 0 <= weight < math.inf:
                raise UsageError(
                    f"objectives.gradient_supervision.answer_type_weight: {name} must not be negative, got {weight}"
                )
        if self.place in ("attended", "pooled") and (self.sparse or self.rest == "free"):
            raise UsageError(
                f"objectives.gradient_supervision: the {self.place} vector has no regions or words to choose from",
                mend="leave sparse and rest out, or choose another place",
            )
        if self.cost == "closed_form" and self.place != "regions":
            raise UsageError(
                f"objectives.gradient_supervision: there is no closed form at the place {self.place}",
                mend="choose the place regions, or the cost double_backward",
            )
        if self.toward == "mean" and (self.place != "regions" or self.cost == "closed_form"):
            raise UsageError(
                "objectives.gradient_supervision: toward: mean is for the place regions, without the closed form",
                mend="leave toward out, or choose the place regions and the cost double_backward",
            )

    def end_weights(self) -> tuple[float, float]:
        """Returns the weights of the ends a and b."""
        return float(self.ends != "b"), self.b_weight if self.ends != "a" else 0.0
