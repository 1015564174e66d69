"""The bottom-up, top-down attention model of Anderson et al. (CVPR 2018) in its usual VQA form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from vqa_gs.contracts import (
    ANOTHER_PASS,
    ATTENTION,
    JOINT,
    QUESTION,
    TRACE,
    AttentionTrace,
    ModelOutput,
    gradient_by,
)
from vqa_gs.models.gru import last_state
from vqa_gs.models.layers import GatedTanh, WeightNormLinear, WeightNormReLU, masked_softmax, relu_slope, start_rare
from vqa_gs.models.regions_and_words import check_widths
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa_model import VqaModel, VqaModelSettings


@dataclass(frozen=True)
class UpDnSettings(VqaModelSettings):
    """Sizes and choices of the UpDn model, beside those of all models.

    Attributes:
        activation: ``relu`` (weight-normed, the public code) or ``gated_tanh`` (the paper).
        dropout_attention: dropout on the attention's joint vector.
        dropout_classifier: dropout inside the classifier.
        rare_answers: start with every answer at the odds of one among all, see `start_rare`, instead of at even odds as
            in the public code. On a few thousand questions more is learnt in as many steps.
    """

    activation: Literal["relu", "gated_tanh"] = "relu"
    dropout_attention: float = 0.2
    dropout_classifier: float = 0.5
    rare_answers: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(self, "dropout_attention", "dropout_classifier")


@MODELS.register("updn")
class UpDn(VqaModel):
    """GRU question encoder, one glimpse of product attention, elementwise product, two-layer classifier.

    With regions v_k and question q: ``a = softmax_k(w . (f_v(v_k) * f_q(q)))``, ``v = sum_k a_k v_k``,
    ``logits = C(g_q(q) * g_v(v))``; the answers are scored independently (sigmoid outputs).
    """

    Settings = UpDnSettings
    settings: UpDnSettings

    def __init__(self, region_dim: int, words: int, answers: int, settings: UpDnSettings) -> None:
        super().__init__(region_dim, words, answers, settings)
        hidden, dim = settings.hidden, self.dim
        layer = WeightNormReLU if settings.activation == "relu" else GatedTanh
        self.gru = nn.GRU(settings.word_dim, hidden, batch_first=True)

        self.attention_regions: WeightNormReLU | GatedTanh = layer(dim, hidden)
        self.attention_question = layer(hidden, hidden)
        self.attention_dropout = nn.Dropout(settings.dropout_attention)
        self.attention_score = WeightNormLinear(hidden, 1)

        self.question_net = layer(hidden, hidden)
        self.region_net = layer(dim, hidden)
        last = WeightNormLinear(2 * hidden, answers)
        if settings.rare_answers:
            start_rare(last.bias)
        self.classifier = nn.Sequential(
            layer(hidden, 2 * hidden),
            nn.Dropout(settings.dropout_classifier),
            last,
        )

    @classmethod
    def provides(cls, settings: UpDnSettings) -> frozenset[str]:
        """Returns all there is; the trace of the closed form with ReLU alone."""
        inputs = {gradient_by(name) for name in ("regions", "attended", "question")}
        trace = {TRACE} if settings.activation == "relu" else set()
        return frozenset(inputs | trace | {JOINT, QUESTION, ATTENTION, ANOTHER_PASS})

    def sizes(self) -> dict[str, int]:
        """Returns the widths of question, joint and attended vector."""
        return {"question": self.settings.hidden, "joint": self.settings.hidden, "attended": self.dim}

    def encode(self, words: Tensor, mask: Tensor, twice: bool) -> Tensor:
        """Returns the GRU's last state (batch, hidden); padding stands in front, so the last step is a word."""
        if words.device.type == "cpu" and not twice:
            begun = mask.cumsum(1) > 0
            return last_state(self.gru, words, (~begun).sum(1))
        # cuDNN's recurrent networks have no second derivative; torch's own have.
        with torch.backends.cudnn.flags(enabled=not twice):
            _, last = self.gru(words)
        return last.squeeze(0)

    def answer(self, regions: Tensor, mask: Tensor, question: Tensor, trace: bool = False) -> ModelOutput:
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
        joint = self.question_net(question) * self.region_net(attended)
        hidden = dropout(hidden_layer(joint))
        logits = last(hidden)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return ModelOutput(
            logits,
            attention,
            attended,
            question,
            joint,
            partial(last.pick, hidden),
            traced and AttentionTrace(*traced, attention),
        )
