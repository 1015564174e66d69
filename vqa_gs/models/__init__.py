"""The networks, one a file, found by name through `MODELS`."""

from vqa_gs.models._base import MODELS, AttentionTrace, HeadOutput, RegionModel

__all__ = ["MODELS", "AttentionTrace", "HeadOutput", "RegionModel"]
