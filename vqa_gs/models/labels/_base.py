"""A multi-label classifier of an image's regions in parts that can be called apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry
from vqa_gs.models.text._pooling import Pooling

LABEL_MODELS: Registry[type[LabelModel]] = Registry("multi-label model", "vqa_gs.models.labels")


@dataclass(frozen=True)
class LabelModelSettings:
    """Sizes and choices of a multi-label classifier.

    Attributes:
        hidden: width of the hidden layers: the attention's, and the MLP's.
        pooling: how regions become one vector: their ``mean``, or their sum weighted by ``attention``.
        standardize: bring every feature dimension to mean 0 and deviation 1 over the training regions.
        dropout: on the pooled vector, and inside the MLP.
    """

    hidden: int = 256
    pooling: Literal["mean", "attention"] = "mean"
    standardize: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise UsageError(f"model.hidden must be positive, not {self.hidden}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"model.dropout must be in [0, 1), not {self.dropout}")


class LabelModel(nn.Module):
    """Regions, pooled into one vector, of which a head makes one independent logit a class.

    Args:
        region_dim: numbers a region has in the store.
        classes: number of classes.
        settings: the model's own dataclass of settings.
    """

    Settings: type[Any]
    mean: Tensor
    inverse_std: Tensor

    def __init__(self, region_dim: int, classes: int, settings: LabelModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("mean", torch.zeros(region_dim))
        self.register_buffer("inverse_std", torch.ones(region_dim))
        self.pooling = Pooling(region_dim, settings.hidden, settings.pooling == "attention")
        self.head = self.make_head(region_dim, classes, settings)

    def make_head(self, dim: int, classes: int, settings: Any) -> nn.Module:
        """Makes what turns a pooled vector (batch, dim) into logits (batch, classes)."""
        raise NotImplementedError

    def fit_regions(self, mean: Tensor, std: Tensor) -> None:
        """Takes the training regions' mean and deviation; dimensions that never vary are only centred."""
        self.mean.copy_(mean)
        self.inverse_std.copy_(torch.where(std > 1e-6, 1 / std.clamp_min(1e-6), torch.ones_like(std)))

    def prepare_regions(self, features: Tensor, mask: Tensor) -> Tensor:
        """Standardises where asked for; (batch, regions, dim) float32, zero where ``mask`` is False."""
        if not self.settings.standardize:
            return features
        return (features - self.mean) * self.inverse_std * mask.unsqueeze(-1)

    def pool(self, regions: Tensor, mask: Tensor) -> Tensor:
        """Returns the pooled vector (batch, dim) of prepared regions; zero for an image without regions."""
        return self.pooling.one(regions, mask)

    def classify(self, pooled: Tensor) -> Tensor:
        """Returns logits (batch, classes), float32 or better."""
        logits: Tensor = self.head(pooled)
        return logits if logits.dtype == torch.float64 else logits.float()

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Returns logits (batch, classes) of the store's features (batch, regions, dim) and their mask."""
        return self.classify(self.pool(self.prepare_regions(features, mask), mask))
