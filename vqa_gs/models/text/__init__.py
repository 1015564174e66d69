"""Networks over texts, one a file, found by name through `TEXT_MODELS`."""

from vqa_gs.models import TEXT_MODELS

__all__ = ["TEXT_MODELS"]
