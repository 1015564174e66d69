"""Networks over texts, one a file, found by name through `TEXT_MODELS`."""

from vqa_gs.models.text._base import TEXT_MODELS, TextModel, TextSettings

__all__ = ["TEXT_MODELS", "TextModel", "TextSettings"]
