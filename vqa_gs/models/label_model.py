"""A multi-label classifier of an image's regions in parts that can be called apart."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vqa_gs.contracts import gradient_by
from vqa_gs.models.layers import full_precision
from vqa_gs.models.pooling import Pooling
from vqa_gs.models.regions_and_words import StandardizedRegions
from vqa_gs.models.shared_settings import LabelModelSettings


class LabelModel(StandardizedRegions):
    """Regions, pooled into one vector, of which a head makes one independent logit a class.

    Args:
        region_dim: numbers a region has in the store.
        classes: number of classes.
        settings: the model's own dataclass of settings.
    """

    Settings: type[Any]

    def __init__(self, region_dim: int, classes: int, settings: LabelModelSettings) -> None:
        super().__init__(region_dim)
        self.settings = settings
        self.pooling = Pooling(region_dim, settings.hidden, settings.pooling == "attention")
        self.head = self.make_head(region_dim, classes, settings)

    def make_head(self, dim: int, classes: int, settings: Any) -> nn.Module:
        """Makes what turns a pooled vector (batch, dim) into logits (batch, classes)."""
        raise NotImplementedError

    @classmethod
    def provides(cls, settings: Any) -> frozenset[str]:
        """Returns what terms may require of the model, see `vqa_gs.contracts`."""
        return frozenset({gradient_by("regions"), gradient_by("pooled")})

    def sizes(self) -> dict[str, int]:
        """Returns the widths of the vectors that the model provides: none."""
        return {}

    def prepare_regions(self, features: Tensor, mask: Tensor) -> Tensor:
        """Standardises where asked for; (batch, regions, dim) float32, zero where ``mask`` is False."""
        if not self.settings.standardize:
            return features
        return self.standardized(features) * mask.unsqueeze(-1)

    def pool(self, regions: Tensor, mask: Tensor) -> Tensor:
        """Returns the pooled vector (batch, dim) of prepared regions; zero for an image without regions."""
        return self.pooling.one(regions, mask)

    def classify(self, pooled: Tensor) -> Tensor:
        """Returns logits (batch, classes), float32 or better."""
        return full_precision(self.head(pooled))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Returns logits (batch, classes) of the store's features (batch, regions, dim) and their mask."""
        return self.classify(self.pool(self.prepare_regions(features, mask), mask))
