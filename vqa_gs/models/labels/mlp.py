"""A two-layer head over the pooled regions."""

from __future__ import annotations

from torch import nn

from vqa_gs.models.label_model import LabelModel
from vqa_gs.models.labels import LABEL_MODELS
from vqa_gs.models.layers import tanh_classifier
from vqa_gs.models.settings.mlp import MlpSettings


@LABEL_MODELS.register("mlp")
class Mlp(LabelModel):
    """Pooled regions and a two-layer head; smooth, so that its gradient by the regions can be trained everywhere."""

    Settings = MlpSettings

    def make_head(self, dim: int, classes: int, settings: MlpSettings) -> nn.Module:
        """Makes the two layers."""
        return tanh_classifier(dim, settings.hidden, classes, settings.dropout)
