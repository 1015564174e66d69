"""The language prior as a model: it reads the question and never looks at the image."""

from __future__ import annotations

from torch import Tensor

from vqa_gs.contracts import JOINT, QUESTION, SHARED_IMAGES, ModelOutput, Sharing, gradient_by
from vqa_gs.models.recurrent_vqa import RecurrentVqaModel
from vqa_gs.models.settings.question_only import QuestionOnlySettings
from vqa_gs.models.vqa import MODELS


@MODELS.register("question_only")
class QuestionOnly(RecurrentVqaModel):
    """UpDn without its image: GRU question encoder, one layer, two-layer classifier, ``logits = C(g_q(q))``.

    What it scores is what can be had from questions alone: the control of every table about answer priors.
    """

    Settings = QuestionOnlySettings

    def __init__(self, region_dim: int, words: int, answers: int, settings: QuestionOnlySettings) -> None:
        super().__init__(region_dim, words, answers, settings)
        self.question_net = self.layer(settings.hidden, settings.hidden)
        self.classifier = self.make_classifier(answers)

    @classmethod
    def provides(cls, settings: QuestionOnlySettings) -> frozenset[str]:
        """Returns the gradient by the word vectors, and the question; the joint vector is of the question alone."""
        return frozenset({gradient_by("question"), JOINT, QUESTION, SHARED_IMAGES})

    def sizes(self) -> dict[str, int]:
        """Returns the widths of question and joint vector."""
        return {"question": self.settings.hidden, "joint": self.settings.hidden}

    def answer(self, regions: Tensor, mask: Tensor, question: Tensor, trace: bool = False) -> ModelOutput:
        """Answers without the regions."""
        joint = self.question_net(question)
        logits, pick = self.classifier.answers(joint)
        return ModelOutput(logits, question=question, joint=joint, pick=pick)

    def answer_shared(self, regions: Tensor, mask: Tensor, question: Tensor, sharing: Sharing) -> ModelOutput:
        """The same: whoever does not look can share."""
        return self.answer(regions, mask, question)
