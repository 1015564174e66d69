"""The models of visual questions, one a file, found by name through `MODELS`."""

from vqa_gs.models import MODELS

__all__ = ["MODELS"]
