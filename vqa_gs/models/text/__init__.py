"""Networks over texts, one a file, found by name through `TEXT_MODELS`."""

from vqa_gs.common.registry import Registry
from vqa_gs.models.text_model import TextModel

TEXT_MODELS: Registry[type[TextModel]] = Registry("text model", "vqa_gs.models.text")

__all__ = ["TEXT_MODELS"]
