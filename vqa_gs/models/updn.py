"""The bottom-up, top-down attention model of Anderson et al. (CVPR 2018) in its usual VQA form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from vqa_gs.common.errors import UsageError
from vqa_gs.features.geometry import normalized_boxes
from vqa_gs.models._base import MODELS, AttentionTrace, HeadOutput, RegionModel
from vqa_gs.models._gru import last_state
from vqa_gs.models._layers import GatedTanh, WeightNormLinear, WeightNormReLU, masked_softmax, relu_slope

BOX_NUMBERS = 6


@dataclass(frozen=True)
class UpDnSettings:
    """Sizes and choices of the UpDn model.

    Attributes:
        hidden: width of the question vector and of every hidden layer.
        word_dim: numbers a word vector has; with pretrained vectors it must be theirs.
        activation: ``relu`` (weight-normed, the public code) or ``gated_tanh`` (the paper).
        boxes: append the six normalised box numbers to a region; questions about position need them.
        standardize: bring every feature dimension to mean 0 and deviation 1 over the training regions.
        dropout_words: dropout on word vectors.
        dropout_attention: dropout on the attention's joint vector.
        dropout_classifier: dropout inside the classifier.
        rare_answers: start with every answer at the odds of one among all, a bias of ``-log(answers - 1)`` (Lin et al.,
            ICCV 2017, section 4.1), instead of at even odds as in the public code. The first steps then need not
            push all answers down; on a few thousand questions more is learnt in as many steps.
    """

    hidden: int = 1024
    word_dim: int = 300
    activation: Literal["relu", "gated_tanh"] = "relu"
    boxes: bool = False
    standardize: bool = False
    dropout_words: float = 0.0
    dropout_attention: float = 0.2
    dropout_classifier: float = 0.5
    rare_answers: bool = True

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.word_dim < 1:
            raise UsageError(f"model.hidden and model.word_dim must be positive, not {self.hidden}, {self.word_dim}")
        for name in ("dropout_words", "dropout_attention", "dropout_classifier"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"model.{name} must be in [0, 1), not {getattr(self, name)}")


@MODELS.register("updn")
class UpDn(RegionModel):
    """GRU question encoder, one glimpse of product attention, elementwise product, two-layer classifier.

    With regions v_k and question q: ``a = softmax_k(w . (f_v(v_k) * f_q(q)))``, ``v = sum_k a_k v_k``,
    ``logits = C(g_q(q) * g_v(v))``; the answers are scored independently (sigmoid outputs).
    """

    Settings = UpDnSettings
    settings: UpDnSettings
    mean: Tensor
    inverse_std: Tensor

    def __init__(self, region_dim: int, words: int, answers: int, settings: UpDnSettings) -> None:
        super().__init__(region_dim, words, answers, settings)
        hidden = settings.hidden
        layer = WeightNormReLU if settings.activation == "relu" else GatedTanh
        dim = region_dim + (BOX_NUMBERS if settings.boxes else 0)
        self.dim = dim

        self.register_buffer("mean", torch.zeros(region_dim))
        self.register_buffer("inverse_std", torch.ones(region_dim))

        self.embedding = nn.Embedding(words, settings.word_dim, padding_idx=0)
        self.word_dropout = nn.Dropout(settings.dropout_words)
        self.gru = nn.GRU(settings.word_dim, hidden, batch_first=True)

        self.attention_regions: WeightNormReLU | GatedTanh = layer(dim, hidden)
        self.attention_question = layer(hidden, hidden)
        self.attention_dropout = nn.Dropout(settings.dropout_attention)
        self.attention_score = WeightNormLinear(hidden, 1)

        self.question_net = layer(hidden, hidden)
        self.region_net = layer(dim, hidden)
        last = WeightNormLinear(2 * hidden, answers)
        if settings.rare_answers and answers > 1:
            nn.init.constant_(last.bias, -math.log(answers - 1))
        self.classifier = nn.Sequential(
            layer(hidden, 2 * hidden),
            nn.Dropout(settings.dropout_classifier),
            last,
        )

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
            features = (features - self.mean) * self.inverse_std
        if self.settings.boxes:
            features = torch.cat([features, normalized_boxes(boxes, sizes)], dim=-1)
        # Padding is zero in the store's batches already; standardising and box numbers must not bring it to life.
        return features * mask.unsqueeze(-1) if self.settings.standardize or self.settings.boxes else features

    def fit_regions(self, mean: Tensor, std: Tensor) -> None:
        """Takes the training regions' mean and deviation; dimensions that never vary are only centred."""
        self.mean.copy_(mean)
        self.inverse_std.copy_(torch.where(std > 1e-6, 1 / std.clamp_min(1e-6), torch.ones_like(std)))

    @torch.no_grad()
    def load_word_vectors(self, vectors: Tensor, found: Tensor) -> None:
        """Overwrites the rows of the embedding that ``found`` marks; the padding row stays zero."""
        if vectors.shape != self.embedding.weight.shape:
            raise UsageError(
                f"the word vectors are {tuple(vectors.shape)}, the model has {tuple(self.embedding.weight.shape)}",
                mend=f"set model.word_dim to {vectors.shape[-1]}",
            )
        found = found.clone()
        found[0] = False
        self.embedding.weight[found] = vectors[found]

    def embed_words(self, tokens: Tensor) -> Tensor:
        """Returns the word vectors (batch, length, word_dim) of ``tokens: (batch, length) int64``."""
        return self.word_dropout(self.embedding(tokens))

    def encode_words(self, words: Tensor) -> Tensor:
        """Returns the GRU's last state (batch, hidden); padding stands in front, so the last step is a word."""
        _, last = self.gru(words)
        return last.squeeze(0)

    def encode_question(self, tokens: Tensor) -> Tensor:
        """Returns the question vector (batch, hidden) of ``tokens: (batch, length) int64``."""
        words = self.embed_words(tokens)
        if words.device.type != "cpu":
            return self.encode_words(words)
        begun = (tokens != 0).cumsum(1) > 0
        return last_state(self.gru, words, (~begun).sum(1))

    def no_closed_form(self) -> str | None:
        """Says why the closed form of the gradient by the regions does not hold; None where it does."""
        return None if self.settings.activation == "relu" else "it is derived for the activation relu, not gated_tanh"

    def head(self, regions: Tensor, mask: Tensor, question: Tensor, trace: bool = False) -> HeadOutput:
        """Attention over the regions, joint vector, answers; twice differentiable by ``regions``."""
        if torch.is_autocast_enabled(regions.device.type):
            # Autocast would make a copy for each product.
            regions = regions.to(torch.get_autocast_dtype(regions.device.type))
        # w . (f_v(v) * f_q(q)) as f_v(v) . (w * f_q(q)): the same number without a tensor of (batch, regions, hidden).
        signal = self.attention_question(question) * self.attention_score.weight()
        layer, traced = self.attention_regions, None
        if isinstance(layer, WeightNormReLU):
            z = layer.linear(regions)
            slope, factor = relu_slope(z, self.attention_dropout.p if self.training else 0.0)
            signal = signal * factor
            dropped = z * slope
            if trace:
                traced = z, slope, signal, layer.linear.weight(), layer.linear.bias
        else:
            dropped = self.attention_dropout(layer(regions))
        # The vector comes first: on the CPU this product and its gradients run several times faster so.
        scores = torch.bmm(signal.to(dropped.dtype).unsqueeze(1), dropped.transpose(1, 2)).squeeze(1)
        attention = masked_softmax(scores + self.attention_score.bias, mask)
        attended = torch.bmm(attention.to(regions.dtype).unsqueeze(1), regions).squeeze(1)
        hidden_layer, dropout, last = self.classifier
        assert isinstance(last, WeightNormLinear)
        hidden = dropout(hidden_layer(self.question_net(question) * self.region_net(attended)))
        logits = last(hidden)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return HeadOutput(
            logits,
            attention,
            attended,
            partial(last.pick, hidden),
            traced and AttentionTrace(*traced, attention),
        )
