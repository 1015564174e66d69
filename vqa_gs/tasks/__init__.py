"""What a model is trained for: visual questions, and other tasks with counterfactual pairs; found through `TASKS`."""

from vqa_gs.common.registry import Registry
from vqa_gs.pipeline.task import Task

TASKS: Registry[type[Task]] = Registry("task", "vqa_gs.tasks")

__all__ = ["TASKS"]
