"""A report of each arm of a study, beside its runs, that the study's page leads to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from vqa_gs.common.phases import phase
from vqa_gs.eval.report.write import write_report
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.run_files import load_run
from vqa_gs.eval.suite_record import record_file
from vqa_gs.study.plan import PlannedRun, StudyPlan
from vqa_gs.study.summary import as_planned

REPORT = "report.html"


def arm_report(run: PlannedRun) -> Path:
    """Returns where the report of a run's arm lies: beside the folders of its seeds."""
    return run.folder.parent / REPORT


def link_to(file: Path, out: Path) -> str:
    """Returns the address of a file from a page in the folder ``out``."""
    return quote(os.path.relpath(file, out).replace(os.sep, "/"))


def write_arm_reports(plan: StudyPlan, options: Options) -> list[Path]:
    """Writes the reports of arms that have a run which is newer than their report, or none yet.

    Args:
        plan: the study.
        options: where data and images lie, how many examples to show.

    Returns:
        The reports of all arms that have a finished run, old and new.

    Raises:
        DataError: a run is damaged, or a report cannot be written.
    """
    arms: dict[Path, list[PlannedRun]] = {}
    for run in plan.runs:
        if run.status == "done":
            arms.setdefault(arm_report(run), []).append(run)
    old = [file for file, runs in arms.items() if _is_older(file, runs)]
    with phase("writing the reports of arms", len(old), "arms") as far:
        for file in old:
            title = ", ".join(part for part in (plan.spec.title or plan.spec.file.stem, arms[file][0].arm.name) if part)
            loaded = {run.folder: load_run(run.folder) for run in arms[file]}
            write_report(as_planned(arms[file], loaded), file, title=title, options=options)
            far(1)
    return list(arms)


def _is_older(file: Path, runs: Sequence[PlannedRun]) -> bool:
    """Whether a report is not there, or a run of it was finished after it."""
    if not file.is_file():
        return True
    return file.stat().st_mtime < max(map(_finished, runs))


def _finished(run: PlannedRun) -> float:
    """Returns when a run was finished, tests on its suite included."""
    files = [run.folder / "done"]
    if run.suite is not None:
        files.append(record_file(run.folder, run.suite.name))
    return max(file.stat().st_mtime for file in files)
