"""The terms of the training loss, one a file, found by name through `OBJECTIVES`."""

from vqa_gs.objectives._base import OBJECTIVES, Ends, Objective, ObjectiveOutput, Step

__all__ = ["OBJECTIVES", "Ends", "Objective", "ObjectiveOutput", "Step"]
