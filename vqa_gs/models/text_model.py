"""A network over one text or two: word vectors, an encoder, a pooled vector, a classifier, callable apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vqa_gs.contracts import JOINT, gradient_by
from vqa_gs.models.layers import full_precision, tanh_classifier
from vqa_gs.models.pooling import Comparison, Pooling
from vqa_gs.models.regions_and_words import WordVectors
from vqa_gs.models.shared_settings import TextSettings


class TextModel(WordVectors):
    """A classifier of texts in parts that can be called apart, each twice differentiable by its input.

    Of two texts (premise and hypothesis) the words of the one stand before those of the other, padding between.

    Args:
        words: size of the word vocabulary, padding and unknown included.
        answers: number of labels.
        texts: one, or two.
        settings: the model's own dataclass of settings.
    """

    Settings: type[Any]
    # As small as GloVe's own: a word that never occurs in training stays out of the way.
    unknown_scale = 0.1

    def __init__(self, words: int, answers: int, texts: int, settings: TextSettings) -> None:
        super().__init__()
        self.settings, self.texts = settings, texts
        self.embedding = nn.Embedding(words, settings.word_dim, padding_idx=0)
        self.embedding.weight.requires_grad_(settings.words == "tuned")
        size = self.make_encoder(settings)
        hidden = settings.hidden
        attends = settings.pooling == "attention"
        self.pooling = (Pooling if texts == 1 else Comparison)(size, hidden, attends)
        self.classifier = tanh_classifier(self.pooling.size, hidden, answers, settings.dropout_classifier)

    def make_encoder(self, settings: TextSettings) -> int:
        """Makes the encoder's layers and returns the size of the states it gives."""
        raise NotImplementedError

    @classmethod
    def provides(cls, settings: Any) -> frozenset[str]:
        """Returns what terms may require of the model, see `vqa_gs.contracts`."""
        return frozenset({JOINT, *map(gradient_by, ("words", "encoded", "pooled"))})

    def sizes(self) -> dict[str, int]:
        """Returns the width of the pooled vector, which is the joint one."""
        return {"joint": self.pooling.size}

    def embed(self, tokens: Tensor) -> Tensor:
        """Returns the word vectors (batch, length, word_dim) of ``tokens: (batch, length) int64``."""
        words: Tensor = self.embedding(tokens)
        return words

    def drop_words(self, words: Tensor) -> Tensor:
        """Leaves words out in training, as a whole: ``words: (batch, length, word_dim)``."""
        rate = self.settings.dropout_words
        if not self.training or not rate:
            return words
        return words * ((torch.rand(words.shape[:2], device=words.device) >= rate) / (1 - rate)).unsqueeze(2)

    def encode(self, words: Tensor, mask: Tensor) -> Tensor:
        """Returns the states (batch, length, size) of one text's word vectors; ``mask: (batch, length)``, what is."""
        raise NotImplementedError

    def encode_all(self, words: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        """Returns the states of all texts' words, (batch, total length, size), each text read by itself.

        Dropout comes after the word vectors: were it before, a word left out at one end of a pair would look like an
        edit, and there are far more of those than of real ones.
        """
        parts = self.drop_words(words).split([mask.shape[1] for mask in masks], dim=1)
        return torch.cat([self.encode(part, mask) for part, mask in zip(parts, masks, strict=True)], dim=1)

    def pool(self, states: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        """Returns the pooled vector (batch, size) of all texts' states."""
        parts = states.split([mask.shape[1] for mask in masks], dim=1)
        return self.pooling(parts, masks)

    def classify(self, pooled: Tensor) -> Tensor:
        """Returns logits (batch, answers), float32 or better, one independent logit a label."""
        return full_precision(self.classifier(pooled))

    def forward(self, tokens: tuple[Tensor, ...]) -> Tensor:
        """Returns logits (batch, answers) of texts, each ``(batch, length) int64``, padding (0) in front."""
        masks = tuple(part != 0 for part in tokens)
        words = self.embed(torch.cat(tokens, dim=1))
        return self.classify(self.pool(self.encode_all(words, masks), masks))
