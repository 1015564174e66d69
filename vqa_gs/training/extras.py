"""Whether the packages that a run's settings ask for are installed, before anything is read."""

from __future__ import annotations

from vqa_gs.data.glove import require_glove_package
from vqa_gs.training.config import RunConfig


def require_extras(config: RunConfig) -> None:
    """Refuses settings that need a package which is not installed.

    Raises:
        UsageError: one is missing; the line names the command that installs it.
    """
    glove = getattr(config.data, "glove", None)
    if glove:
        require_glove_package(glove)
