"""Two looks at an image, the second from where the first one found something; regions counted by gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqa_gs.contracts import ANOTHER_PASS, ATTENTION, JOINT, QUESTION, ModelOutput, gradient_by
from vqa_gs.models.layers import GatedTanh, WeightNormLinear, WeightNormReLU, full_precision, masked_softmax
from vqa_gs.models.recurrent_vqa import RecurrentVqaModel
from vqa_gs.models.settings.stacked_attention import StackedAttentionSettings
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa_model import BOX_NUMBERS

_LEAST_SIDE = 0.01
_MOST_ARE_NOT_COUNTED = -2.0


class Look(nn.Module):
    """Scores of regions, ``w . (f(v_k) * g(q)) + b``, from what ``f`` saw.

    Args:
        layer: the kind of ``g``.
        hidden: its width.
    """

    def __init__(self, layer: type[WeightNormReLU | GatedTanh], hidden: int) -> None:
        super().__init__()
        self.question = layer(hidden, hidden)
        self.score = WeightNormLinear(hidden, 1)

    def forward(self, seen: Tensor, question: Tensor) -> Tensor:
        """Returns (batch, regions) of ``seen: (batch, regions, hidden)`` and ``question: (batch, hidden)``."""
        signal = self.question(question) * self.score.weight()
        return torch.bmm(seen, signal.unsqueeze(2)).squeeze(2) + self.score.bias


@MODELS.register("stacked_attention")
class StackedAttention(RecurrentVqaModel):
    """Stacked attention over regions, for questions about what stands in a relation to something named.

    The first look finds what the question names, as UpDn does: ``a = softmax_k(w1 . (f(v_k) * f1(q)))``. The second
    looks from there (stacked attention: Yang et al., CVPR 2016): where region k lies from the attended box,
    ``g_k`` (offsets in its widths and heights, logarithms of the ratios of sides, as detectors encode a box),
    adds to its score: ``b = softmax_k(w2 . (f(v_k) * f2(q)) + u(q) . tanh(U g_k))``. The answer is read from the
    second alone: ``logits = C(g_q(q) * g_v(sum_k b_k v_k))``. Where what is named is seen too, its prior answers.

    With ``gates`` a third score passes a sigmoid, so that n regions that fit count n where a softmax would take their
    mean (Zhang et al., ICLR 2018); the sum and its nearness to 0, 1, 2... add to the logits, as far as the question
    asks for it.
    """

    Settings = StackedAttentionSettings
    settings: StackedAttentionSettings

    def __init__(self, region_dim: int, words: int, answers: int, settings: StackedAttentionSettings) -> None:
        super().__init__(region_dim, words, answers, settings)
        hidden, dim, layer = settings.hidden, self.dim, self.layer
        self.attention_regions = layer(dim, hidden)
        self.attention_dropout = nn.Dropout(settings.dropout_attention)
        self.first, self.second = Look(layer, hidden), Look(layer, hidden)
        if settings.boxes:
            self.offset_net = nn.Linear(4, settings.geometry)
            self.offset_question = nn.Linear(hidden, settings.geometry)
        self.question_net = layer(hidden, hidden)
        self.region_net = layer(dim, hidden)
        self.classifier = self.make_classifier(answers)
        if settings.gates:
            self.gate = Look(layer, hidden)
            nn.init.constant_(self.gate.score.bias, _MOST_ARE_NOT_COUNTED)
            self.count_question = nn.Linear(hidden, 1)
            self.count_net = nn.Linear(settings.counts + 2, answers, bias=False)

    @classmethod
    def provides(cls, settings: StackedAttentionSettings) -> frozenset[str]:
        """Returns all but the trace of a closed form, and shared images."""
        inputs = {gradient_by(name) for name in ("regions", "attended", "question")}
        return frozenset(inputs | {JOINT, QUESTION, ATTENTION, ANOTHER_PASS})

    def sizes(self) -> dict[str, int]:
        """Returns the widths of question, joint and attended vector."""
        return {"question": self.settings.hidden, "joint": self.settings.hidden, "attended": self.dim}

    def answer(self, regions: Tensor, mask: Tensor, question: Tensor, trace: bool = False) -> ModelOutput:
        """Both looks, joint vector, answers; twice differentiable by ``regions``.

        The attention that is told, and the attended vector, are those of the second look.
        """
        seen = self.attention_dropout(self.attention_regions(regions))
        found = pooled(masked_softmax(self.first(seen, question), mask), regions)
        second = self.second(seen, question)
        if self.settings.boxes:
            lie = torch.tanh(self.offset_net(offsets(regions[..., -BOX_NUMBERS:], found[:, -BOX_NUMBERS:])))
            second = second + torch.bmm(lie, self.offset_question(question).unsqueeze(2)).squeeze(2)
        attention = masked_softmax(second, mask)
        attended = pooled(attention, regions)
        joint = self.question_net(question) * self.region_net(attended)
        logits, pick = self.classifier.answers(joint)
        if not self.settings.gates:
            return ModelOutput(logits, attention, attended, question, joint, pick)
        count = (torch.sigmoid(full_precision(self.gate(seen, question))) * mask).sum(1, keepdim=True)
        steps = torch.arange(self.settings.counts + 1, device=count.device, dtype=count.dtype)
        counted = torch.cat([count, torch.softmax(-((count - steps) ** 2), 1)], 1)
        logits = logits + full_precision(torch.sigmoid(self.count_question(question)) * self.count_net(counted))
        return ModelOutput(logits, attention, attended, question, joint)


def pooled(weights: Tensor, regions: Tensor) -> Tensor:
    """Returns the weighted sum (batch, dim) of ``regions: (batch, regions, dim)``, ``weights: (batch, regions)``."""
    return torch.bmm(weights.unsqueeze(1).to(regions.dtype), regions).squeeze(1)


def offsets(boxes: Tensor, anchor: Tensor) -> Tensor:
    """Returns where boxes lie from another, as detectors encode it (Girshick et al., CVPR 2014).

    Args:
        boxes: (batch, regions, 6), x1, y1, x2, y2, width, height, each as a share of the image's sides.
        anchor: (batch, 6), the same of one box an example.

    Returns:
        (batch, regions, 4): the centres' distances in the anchor's widths and heights, logarithms of the sides' ratios.
    """
    anchor = anchor.unsqueeze(1)
    sides, base = boxes[..., 4:].clamp_min(_LEAST_SIDE), anchor[..., 4:].clamp_min(_LEAST_SIDE)
    centres = boxes[..., :2] + boxes[..., 2:4] - anchor[..., :2] - anchor[..., 2:4]
    return torch.cat([centres / (2 * base), torch.log(sides / base)], -1)
