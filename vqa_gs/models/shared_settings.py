"""Settings that models of one kind have in common, and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vqa_gs.common.errors import UsageError


def check_widths(settings: object, *names: str) -> None:
    """Refuses settings of a model in which a width is not positive, or a dropout (``dropout...``) not in [0, 1).

    Raises:
        UsageError: naming the field.
    """
    for name in names:
        value = getattr(settings, name)
        if name.startswith("dropout"):
            if not 0 <= value < 1:
                raise UsageError(f"model.{name} must be in [0, 1), not {value}")
        elif value < 1:
            raise UsageError(f"model.{name} must be positive, not {value}")


@dataclass(frozen=True)
class VqaModelSettings:
    """Sizes and choices that all models of visual questions have.

    Attributes:
        hidden: width of the hidden layers.
        word_dim: numbers a word vector has; with pretrained vectors it must be theirs.
        boxes: append the six normalised box numbers to a region; questions about position need them.
        standardize: bring every feature dimension to mean 0 and deviation 1 over the training regions.
        dropout_words: dropout on word vectors.
    """

    hidden: int = 1024
    word_dim: int = 300
    boxes: bool = False
    standardize: bool = False
    dropout_words: float = 0.0

    def __post_init__(self) -> None:
        check_widths(self, "hidden", "word_dim", "dropout_words")


@dataclass(frozen=True)
class RecurrentSettings(VqaModelSettings):
    """Sizes and choices of these models, beside those of all models.

    Attributes:
        activation: ``relu`` (weight-normed, the public code) or ``gated_tanh`` (the paper).
        dropout_classifier: dropout inside the classifier.
        rare_answers: start with every answer at the odds of one among all, see `start_rare`, instead of at even odds as
            in the public code. On a few thousand questions more is learnt in as many steps.
    """

    activation: Literal["relu", "gated_tanh"] = "relu"
    dropout_classifier: float = 0.5
    rare_answers: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(self, "dropout_classifier")


@dataclass(frozen=True)
class TextSettings:
    """Sizes and choices of a text model.

    Attributes:
        hidden: width of every hidden layer.
        word_dim: numbers a word vector has; with pretrained vectors it must be theirs.
        pooling: how word states become one vector: their ``mean``, or their sum weighted by ``attention``.
        words: ``tuned`` learns the word vectors too, ``fixed`` keeps them as they were loaded.
        dropout_words: share of words whose vectors are left out as a whole.
        dropout_classifier: dropout on the pooled vector and inside the classifier.
    """

    hidden: int = 100
    word_dim: int = 50
    pooling: Literal["mean", "attention"] = "attention"
    words: Literal["tuned", "fixed"] = "tuned"
    dropout_words: float = 0.2
    dropout_classifier: float = 0.5

    def __post_init__(self) -> None:
        check_widths(self, "hidden", "word_dim", "dropout_words", "dropout_classifier")


@dataclass(frozen=True)
class LabelModelSettings:
    """Sizes and choices of a multi-label classifier.

    Attributes:
        hidden: width of the hidden layers: the attention's, and the MLP's.
        pooling: how regions become one vector: their ``mean``, or their sum weighted by ``attention``.
        standardize: bring every feature dimension to mean 0 and deviation 1 over the training regions.
        dropout: on the pooled vector, and inside the MLP.
    """

    hidden: int = 256
    pooling: Literal["mean", "attention"] = "mean"
    standardize: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_widths(self, "hidden", "dropout")
