"""Multi-label classifiers over region features, one a file, found by name through `LABEL_MODELS`."""

from vqa_gs.models import LABEL_MODELS

__all__ = ["LABEL_MODELS"]
