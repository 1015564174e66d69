"""The bottom-up, top-down attention model of Anderson et al. (CVPR 2018) in its usual VQA form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqa_gs.contracts import (
    ANOTHER_PASS,
    ATTENTION,
    JOINT,
    QUESTION,
    SHARED_IMAGES,
    TRACE,
    AttentionTrace,
    ModelOutput,
    Sharing,
    gradient_by,
)
from vqa_gs.models.layers import WeightNormLinear, WeightNormReLU, masked_softmax, relu_slope
from vqa_gs.models.recurrent_vqa import RecurrentVqaModel
from vqa_gs.models.settings.updn import UpDnSettings
from vqa_gs.models.vqa import MODELS


@MODELS.register("updn")
class UpDn(RecurrentVqaModel):
    """GRU question encoder, one glimpse of product attention, elementwise product, two-layer classifier.

    With regions v_k and question q: ``a = softmax_k(w . (f_v(v_k) * f_q(q)))``, ``v = sum_k a_k v_k``,
    ``logits = C(g_q(q) * g_v(v))``; the answers are scored independently (sigmoid outputs).
    """

    Settings = UpDnSettings
    settings: UpDnSettings

    def __init__(self, region_dim: int, words: int, answers: int, settings: UpDnSettings) -> None:
        super().__init__(region_dim, words, answers, settings)
        hidden, dim = settings.hidden, self.dim
        layer = self.layer

        self.attention_regions = layer(dim, hidden)
        self.attention_question = layer(hidden, hidden)
        self.attention_dropout = nn.Dropout(settings.dropout_attention)
        self.attention_score = WeightNormLinear(hidden, 1)

        self.question_net = layer(hidden, hidden)
        self.region_net = layer(dim, hidden)
        self.classifier = self.make_classifier(answers)

    @classmethod
    def provides(cls, settings: UpDnSettings) -> frozenset[str]:
        """Returns all there is; the trace of the closed form with ReLU alone."""
        inputs = {gradient_by(name) for name in ("regions", "attended", "question")}
        trace = {TRACE} if settings.activation == "relu" else set()
        return frozenset(inputs | trace | {JOINT, QUESTION, ATTENTION, ANOTHER_PASS, SHARED_IMAGES})

    def sizes(self) -> dict[str, int]:
        """Returns the widths of question, joint and attended vector."""
        return {"question": self.settings.hidden, "joint": self.settings.hidden, "attended": self.dim}

    def answer(self, regions: Tensor, mask: Tensor, question: Tensor, trace: bool = False) -> ModelOutput:
        """Attention over the regions, joint vector, answers; twice differentiable by ``regions``."""
        return self._answer(regions, mask, question, trace)

    def answer_shared(self, regions: Tensor, mask: Tensor, question: Tensor, sharing: Sharing) -> ModelOutput:
        """The same of questions that share images: these are projected once.

        Dropout on the attention's joint vector is drawn once an image: what is dropped of a region is hidden from all
        of its questions. The classifier's is drawn for each question.
        """
        return self._answer(regions, mask, question, sharing=sharing)

    def _answer(
        self, regions: Tensor, mask: Tensor, question: Tensor, trace: bool = False, sharing: Sharing | None = None
    ) -> ModelOutput:
        if torch.is_autocast_enabled(regions.device.type):
            # Autocast would make a copy for each product.
            regions = regions.to(torch.get_autocast_dtype(regions.device.type))
        # w . (f_v(v) * f_q(q)) as f_v(v) . (w * f_q(q)): the same number without a tensor of (batch, regions, hidden).
        signal = self.attention_question(question) * self.attention_score.weight()
        layer, traced = self.attention_regions, None
        if isinstance(layer, WeightNormReLU):
            z = layer.linear(regions)
            if torch.is_grad_enabled() or self.training:
                slope, factor = relu_slope(z, self.attention_dropout.p if self.training else 0.0)
                signal = signal * factor
                dropped = z * slope
                if trace:
                    traced = z, slope, signal, layer.linear.weight(), layer.linear.bias
            else:
                dropped = torch.relu_(z)  # the same in one pass over what is large
        else:
            dropped = self.attention_dropout(layer(regions))
        # The vector comes first: on the CPU this product and its gradients run several times faster so.
        signals = signal.to(dropped.dtype)
        signals = signals.unsqueeze(1) if sharing is None else sharing.spread(signals)  # (images, questions, hidden)
        scores = torch.bmm(signals, dropped.transpose(1, 2))
        weights = masked_softmax(scores + self.attention_score.bias, mask.unsqueeze(1))
        pooled = torch.bmm(weights.to(regions.dtype), regions)
        if sharing is None:
            attention, attended = weights.squeeze(1), pooled.squeeze(1)
        else:
            attention, attended = sharing.collect(weights), sharing.collect(pooled)
        joint = self.question_net(question) * self.region_net(attended)
        logits, pick = self.classifier.answers(joint)
        traced_attention = traced and AttentionTrace(*traced, attention)
        return ModelOutput(logits, attention, attended, question, joint, pick, traced_attention)
