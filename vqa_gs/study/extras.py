"""Whether what the runs and the steps of a study need is installed, before any of it is computed."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.common.errors import found_in
from vqa_gs.features.extract.opencv import require_opencv
from vqa_gs.features.formats.lmdb_records import require_lmdb
from vqa_gs.study.plan import PlannedRun
from vqa_gs.study.spec import Step, StudySpec
from vqa_gs.training.extras import require_extras

# Sources of boxes that OpenCV's contributed modules find.
_OF_OPENCV = ("selective-search", "edge-boxes")


def require_study_extras(runs: Sequence[PlannedRun], steps: Sequence[Step], spec: StudySpec) -> None:
    """Refuses a study whose runs or steps need a package that is not installed.

    Args:
        runs: those that are to be trained; a finished one needs nothing.
        steps: those that are to be called.
        spec: the study.

    Raises:
        UsageError: a package is missing; the line names it and the command that installs it.
    """
    with found_in(spec.file):
        for config in (run.config for run in runs if run.status != "done"):
            require_extras(config)
        for step in steps:
            _require_of_step(step.words)


def _require_of_step(words: Sequence[str]) -> None:
    """Looks at a command line as far as packages depend on it."""
    spelled = [word.replace("_", "-") for word in words]
    if spelled[:2] == ["features", "extract"]:
        boxes = next((kind for kind in _OF_OPENCV if kind in spelled or f"--boxes={kind}" in spelled), None)
        if boxes:
            require_opencv(boxes)
    if spelled[:2] == ["features", "convert"] and any(word.endswith((".lmdb", ".mdb")) for word in spelled[2:]):
        require_lmdb()
