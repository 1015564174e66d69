"""Word vectors through one convolution: a state is a few learned features of a word and its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqa_gs.models.settings.convolved import ConvolvedSettings
from vqa_gs.models.text import TEXT_MODELS
from vqa_gs.models.text_model import TextModel, TextSettings


@TEXT_MODELS.register("convolved")
class Convolved(TextModel):
    """States ``tanh(sum_j W_j e_(k+j) + b)``, pooled by mean or attention, and a two-layer classifier.

    It tells ``not good`` from ``good``, at a small part of what a recurrent network costs.
    """

    Settings = ConvolvedSettings

    def make_encoder(self, settings: TextSettings) -> int:
        """Makes the convolution."""
        assert isinstance(settings, ConvolvedSettings)
        self.reach = settings.width // 2
        self.convolution = nn.Linear(settings.width * settings.word_dim, settings.states)
        return settings.states

    def encode(self, words: Tensor, mask: Tensor) -> Tensor:
        """Returns the states; beyond a text's ends, and where there is padding, there are zeros."""
        there = nn.functional.pad(words * mask.unsqueeze(2), (0, 0, self.reach, self.reach))
        # The neighbours side by side: a product of matrices has cheaper second derivatives than a convolution.
        windows = there.unfold(1, 2 * self.reach + 1, 1).transpose(2, 3).flatten(2)
        return torch.tanh(self.convolution(windows))
