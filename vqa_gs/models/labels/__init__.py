"""Multi-label classifiers over region features, one a file, found by name through `LABEL_MODELS`."""

from vqa_gs.models.labels._base import LABEL_MODELS, LabelModel, LabelModelSettings

__all__ = ["LABEL_MODELS", "LabelModel", "LabelModelSettings"]
