"""The modular co-attention network of Yu et al. (CVPR 2019), in its encoder-decoder form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqa_gs.contracts import ANOTHER_PASS, ATTENTION, JOINT, QUESTION, ModelOutput, gradient_by
from vqa_gs.models.layers import full_precision, masked_softmax, recurrence, start_rare
from vqa_gs.models.settings.mcan import McanSettings
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa_model import VqaModel


class Attention(nn.Module):
    """Multi-head attention by products and a softmax, which can be differentiated as often as one likes.

    Args:
        settings: of the model.
    """

    def __init__(self, settings: McanSettings) -> None:
        super().__init__()
        hidden = settings.hidden
        self.heads, self.scale = settings.heads, (hidden // settings.heads) ** -0.5
        self.query, self.key_value = nn.Linear(hidden, hidden), nn.Linear(hidden, 2 * hidden)
        self.dropout, self.merge = nn.Dropout(settings.dropout), nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Attends from ``x: (batch, n, hidden)`` to ``source: (batch, m, hidden)`` where ``mask: (batch, m)`` is True.

        With nothing to attend to, the values' mean is zero.
        """
        query = self._split(self.query(x) * self.scale)
        key, value = map(self._split, self.key_value(source).chunk(2, dim=2))
        weights = masked_softmax(query @ key.transpose(2, 3), mask[:, None, None])
        found = self.dropout(weights.to(value.dtype)) @ value
        merged: Tensor = self.merge(found.transpose(1, 2).flatten(2))
        return merged

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Added(nn.Module):
    """``LayerNorm(x + dropout(f(x, ...)))`` of some layer f.

    Args:
        layer: f.
        settings: of the model.
    """

    def __init__(self, layer: nn.Module, settings: McanSettings) -> None:
        super().__init__()
        self.layer, self.dropout, self.norm = layer, nn.Dropout(settings.dropout), nn.LayerNorm(settings.hidden)

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        """Maps ``x: (batch, n, hidden)`` to the same shape."""
        normed: Tensor = self.norm(x + self.dropout(self.layer(x, *more)))
        return normed


def feed_forward(settings: McanSettings) -> nn.Sequential:
    """Makes the two layers that each word or region goes through by itself."""
    wide = settings.feed_forward * settings.hidden
    return nn.Sequential(
        nn.Linear(settings.hidden, wide), nn.ReLU(), nn.Dropout(settings.dropout), nn.Linear(wide, settings.hidden)
    )


class SelfAttention(nn.Module):
    """The paper's SA unit.

    Args:
        settings: of the model.
    """

    def __init__(self, settings: McanSettings) -> None:
        super().__init__()
        self.attend, self.think = Added(Attention(settings), settings), Added(feed_forward(settings), settings)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Relates ``x: (batch, n, hidden)`` to each other, where ``mask: (batch, n)`` is True."""
        related: Tensor = self.think(self.attend(x, x, mask))
        return related


class GuidedAttention(nn.Module):
    """The paper's SGA unit: regions attend to each other, then to words.

    Args:
        settings: of the model.
    """

    def __init__(self, settings: McanSettings) -> None:
        super().__init__()
        self.attend, self.ask = Added(Attention(settings), settings), Added(Attention(settings), settings)
        self.think = Added(feed_forward(settings), settings)

    def forward(self, y: Tensor, mask: Tensor, words: Tensor, words_mask: Tensor) -> Tensor:
        """Maps ``y: (batch, regions, hidden)``, guided by ``words: (batch, length, hidden)``."""
        guided: Tensor = self.think(self.ask(self.attend(y, y, mask), words, words_mask))
        return guided


class Reduction(nn.Module):
    """Attentional reduction: weighted means, a glimpse each, of words or of regions.

    Args:
        settings: of the model.
    """

    def __init__(self, settings: McanSettings) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(settings.hidden, settings.reduction),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.reduction, settings.glimpses),
        )

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Reduces ``x: (batch, n, hidden)`` to (batch, glimpses * hidden), by weights (batch, glimpses, n)."""
        weights = masked_softmax(self.score(x).transpose(1, 2), mask.unsqueeze(1))
        return torch.bmm(weights.to(x.dtype), x).flatten(1), weights


@MODELS.register("mcan")
class Mcan(VqaModel):
    """LSTM and self-attention over words, self- and guided attention over regions, both reduced, summed, classified.

    With x of the words and y of the regions after their L layers: ``z = LayerNorm(W_x r_x(x) + W_y r_y(y))``,
    ``logits = W z + b``; the answers are scored independently (sigmoid outputs). The attention over regions is that
    of the reduction r_y, averaged over glimpses; the attended vector is its result.
    """

    Settings = McanSettings
    settings: McanSettings

    def __init__(self, region_dim: int, words: int, answers: int, settings: McanSettings) -> None:
        super().__init__(region_dim, words, answers, settings)
        hidden = settings.hidden
        self.lstm = nn.LSTM(settings.word_dim, hidden, batch_first=True)
        self.see = nn.Linear(self.dim, hidden)
        self.encoder = nn.ModuleList(SelfAttention(settings) for _ in range(settings.layers))
        self.decoder = nn.ModuleList(GuidedAttention(settings) for _ in range(settings.layers))
        self.reduce_words, self.reduce_regions = Reduction(settings), Reduction(settings)
        self.words_net = nn.Linear(settings.glimpses * hidden, settings.joint)
        self.regions_net = nn.Linear(settings.glimpses * hidden, settings.joint)
        self.norm = nn.LayerNorm(settings.joint)
        self.classifier = nn.Linear(settings.joint, answers)
        if settings.rare_answers:
            start_rare(self.classifier.bias)

    @classmethod
    def provides(cls, settings: McanSettings) -> frozenset[str]:
        """Returns all there is but the trace: many layers have no closed form."""
        inputs = {gradient_by(name) for name in ("regions", "attended", "question")}
        return frozenset(inputs | {JOINT, QUESTION, ATTENTION, ANOTHER_PASS})

    def sizes(self) -> dict[str, int]:
        """Returns the widths of question, joint and attended vector."""
        reduced = self.settings.glimpses * self.settings.hidden
        return {"question": reduced, "joint": self.settings.joint, "attended": reduced}

    def encode(self, words: Tensor, mask: Tensor, twice: bool) -> tuple[Tensor, Tensor]:
        """Returns the words after the encoder, (batch, length, hidden), padding now behind them, and their mask."""
        # Padding goes behind the words: the LSTM then begins with the first word, however much padding there is.
        first = (mask.cumsum(1) == 0).sum(1, keepdim=True)
        order = (torch.arange(mask.shape[1], device=mask.device) + first) % mask.shape[1]
        words = words.gather(1, order.unsqueeze(2).expand_as(words))
        # Not every CPU has oneDNN's LSTM in bfloat16.
        with recurrence(twice), torch.autocast(words.device.type, enabled=False):
            x, _ = self.lstm(full_precision(words))
        mask = mask.gather(1, order)
        for layer in self.encoder:
            x = layer(x, mask)
        return x, mask

    def answer(
        self, regions: Tensor, mask: Tensor, question: tuple[Tensor, Tensor], trace: bool = False
    ) -> ModelOutput:
        """Decoder over the regions, reductions, joint vector, answers; twice differentiable by all of them."""
        words, words_mask = question
        y = self.see(regions)
        for layer in self.decoder:
            y = layer(y, mask, words, words_mask)
        asked, _ = self.reduce_words(words, words_mask)
        attended, weights = self.reduce_regions(y, mask)
        joint = self.norm(self.words_net(asked) + self.regions_net(attended))
        return ModelOutput(full_precision(self.classifier(joint)), weights.mean(1), attended, asked, joint)
