"""The models of visual questions, one a file, found by name through `MODELS`."""

from vqa_gs.common.registry import Registry
from vqa_gs.models.vqa_model import VqaModel

MODELS: Registry[type[VqaModel]] = Registry("model", "vqa_gs.models.vqa")

__all__ = ["MODELS"]
