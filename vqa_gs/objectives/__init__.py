"""The terms of the training loss, one a file in `vqa_gs.objectives.terms`, found by name through `OBJECTIVES`."""

from vqa_gs.common.registry import Registry
from vqa_gs.contracts import Objective

OBJECTIVES: Registry[type[Objective]] = Registry("objective", "vqa_gs.objectives.terms")

__all__ = ["OBJECTIVES"]
