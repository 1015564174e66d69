"""The terms of the training loss, one a file, found by name through `OBJECTIVES`."""

from vqa_gs.objectives._base import OBJECTIVES, Ends, Inputs, Objective, ObjectiveOutput, Step, logged_names

__all__ = ["OBJECTIVES", "Ends", "Inputs", "Objective", "ObjectiveOutput", "Step", "logged_names"]
