"""What data, model and loss agree on: a batch, its pair ends, what a model gives back, what a term of the loss needs.

A training step goes like this. A task makes a `Batch`. Its forward pass runs the model and returns `Outputs`, with
`PairEnds` where the batch has pairs. Every `Objective` turns these into a term of the loss. Before any file is read,
`missing` compares what the terms require with what task and model provide, in the words of `vqa_gs.requirements`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from vqa_gs.requirements import (  # noqa: F401 - who writes a term or a model finds all of the contract here
    ANOTHER_PASS,
    ANOTHER_RUN,
    ATTENTION,
    IMAGE,
    JOINT,
    PAIRS,
    PRIOR,
    QUESTION,
    SHARED_IMAGES,
    TRACE,
    direction_of,
    gradient_by,
    missing,
)
from vqa_gs.seen import Seen, Sharing, mean_of_regions  # noqa: F401 - likewise

SomeBatch = TypeVar("SomeBatch", bound="Batch")


@dataclass(kw_only=True)
class Batch:
    """One step's input: 2P pair ends (all a, then all b), then ordinary examples. A task's own adds fields.

    Attributes:
        targets: (n, answers) float32, soft targets.
        labels: (2P,) int64, best answers of the ends, -1 for none.
        alignment: gather indices of the directions at both ends, see `pair_builders.directions`; may be empty
            where no term asks for them.
        weight: (2P,) float32 pair weights.
        rows: rows of all processes' batches divided by the number of processes. Sums are divided by it, so that
            gradients averaged over processes are those of one process with the whole batch.
        end_rows: as ``rows``, for pair ends.
        epoch: how far training has come, in epochs, as a float; schedules look at it.
        seed: seed of this step's dropout.
        examples: (n,) int64, which training example each row is; ids are the task's.
        question_type: (n,) int64, into `TrainingStatistics.question_types`.
        answer_type: (n,) int64, into `TrainingStatistics.answer_types`.
    """

    targets: Tensor
    labels: Tensor
    alignment: tuple[Tensor, ...]
    weight: Tensor
    rows: float
    end_rows: float
    epoch: float
    seed: int
    examples: Tensor | None = None
    question_type: Tensor | None = None
    answer_type: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def to(self: SomeBatch, device: torch.device) -> SomeBatch:
        """Returns the batch on a device."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor | Sharing):
                return value.to(device, non_blocking=True)
            return tuple(move(part) for part in value) if isinstance(value, tuple) else value

        return type(self)(**{name: move(value) for name, value in vars(self).items()})


class AttentionTrace(NamedTuple):
    """What product attention with ReLU computed on its way, for the closed form of its gradient by the regions.

    With ``z_k = W v_k + b``, the score of region k is ``sum(slope_k * signal * z_k)`` and a constant; its gradient by
    v_k is ``W^T (slope_k * signal)``.

    Attributes:
        z: (n, regions, hidden) before the ReLU, bias included.
        slope: (n, regions, hidden), a constant: 1 where the ReLU lets through, times dropout's factor.
        signal: (n, hidden), the question's factor times the score's weight.
        weight: (hidden, dim), W.
        bias: (hidden,), b.
        attention: (n, regions), the softmax of the scores over the regions that are there.
    """

    z: Tensor
    slope: Tensor
    signal: Tensor
    weight: Tensor
    bias: Tensor
    attention: Tensor


@dataclass
class ModelOutput:
    """What a model says of a batch; everything but the logits may be left out, where the model does not provide it.

    Attributes:
        logits: (n, answers) float32, one independent logit an answer.
        attention: (n, regions) float32, sums to 1 over the regions that are there.
        attended: (n, dim) float32, the attention-pooled regions.
        question: (n, hidden), the question as one vector.
        joint: (n, hidden), question and image together, what the classifier sees.
        pick: (n,) int64 answers -> (n,), the logit of one answer a row. Its gradient goes through one row of the last
            layer each, not through all answers.
        trace: what the attention computed on its way, where it was asked for.
        image: () -> (n, dim), the mean of the regions that are there; the task sets it.
    """

    logits: Tensor
    attention: Tensor | None = None
    attended: Tensor | None = None
    question: Tensor | None = None
    joint: Tensor | None = None
    pick: Callable[[Tensor], Tensor] | None = None
    trace: AttentionTrace | None = None
    image: Callable[[], Tensor] | None = None


@dataclass
class PairEnds:
    """Both ends of P pairs: rows 0..P-1 are the ends a, rows P..2P-1 the ends b, in the same order.

    Attributes:
        logits: (2P, answers) float32.
        inputs: by name, the tensors the logits were computed from and can be differentiated by: ``regions``
            (2P, regions, dim), ``attended`` (2P, dim), ``question`` (2P, length, word_dim), the word vectors.
        directions: by name, from the partner to the example, shaped as the input; only those required.
        targets: (2P, answers) float32, soft targets.
        labels: (2P,) int64, the answer with the highest soft target, -1 where the vocabulary holds none.
        partner_labels: (2P,) int64, the same of the other end.
        weight: (2P,) float32, the pair's weight.
        counterpart: (2P, regions) int64, the partner's region that corresponds to each, as a row of all ends' regions
            (2P * regions), -1 for none.
        moves: (2P, regions) bool, which regions are aligned at all; the others have direction zero.
        trace, pick: of the model's output.
        partner_class: (2P, regions) int64, the class of each region's counterpart, into the pair table's classes; -1
            where it has none or its class is not known.
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
    partner_class: Tensor | None = None
    _gradients: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False)

    def gradient(self, score: Tensor, name: str, function: str) -> Tensor:
        """Returns d score / d input, shaped as the input; terms that ask for the same one share it.

        Args:
            score: (2P,) the decision function of each end.
            name: the input.
            function: the decision function's name; scores of one name are the same function.
        """
        if (name, function) not in self._gradients:
            self._gradients[name, function] = input_gradient(score, self.inputs[name])
        return self._gradients[name, function]


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
class Outputs:
    """What the forward pass over a batch gives to the terms of the loss.

    Attributes:
        batch: the batch: per-row fields, how far training has come, what sums are divided by.
        logits: (n, answers) float32, of all rows: pair ends first, ordinary examples after them.
        targets: (n, answers) float32, soft targets in [0, 1], as `Objective.rewrite` left them.
        row_weight: (n,) float32, the weight of a row in the answer loss.
        ends: the pairs, None when there are none.
        model: the model's output in parts: of the pair ends, if there are any, then of the ordinary examples.
        seen: the images that rows are about; None for tasks without regions.
        again: (rows, regions, mask) -> the model's output for the questions of some rows, a slice, about other
            regions, of which each row has its own; draws new dropout. With a fourth argument, ``sharing`` of ``seen``,
            the rows are the ordinary ones and share images as it says. None where `ANOTHER_PASS` is not provided.
    """

    batch: Batch
    logits: Tensor
    targets: Tensor
    row_weight: Tensor
    ends: PairEnds | None = None
    model: Sequence[ModelOutput] = ()
    seen: Seen | None = None
    again: Callable[..., ModelOutput] | None = None

    @cached_property
    def regions(self) -> Tensor | None:
        """(n, regions, dim) float32, prepared, no gradient; a copy for each row where rows share images."""
        return None if self.seen is None else self.seen.of_rows(slice(None))[0]

    @cached_property
    def mask(self) -> Tensor | None:
        """(n, regions) bool, which of ``regions`` are there."""
        return None if self.seen is None else self.seen.of_rows(slice(None))[1]

    def of_rows(self, name: str) -> Tensor:
        """Returns a part of the model's output for all rows, such as ``joint``: (n, ...)."""
        parts = [getattr(part, name) for part in self.model]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @property
    def ordinary(self) -> slice:
        """The rows that are ordinary examples."""
        return slice(0 if self.ends is None else len(self.ends.labels), None)

    @property
    def ordinary_rows(self) -> float:
        """As `Batch.rows`, for ordinary examples."""
        return self.batch.rows - self.batch.end_rows


@dataclass(frozen=True)
class TrainingStatistics:
    """What a term may know of the training data and the model when it is built.

    Everything is of the ordinary training examples alone: held-out ones and edits are left out.

    Attributes:
        answers: the answer of each logit.
        question_types: names of question types, by code.
        answer_types: names of answer types, by code.
        answer_counts: () -> (answers,) float32, the sum of each answer's soft targets.
        answer_prior: () -> (question types, answers) float32, the mean soft target of each answer by type.
        sizes: the model's widths by name: ``joint``, ``question``, ``attended``, ``image``, where it has them.
        said_by: (run directory) -> (examples, answers) float16, the logits that a finished run of the task gives to
            each answer, for every training example by its id in `Batch.examples`, edits included; answers it does not
            know get its lowest logit.
        class_means: () -> (classes, dim) float32, the mean region of each class that the pair table names, as the
            model is given regions: over the regions at the ends of pairs; None where it names none.
    """

    answers: Sequence[str] = ()
    question_types: Sequence[str] = ()
    answer_types: Sequence[str] = ()
    answer_counts: Callable[[], Tensor] | None = None
    answer_prior: Callable[[], Tensor] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    said_by: Callable[[str], Tensor] | None = None
    class_means: Callable[[], Tensor] | None = None


NO_STATISTICS = TrainingStatistics()


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
    """A term of the loss: ``forward(outputs) -> ObjectiveOutput``.

    It may own parameters: they are trained, clipped, shared out over processes, saved and resumed as the model's are.

    Args:
        settings: an instance of ``Settings``, whose field ``weight`` is not 0.
        statistics: of the training data and the model.

    Attributes:
        Settings: a dataclass with a field ``weight``; 0 switches the term off.
        logged: what it reports by name.
        replaces: terms that it stands in the place of: they are not computed while it is active.
    """

    Settings: ClassVar[type[Any]]
    logged: ClassVar[tuple[str, ...]] = ()
    replaces: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: Any, statistics: TrainingStatistics = NO_STATISTICS) -> None:
        super().__init__()
        self.settings = settings

    @classmethod
    def requirements(cls, settings: Any) -> frozenset[str]:
        """Returns what the term needs of data, task and model, see `vqa_gs.requirements`."""
        return frozenset()

    def rewrite(self, outputs: Outputs) -> Tensor:
        """Returns the targets (n, answers) that all terms shall see; called before any term is computed."""
        return outputs.targets

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Computes the term."""
        raise NotImplementedError

    def at_test(self, out: ModelOutput, question_type: Tensor) -> Tensor:
        """Returns the logits (n, answers) that answers are chosen by, in scoring and by a finished run.

        Unless said otherwise they are the model's own. A finished run makes such a term anew, with `answers`,
        `question_types` and `sizes` for statistics, and gives it what it learnt.

        Args:
            out: what the model says of n questions.
            question_type: (n,) int64, codes by the questions' first words; -1 where they tell of no type.
        """
        return out.logits

    def nothing(self, outputs: Outputs) -> ObjectiveOutput:
        """The output of a step in which the term has nothing to do.

        Another process of the same step may have something: all report the same names, and all have a gradient,
        here of zero, for each of the term's parameters.
        """
        zero = outputs.logits.new_zeros(())
        names = dict.fromkeys(self.logged, zero)
        idle = [parameter.sum() * 0 for parameter in self.parameters()]
        return ObjectiveOutput(sum(idle, zero), names, names, 1.0 if idle else 0.0)


def asked(terms: Iterable[Objective], out: ModelOutput, question_type: Tensor) -> ModelOutput:
    """Returns what a model says of questions outside of training, see `Objective.at_test`."""
    for term in terms:
        out = replace(out, logits=term.at_test(out, question_type))
    return out


class Report(TypedDict):
    """``sums`` and ``counts`` of an `ObjectiveOutput`."""

    sums: dict[str, Tensor]
    counts: dict[str, Tensor]


def reported(**values: tuple[Tensor, Tensor]) -> Report:
    """Returns ``sums`` and ``counts`` of an output: weighted sums of per-row values and the sums of the weights.

    Args:
        values: by name, the values (n,) and their weights (n,).
    """
    sums = {name: (value.detach() * weight).sum() for name, (value, weight) in values.items()}
    return Report(sums=sums, counts={name: weight.sum() for name, (_, weight) in values.items()})
