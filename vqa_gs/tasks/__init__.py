"""What a model is trained for: visual questions, and other tasks with counterfactual pairs; found through `TASKS`."""

from vqa_gs.tasks._base import TASKS, Batch, RunSettings, Split, Task, Wanted

__all__ = ["TASKS", "Batch", "RunSettings", "Split", "Task", "Wanted"]
