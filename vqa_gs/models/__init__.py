"""The networks, one a file, found by name through `MODELS`."""

from vqa_gs.models._base import MODELS, HeadOutput, RegionModel

__all__ = ["MODELS", "HeadOutput", "RegionModel"]
