"""Settings of runs in tests: a tree of plain containers with some fields changed."""

from __future__ import annotations

import copy

from vqa_gs.tasks import TASKS
from vqa_gs.training.config import config_from_dict


def config_of(given, **changes):
    """Returns the settings ``given``, each change named by its path: ``training__epochs=3``."""
    values = copy.deepcopy(given)
    for path, value in changes.items():
        part = values
        *parents, last = path.split("__")
        for name in parents:
            part = part.setdefault(name, {})
        part[last] = value
    return config_from_dict(values)


def task_of(given, **changes):
    """Returns the task that such a run reads, see `config_of`."""
    config = config_of(given, **changes)
    return TASKS[config.task](config)
