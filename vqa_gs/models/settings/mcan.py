"""Settings of MCAN."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.common.errors import UsageError
from vqa_gs.models import MODELS
from vqa_gs.models.shared_settings import VqaModelSettings, check_widths


@MODELS.settings("mcan", "vqa_gs.models.vqa.mcan")
@dataclass(frozen=True)
class McanSettings(VqaModelSettings):
    """Sizes and choices of MCAN, beside those of all models; the defaults are the paper's.

    Attributes:
        hidden: width of words, regions and the LSTM; a multiple of ``heads``.
        layers: layers of the encoder, and of the decoder.
        heads: heads of every attention.
        feed_forward: width of the feed-forward layers, in multiples of ``hidden``.
        dropout: dropout on attention weights, in feed-forward layers, on what they and attention add, and in the
            reduction.
        glimpses: weighted means that the words are reduced to, and the regions.
        reduction: width of the hidden layer that weighs words, and regions.
        joint: width of the fused vector.
        rare_answers: start with every answer at the odds of one among all, see `start_rare`; the paper starts at
            even odds.
    """

    hidden: int = 512
    layers: int = 6
    heads: int = 8
    feed_forward: int = 4
    dropout: float = 0.1
    glimpses: int = 1
    reduction: int = 512
    joint: int = 1024
    rare_answers: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(self, "layers", "heads", "feed_forward", "dropout", "glimpses", "reduction", "joint")
        if self.hidden % self.heads:
            raise UsageError(f"model.hidden must be a multiple of model.heads, not {self.hidden} of {self.heads}")
