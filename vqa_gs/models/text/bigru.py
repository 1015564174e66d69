"""A bidirectional GRU over word embeddings."""

from __future__ import annotations

from torch import Tensor, nn

from vqa_gs.models.layers import recurrence
from vqa_gs.models.settings.bigru import BiGruSettings
from vqa_gs.models.text import TEXT_MODELS
from vqa_gs.models.text_model import TextModel, TextSettings


@TEXT_MODELS.register("bigru")
class BiGru(TextModel):
    """Word vectors, a bidirectional GRU, states pooled by mean or attention, and a two-layer classifier."""

    Settings = BiGruSettings

    def make_encoder(self, settings: TextSettings) -> int:
        """Makes the GRU."""
        assert isinstance(settings, BiGruSettings)
        self.gru = nn.GRU(settings.word_dim, settings.states, batch_first=True, bidirectional=True)
        return 2 * settings.states

    def encode(self, words: Tensor, mask: Tensor) -> Tensor:
        """Returns the states of both directions; padding stands in front, where nothing is pooled."""
        with recurrence(twice=True):
            states, _ = self.gru(words)
        return states
