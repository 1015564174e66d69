"""The terms of the training loss, one a file in `vqa_gs.objectives.terms`, found by name through `OBJECTIVES`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vqa_gs.common.registry import Registry

if TYPE_CHECKING:
    from vqa_gs.contracts import Objective

OBJECTIVES: Registry[type[Objective]] = Registry("objective", "vqa_gs.objectives.terms", "vqa_gs.objectives.settings")

__all__ = ["OBJECTIVES"]
