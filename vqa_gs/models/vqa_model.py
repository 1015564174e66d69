"""What a model of visual questions is: regions, question and answer apart from each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vqa_gs.contracts import ModelOutput, Seen, Sharing
from vqa_gs.features.geometry import normalized_boxes
from vqa_gs.models.regions_and_words import StandardizedRegions, WordVectors
from vqa_gs.models.shared_settings import VqaModelSettings  # noqa: F401 - models derive theirs from it

BOX_NUMBERS = 6

# A question as the model encodes it: a tensor, or a tuple of them, with a row an example.
Encoded = Any


class VqaModel(StandardizedRegions, WordVectors):
    """A network over image regions and a question, in three parts that can be called apart.

    Gradient supervision differentiates `answer` by its regions, and that gradient once more by the parameters. So
    the question is encoded outside of that: once, whatever the objectives do with `answer`.

    Args:
        region_dim: numbers a region has in the store, without box numbers.
        words: size of the word vocabulary, padding and unknown included.
        answers: size of the answer vocabulary.
        settings: the model's own dataclass of settings.

    Attributes:
        Settings: the dataclass of settings, derived from `VqaModelSettings`.
        dim: numbers a prepared region has.
    """

    Settings: ClassVar[type[Any]]

    def __init__(self, region_dim: int, words: int, answers: int, settings: Any) -> None:
        super().__init__(region_dim)
        self.settings = settings
        self.dim = region_dim + (BOX_NUMBERS if settings.boxes else 0)
        self.embedding = nn.Embedding(words, settings.word_dim, padding_idx=0)
        self.word_dropout = nn.Dropout(settings.dropout_words)

    @classmethod
    def provides(cls, settings: Any) -> frozenset[str]:
        """Returns what terms may require of the model with these settings, see `vqa_gs.contracts`."""
        return frozenset()

    def sizes(self) -> dict[str, int]:
        """Returns the widths of the vectors that the model provides, by their name in `ModelOutput`."""
        return {}

    def widths(self) -> dict[str, int]:
        """Returns `sizes`, and the width of a region, which every model has."""
        return {**self.sizes(), "image": self.dim}

    def prepare_regions(self, features: Tensor, boxes: Tensor, sizes: Tensor, mask: Tensor) -> Tensor:
        """Standardises, appends box numbers where asked for, zeroes padding.

        Args:
            features: (batch, regions, region_dim) float32, as the store gives them.
            boxes: (batch, regions, 4) float32, x1, y1, x2, y2 in pixels.
            sizes: (batch, 2) float32, width and height in pixels.
            mask: (batch, regions) bool, which regions are there.

        Returns:
            (batch, regions, dim) float32; dim is region_dim, plus 6 with box numbers.

        Raises:
            ValueError: ``features`` has another dimension than the model was made for.
        """
        if features.ndim != 3 or features.shape[-1] != self.region_dim:
            raise ValueError(f"features must be (batch, regions, {self.region_dim}), got {tuple(features.shape)}")
        if self.settings.standardize:
            features = self.standardized(features)
        if self.settings.boxes:
            features = torch.cat([features, normalized_boxes(boxes, sizes)], dim=-1)
        # Padding is zero in the store's batches already; standardising and box numbers must not bring it to life.
        return features * mask.unsqueeze(-1) if self.settings.standardize or self.settings.boxes else features

    def embed_words(self, tokens: Tensor) -> Tensor:
        """Returns the word vectors (batch, length, word_dim) of ``tokens: (batch, length) int64``."""
        words: Tensor = self.word_dropout(self.embedding(tokens))
        return words

    def encode(self, words: Tensor, mask: Tensor, twice: bool) -> Encoded:
        """Encodes questions.

        Args:
            words: (batch, length, word_dim), zero where there is padding, which stands in front.
            mask: (batch, length) bool, where a word is.
            twice: it has to be differentiable twice by ``words``, in training on any device.

        Returns:
            What `answer` takes: a tensor or a tuple of tensors, with a row an example.
        """
        raise NotImplementedError

    def answer(self, regions: Tensor, mask: Tensor, question: Encoded, trace: bool = False) -> ModelOutput:
        """Answers; twice differentiable by ``regions`` where the model provides the gradient by them.

        Args:
            regions: (batch, regions, dim), as `prepare_regions` returns them.
            mask: (batch, regions) bool.
            question: as `encode` returns it.
            trace: return the attention's trace too; only where the model provides it.
        """
        raise NotImplementedError

    def answer_shared(self, regions: Tensor, mask: Tensor, question: Encoded, sharing: Sharing) -> ModelOutput:
        """Answers n questions about fewer images; needed of models that provide `SHARED_IMAGES` alone.

        Without dropout it says what `answer` says of a copy of each image for each question. What is dropped of an
        image's regions before a question is looked at may be drawn once for all its questions.

        Args:
            regions: (images, regions, dim), as `prepare_regions` returns them.
            mask: (images, regions) bool.
            question: of the n questions, as `encode` returns it.
            sharing: which image each question is about.

        Returns:
            The output, a row a question.
        """
        raise NotImplementedError

    def encode_tokens(self, tokens: Tensor) -> Encoded:
        """Encodes ``tokens: (batch, length) int64``, padding (0) in front; differentiable once."""
        return self.encode(self.embed_words(tokens), tokens != 0, False)

    def forward(
        self,
        features: Tensor,
        boxes: Tensor,
        sizes: Tensor,
        mask: Tensor,
        tokens: Tensor,
        sharing: Sharing | None = None,
    ) -> ModelOutput:
        """Answers from the store's features (batch, regions, region_dim) and tokens (batch, length).

        With ``sharing`` the features are of the images, fewer than the questions.
        """
        return self.answer_encoded(features, boxes, sizes, mask, self.encode_tokens(tokens), sharing)

    def answer_encoded(
        self,
        features: Tensor,
        boxes: Tensor,
        sizes: Tensor,
        mask: Tensor,
        question: Encoded,
        sharing: Sharing | None = None,
    ) -> ModelOutput:
        """Answers as `forward` does, questions that are encoded already."""
        regions = self.prepare_regions(features, boxes, sizes, mask)
        if sharing is None:
            out = self.answer(regions, mask, question)
        else:
            out = self.answer_shared(regions, mask, question, sharing)
        return seeing(out, Seen(regions, mask, sharing))


def seeing(out: ModelOutput, seen: Seen) -> ModelOutput:
    """Returns a model's output that can tell the mean of the regions it saw, for terms that ask at test time."""
    return replace(out, image=seen.mean)


def take(question: Encoded, rows: slice | Tensor) -> Encoded:
    """Returns some rows of encoded questions; ``rows`` may be (n,) int64, on the CPU or on their device."""
    return tuple(part[rows] for part in question) if isinstance(question, tuple) else question[rows]


def join(parts: list[Encoded]) -> Encoded:
    """Puts encoded questions one after the other."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))
    return torch.cat(parts)
