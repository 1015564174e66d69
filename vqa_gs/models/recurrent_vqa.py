"""What models share that read a question by a GRU and choose among answers by a two-layer classifier."""

from __future__ import annotations

from torch import Tensor, nn

from vqa_gs.models.gru import last_state
from vqa_gs.models.layers import Classifier, GatedTanh, WeightNormReLU, recurrence
from vqa_gs.models.shared_settings import RecurrentSettings
from vqa_gs.models.vqa_model import VqaModel


class RecurrentVqaModel(VqaModel):
    """A network that encodes a question as the last state of a GRU.

    Attributes:
        layer: the kind of its hidden layers.
    """

    settings: RecurrentSettings

    def __init__(self, region_dim: int, words: int, answers: int, settings: RecurrentSettings) -> None:
        super().__init__(region_dim, words, answers, settings)
        self.layer: type[WeightNormReLU | GatedTanh] = WeightNormReLU if settings.activation == "relu" else GatedTanh
        self.gru = nn.GRU(settings.word_dim, settings.hidden, batch_first=True)

    def make_classifier(self, answers: int) -> Classifier:
        """Makes the classifier of joint vectors as wide as ``settings.hidden``."""
        settings = self.settings
        return Classifier(self.layer, settings.hidden, answers, settings.dropout_classifier, settings.rare_answers)

    def encode(self, words: Tensor, mask: Tensor, twice: bool) -> Tensor:
        """Returns the GRU's last state (batch, hidden); padding stands in front, so the last step is a word."""
        if words.device.type == "cpu" and not twice:
            return last_state(self.gru, words, (mask.cumsum(1) == 0).sum(1))
        with recurrence(twice):
            _, last = self.gru(words)
        return last.squeeze(0)
