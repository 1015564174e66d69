"""One linear layer over the pooled regions."""

from __future__ import annotations

from torch import nn

from vqa_gs.models.label_model import LabelModel
from vqa_gs.models.labels import LABEL_MODELS
from vqa_gs.models.settings.linear import LinearSettings


@LABEL_MODELS.register("linear")
class Linear(LabelModel):
    """Pooled regions, dropout, one linear layer."""

    Settings = LinearSettings

    def make_head(self, dim: int, classes: int, settings: LinearSettings) -> nn.Module:
        """Makes the layer."""
        return nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(dim, classes))
