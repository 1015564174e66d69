"""What the trainer and the objectives ask of a network: regions, question and head apart from each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from vqa_gs.common.registry import Registry

MODELS: Registry[type[RegionModel]] = Registry("model", "vqa_gs.models")


class AttentionTrace(NamedTuple):
    """What product attention with ReLU computed on its way, for the closed form of its gradient by the regions.

    With ``z_k = W v_k + b``, the score of region k is ``sum(slope_k * signal * z_k)`` and a constant.

    Attributes:
        z: (batch, regions, hidden) before the ReLU, bias included.
        slope: (batch, regions, hidden), a constant: 1 where the ReLU lets through, times dropout's factor.
        signal: (batch, hidden), the question's factor times the score's weight.
        weight: (hidden, dim), W.
        bias: (hidden,), b.
        attention: (batch, regions), the softmax of the scores.
    """

    z: Tensor
    slope: Tensor
    signal: Tensor
    weight: Tensor
    bias: Tensor
    attention: Tensor


class HeadOutput(NamedTuple):
    """What the head says of a batch.

    Attributes:
        logits: (batch, answers) float32, one independent logit an answer.
        attention: (batch, regions) float32, sums to 1 over the regions that are there.
        attended: (batch, dim) float32, the attention-pooled regions.
        pick: (batch,) int64 answers -> (batch,), the logit of one answer a row. Its gradient goes through one row of
            the last layer each, not through all answers.
        trace: what the attention computed on its way, where it was asked for.
    """

    logits: Tensor
    attention: Tensor
    attended: Tensor
    pick: Callable[[Tensor], Tensor]
    trace: AttentionTrace | None = None


class RegionModel(nn.Module):
    """A network over image regions and a question, in three parts that can be called apart.

    Gradient supervision differentiates the head by its regions, and that gradient once more by the parameters. So
    the question is encoded outside of that: `encode_question` runs once, whatever the objectives do with `head`.

    Args:
        region_dim: numbers a region has in the store, without box numbers.
        words: size of the word vocabulary, padding and unknown included.
        answers: size of the answer vocabulary.
        settings: the model's own dataclass of settings.
    """

    Settings: type[Any]

    def __init__(self, region_dim: int, words: int, answers: int, settings: Any) -> None:
        super().__init__()
        self.region_dim = region_dim
        self.words = words
        self.answers = answers
        self.settings = settings

    def prepare_regions(self, features: Tensor, boxes: Tensor, sizes: Tensor, mask: Tensor) -> Tensor:
        """Returns what the head sees: (batch, regions, dim) float32, zero where ``mask`` is False."""
        raise NotImplementedError

    def embed_words(self, tokens: Tensor) -> Tensor:
        """Returns the word vectors (batch, length, word_dim) of ``tokens: (batch, length) int64``."""
        raise NotImplementedError

    def encode_words(self, words: Tensor) -> Tensor:
        """Returns the question vector (batch, hidden) of ``words: (batch, length, word_dim)``."""
        raise NotImplementedError

    def head(self, regions: Tensor, mask: Tensor, question: Tensor, trace: bool = False) -> HeadOutput:
        """Answers from prepared regions (batch, regions, dim), their mask and the question vector.

        Args:
            regions: as `prepare_regions` returns them.
            mask: (batch, regions) bool.
            question: (batch, hidden).
            trace: return the attention's trace too; only where `no_closed_form` is None.
        """
        raise NotImplementedError

    def no_closed_form(self) -> str | None:
        """Says why the closed form of the gradient by the regions does not hold for this model; None where it does."""
        return "it is derived for one glimpse of product attention only"

    def load_word_vectors(self, vectors: Tensor, found: Tensor) -> None:
        """Overwrites the vectors of the words that ``found: (words,) bool`` marks."""
        raise NotImplementedError

    def fit_regions(self, mean: Tensor, std: Tensor) -> None:
        """Takes the training regions' per-dimension mean and standard deviation, each (region_dim,)."""
        raise NotImplementedError

    def encode_question(self, tokens: Tensor) -> Tensor:
        """Returns the question vector (batch, hidden) of ``tokens: (batch, length) int64``."""
        return self.encode_words(self.embed_words(tokens))

    def forward(self, features: Tensor, boxes: Tensor, sizes: Tensor, mask: Tensor, tokens: Tensor) -> HeadOutput:
        """Answers from the store's features (batch, regions, region_dim) and tokens (batch, length)."""
        regions = self.prepare_regions(features, boxes, sizes, mask)
        return self.head(regions, mask, self.encode_question(tokens))
