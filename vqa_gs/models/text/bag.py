"""A bag of word embeddings: order does not matter; its encoder's states are the word vectors themselves."""

from __future__ import annotations

from torch import Tensor

from vqa_gs.models.settings.bag import BagSettings
from vqa_gs.models.text import TEXT_MODELS
from vqa_gs.models.text_model import TextModel, TextSettings


@TEXT_MODELS.register("bag")
class Bag(TextModel):
    """Word vectors, pooled by mean or attention (two texts: compared word by word), and a two-layer classifier."""

    Settings = BagSettings

    def make_encoder(self, settings: TextSettings) -> int:
        """There is no encoder."""
        return settings.word_dim

    def encode(self, words: Tensor, mask: Tensor) -> Tensor:
        """Returns the word vectors."""
        return words
