"""Multi-label classifiers over region features, one a file, found by name through `LABEL_MODELS`."""

from vqa_gs.common.registry import Registry
from vqa_gs.models.label_model import LabelModel

LABEL_MODELS: Registry[type[LabelModel]] = Registry("multi-label model", "vqa_gs.models.labels")

__all__ = ["LABEL_MODELS"]
