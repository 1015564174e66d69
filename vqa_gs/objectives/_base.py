"""The one signature of every objective: what a training step shows it, what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from vqa_gs.common.registry import Registry

OBJECTIVES: Registry[type[Objective]] = Registry("objective", "vqa_gs.objectives")


class AttentionTrace(Protocol):
    """What product attention with ReLU computed on its way, for the closed form of its gradient by the regions.

    With ``z_k = W v_k + b`` and ``s_k = sum(slope_k * signal * z_k) + const``, the score of region k before the
    softmax; its gradient by v_k is ``W^T (slope_k * signal)``.
    """

    @property
    def z(self) -> Tensor:
        """(n, regions, hidden) before the ReLU, bias included."""

    @property
    def slope(self) -> Tensor:
        """(n, regions, hidden), a constant: 1 where the ReLU lets through, times dropout's factor."""

    @property
    def signal(self) -> Tensor:
        """(n, hidden), the question's factor times the score's weight."""

    @property
    def weight(self) -> Tensor:
        """(hidden, dim), W."""

    @property
    def bias(self) -> Tensor:
        """(hidden,), b."""

    @property
    def attention(self) -> Tensor:
        """(n, regions), sums to 1 over the regions that are there."""


@dataclass
class Inputs:
    """What the rows of a step were answered from, for terms that ask the model again.

    Attributes:
        regions: (batch, regions, dim) float32, prepared, no gradient.
        mask: (batch, regions) bool.
        question: (batch, hidden), encoded.
        answer: (regions, mask, question) -> (rows, answers) logits; draws new dropout.
    """

    regions: Tensor
    mask: Tensor
    question: Tensor
    answer: Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass
class Ends:
    """Both ends of P pairs: rows 0..P-1 are the ends a, rows P..2P-1 the ends b, in the same order.

    Attributes:
        logits: (2P, answers) float32.
        inputs: by place, the tensors the logits were computed from and can be differentiated by: ``regions``
            (2P, regions, dim), ``attended`` (2P, dim), ``question`` (2P, length, word_dim), the word vectors.
        directions: by place, from the partner to the example, shaped as the input; ``regions`` only where an
            alignment says which region corresponds to which, ``question`` likewise for words.
        targets: (2P, answers) float32, soft targets.
        labels: (2P,) int64, the answer with the highest soft target, -1 where the vocabulary holds none.
        partner_labels: (2P,) int64, the same of the other end.
        weight: (2P,) float32, the pair's weight.
        counterpart: (2P, regions) int64, the partner's region that corresponds to each, as a row of all ends' regions
            (2P * regions), -1 for none.
        moves: (2P, regions) bool, which regions are aligned at all; the others have direction zero.
        trace: what the attention computed on its way; None unless a term `needs_trace`.
        pick: (2P,) int64 answers -> (2P,), one logit a row, cheaper to differentiate than a column of ``logits``.
    """

    logits: Tensor
    inputs: dict[str, Tensor]
    directions: dict[str, Tensor]
    targets: Tensor
    labels: Tensor
    partner_labels: Tensor
    weight: Tensor
    counterpart: Tensor | None = None
    moves: Tensor | None = None
    trace: AttentionTrace | None = None
    pick: Callable[[Tensor], Tensor] | None = None
    _gradients: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False)

    def gradient(self, score: Tensor, place: str, name: str) -> Tensor:
        """Returns d score / d input, shaped as the input; terms that ask for the same one share it.

        Args:
            score: (2P,) the decision function of each end.
            place: the input.
            name: the decision function's name; scores of one name are the same function.
        """
        if (place, name) not in self._gradients:
            self._gradients[place, name] = input_gradient(score, self.inputs[place])
        return self._gradients[place, name]


def input_gradient(score: Tensor, x: Tensor, *, create_graph: bool = True) -> Tensor:
    """Returns d score / d x, shaped as x; row i of the score must depend on row i of x alone.

    Raises:
        ValueError: ``score`` does not depend on ``x``.
    """
    try:
        # The inner gradient is taken outside of autocast's reach: its products keep the types of the forward pass.
        (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=create_graph)
    except RuntimeError as error:
        if "not have been used" in str(error):
            raise ValueError("score does not depend on x") from error
        raise
    return gradient


@dataclass
class Step:
    """One training step, as an objective sees it.

    Attributes:
        logits: (batch, answers) float32, of all rows: pair ends first, ordinary questions after them.
        targets: (batch, answers) float32, soft targets in [0, 1].
        row_weight: (batch,) float32, the weight of a row in the answer loss.
        rows: how many rows all processes' batches hold, divided by the number of processes. Sums are divided by it,
            so that gradients averaged over processes are those of one process with the whole batch.
        ends: the pairs of the step, None when there are none.
        end_rows: as ``rows``, for pair ends.
        epoch: how far training has come, in epochs, as a float; schedules look at it.
        inputs: what the rows were answered from; None unless a term `needs_inputs`.
    """

    logits: Tensor
    targets: Tensor
    row_weight: Tensor
    rows: float
    ends: Ends | None = None
    end_rows: float = 0.0
    epoch: float = 0.0
    inputs: Inputs | None = None

    @property
    def ordinary(self) -> slice:
        """The rows that are ordinary questions."""
        return slice(0 if self.ends is None else len(self.ends.labels), None)

    @property
    def ordinary_rows(self) -> float:
        """As ``rows``, for ordinary questions."""
        return self.rows - self.end_rows


class ObjectiveOutput(NamedTuple):
    """A term of the loss.

    Attributes:
        loss: () the term, its weight not yet applied.
        sums: detached () tensors for the log; each is a sum, to be divided by ``counts`` of the same name.
        counts: detached () tensors, what the sums are divided by.
        scale: what the term's weight is multiplied by at this moment of training (warm-up).
    """

    loss: Tensor
    sums: Mapping[str, Tensor] = MappingProxyType({})
    counts: Mapping[str, Tensor] = MappingProxyType({})
    scale: float = 1.0


class Objective(nn.Module):
    """A term of the loss: ``forward(step) -> ObjectiveOutput``.

    A subclass names its dataclass of settings, which has a field ``weight`` (0 switches the term off), what it
    reports, and by which inputs it wants to differentiate.
    """

    Settings: type[Any]
    needs_pairs = False
    needs_trace = False
    needs_inputs = False
    logged: tuple[str, ...] = ()

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def places(self) -> frozenset[str]:
        """Returns the inputs the term differentiates by, as the task names them: ``regions``, ``words``."""
        return frozenset()

    def aligned(self) -> frozenset[str]:
        """Returns the inputs whose directions the term asks for."""
        return self.places()

    def forward(self, step: Step) -> ObjectiveOutput:
        """Computes the term."""
        raise NotImplementedError

    def nothing(self, step: Step) -> ObjectiveOutput:
        """The output of a step in which the term has nothing to do.

        Another process of the same step may have something: all report the same names.
        """
        zero = step.logits.new_zeros(())
        return ObjectiveOutput(zero, dict.fromkeys(self.logged, zero), dict.fromkeys(self.logged, zero), 0.0)


def reported(**values: tuple[Tensor, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Returns ``sums`` and ``counts`` of an output: weighted sums of per-row values and the sums of the weights.

    Args:
        values: by name, the values (n,) and their weights (n,).
    """
    sums = {name: (value.detach() * weight).sum() for name, (value, weight) in values.items()}
    return {"sums": sums, "counts": {name: weight.sum() for name, (_, weight) in values.items()}}


def logged_names(terms: Iterable[type[Objective]]) -> list[str]:
    """Returns the names that terms report, each once, in order."""
    return list(dict.fromkeys(name for term in terms for name in term.logged))
