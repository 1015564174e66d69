"""Gradient supervision (Teney, Abbasnejad, van den Hengel, ECCV 2020).

A pair of minimally different examples with different answers says what makes the difference. The gradient of the
decision at one end, by its input, is turned towards the line between the two ends::

    L_GS = 1 - cos( d f(x_i) / d x_i , x_i - x_j )

The sign: f is the logit of x_i's own answer (or its margin over the partner's), which has to fall on the way to x_j,
so it has to rise along x_i - x_j. The paper writes x_j - x_i in one place and x_i - x_j in its Taylor argument; the
first, taken literally, trains the model backwards.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor, nn

from vqa_gs.common.errors import UsageError
from vqa_gs.contracts import (
    NO_STATISTICS,
    PAIRS,
    TRACE,
    Objective,
    ObjectiveOutput,
    Outputs,
    PairEnds,
    TrainingStatistics,
    direction_of,
    gradient_by,
    input_gradient,
    reported,
)
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.choices import Variant
from vqa_gs.objectives.closed_form.cosine import closed_form_cosine
from vqa_gs.objectives.decision import cosine, decision, end_decision
from vqa_gs.objectives.differing import differing
from vqa_gs.objectives.settings.gradient_supervision import GradientSupervisionSettings


def gradient_supervision_loss(
    score: Tensor, x: Tensor, direction: Tensor, *, create_graph: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """``1 - cos(d score / d x, direction)`` of each example, for any twice differentiable torch model.

    Args:
        score: (n,) the decision function of each example, computed from ``x``; example i's must depend on row i
            of ``x`` alone (no batch normalisation in training mode between the two).
        x: (n, ...) float, requires grad or was computed from something that does.
        direction: (n, ...) float, where the score has to rise: x_i - x_j for the example i of a pair (i, j). It is
            a target, no gradient flows into it.
        create_graph: keep the graph, so that the loss can be differentiated by the parameters.

    Returns:
        The loss (n,), the cosine (n,), and (n,) bool where the direction is not zero. The loss is 0 elsewhere.

    Raises:
        ValueError: shapes do not fit, or ``score`` does not depend on ``x``.

    Example:
        >>> import torch
        >>> weight = torch.tensor([1.0, 0.0], requires_grad=True)
        >>> x = torch.tensor([[0.5, 2.0]], requires_grad=True)
        >>> loss, cos, valid = gradient_supervision_loss(x @ weight, x, torch.tensor([[0.0, 3.0]]))
        >>> round(loss.item(), 6)
        1.0
    """
    if score.ndim != 1 or len(score) != len(x):
        raise ValueError(f"score must be ({len(x)},), one number an example, got {tuple(score.shape)}")
    if not x.requires_grad:
        raise ValueError("x does not require grad: call x.requires_grad_() before the model sees it")
    cos, valid = cosine(input_gradient(score, x, create_graph=create_graph), direction)
    return (1 - cos) * valid, cos, valid


class GradientSupervision(nn.Module):
    """Gradient supervision as a module for one's own torch model: add its value to the loss.

    Args:
        variant: the decision function, see `decision`.

    Example:
        >>> import torch
        >>> from vqa_gs import GradientSupervision
        >>> model = torch.nn.Linear(4, 3)
        >>> x, partner = torch.randn(8, 4, requires_grad=True), torch.randn(8, 4)
        >>> y, partner_y = torch.zeros(8, dtype=torch.long), torch.ones(8, dtype=torch.long)
        >>> loss = GradientSupervision()(model(x), x, x - partner, y, partner_y)
        >>> loss.backward()
        >>> model.weight.grad.shape
        torch.Size([3, 4])
    """

    def __init__(self, variant: Variant = "contrast") -> None:
        super().__init__()
        if variant not in get_args(Variant):
            raise ValueError(f"there is no variant {variant!r}, choose one of {', '.join(get_args(Variant))}")
        self.variant: Variant = variant

    def forward(
        self,
        logits: Tensor,
        x: Tensor,
        direction: Tensor,
        labels: Tensor,
        partner_labels: Tensor | None = None,
        *,
        targets: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Returns the mean of ``weight * (1 - cos)`` over the examples it applies to, () float; 0 if none.

        Args:
            logits: (n, answers), the model's output for ``x``.
            x: (n, ...), requires grad.
            direction: (n, ...), x minus its partner.
            labels: (n,) int64, -1 where an example has no answer.
            partner_labels: (n,) int64; needed for ``contrast``.
            targets: (n, answers); needed for ``loss``.
            weight: (n,) float, 1 when left out.

        Raises:
            ValueError: shapes do not fit, ``x`` does not require grad, or the variant lacks what it needs.

        Example:
            The own label's logit is the input's first number, so it should differ from its partner there.

            >>> import torch
            >>> x = torch.tensor([[1.0, 0.0]], requires_grad=True)
            >>> labels = torch.tensor([0])
            >>> along, across = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
            >>> supervise = GradientSupervision("true")
            >>> supervise(x * 3, x, along, labels).item(), supervise(x * 3, x, across, labels).item()
            (0.0, 1.0)
        """
        score, answered = decision(logits, labels, partner_labels, targets, self.variant)
        loss, _, moves = gradient_supervision_loss(score, x, direction)
        counted = (answered & moves).to(loss.dtype)
        counted = counted if weight is None else counted * weight
        return (loss * counted).sum() / counted.sum().clamp_min(torch.finfo(loss.dtype).tiny)


@OBJECTIVES.register("gradient_supervision")
class GradientSupervisionTerm(Objective):
    """Gradient supervision as a term of training."""

    Settings = GradientSupervisionSettings
    settings: GradientSupervisionSettings
    logged = ("gs_loss", "gs_cosine")
    type_weight: Tensor
    class_means: Tensor | None

    def __init__(self, settings: GradientSupervisionSettings, statistics: TrainingStatistics = NO_STATISTICS) -> None:
        super().__init__(settings, statistics)
        weights, known = settings.answer_type_weight, statistics.answer_types
        for name in weights:
            if name not in known:
                raise UsageError(
                    f"objectives.gradient_supervision.answer_type_weight: training has no answer type {name!r}",
                    mend=f"it has {', '.join(known) or 'none'}",
                )
        by_code = torch.tensor([weights.get(name, 1.0) for name in known])
        self.register_buffer("type_weight", by_code, persistent=False)
        means = None
        if settings.toward == "mean" and settings.weight:
            if statistics.class_means is None:
                raise UsageError(
                    "objectives.gradient_supervision.toward: mean needs pairs whose regions have classes",
                    mend="build the pair tables with --select named, or leave it out",
                )
            means = statistics.class_means()
        self.register_buffer("class_means", means, persistent=False)

    @classmethod
    def requirements(cls, settings: GradientSupervisionSettings) -> frozenset[str]:
        """The closed form takes the gradient by the attended vector, and makes do without the directions."""
        if settings.cost == "closed_form":
            return frozenset({PAIRS, gradient_by("attended"), TRACE})
        return frozenset({PAIRS, gradient_by(settings.place), direction_of(settings.place)})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages ``pair weight * (1 - cos)`` over the pair ends it acts on; ends it cannot act on count as 0."""
        scale, ends = self.settings.scale(outputs.batch.epoch), outputs.ends
        a, b = self.settings.end_weights()
        if not scale or ends is None or a + b == 0:
            return self.nothing(outputs)
        variant = self.settings.variant
        score, valid = end_decision(ends, variant)
        cos, moves = self._cosine(ends, score)
        loss = 1 - cos
        pairs = len(loss) // 2
        counted = (valid & moves).to(loss.dtype)
        counted[:pairs] *= a
        counted[pairs:] *= b
        if self.settings.answer_type_weight:
            assert outputs.batch.answer_type is not None
            counted = counted * self.type_weight[outputs.batch.answer_type[: len(loss)]]
        total = (loss * counted * ends.weight).sum()
        report = reported(gs_loss=(loss, counted), gs_cosine=(cos, counted))
        return ObjectiveOutput(total / (outputs.batch.end_rows * (a + b) / 2), **report, scale=scale)

    def _cosine(self, ends: PairEnds, score: Tensor) -> tuple[Tensor, Tensor]:
        settings = self.settings
        if settings.cost == "closed_form":
            assert ends.trace is not None and ends.counterpart is not None and ends.moves is not None  # noqa: PT018
            u, regions = ends.gradient(score, "attended", settings.variant), ends.inputs["regions"]
            alignment = ends.counterpart, ends.moves
            return closed_form_cosine(
                ends.trace, regions, u, *alignment, sparse=settings.sparse, free=settings.rest == "free"
            )
        direction = ends.directions[settings.place]
        if self.class_means is not None and ends.partner_class is not None:
            direction = toward_means(direction, ends.inputs["regions"].detach(), self.class_means, ends.partner_class)
        gradient = ends.gradient(score, settings.place, settings.variant)
        if settings.sparse or settings.rest == "free":
            chosen = differing(direction, settings.sparse).unsqueeze(2)
            direction = direction * chosen
            gradient = gradient * chosen if settings.rest == "free" else gradient
        return cosine(gradient, direction)


def toward_means(direction: Tensor, regions: Tensor, means: Tensor, partner_class: Tensor) -> Tensor:
    """Returns directions from the mean region of the counterpart's class, where that is known.

    Args:
        direction: (n, regions, dim), from the counterpart itself.
        regions: (n, regions, dim).
        means: (classes, dim).
        partner_class: (n, regions) int64, -1 where there is none.
    """
    known = (partner_class >= 0).unsqueeze(2)
    return torch.where(known, regions - means[partner_class.clamp_min(0)].to(regions.dtype), direction)
