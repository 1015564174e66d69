"""What came out of a study, as `study.json` holds it and the report shows it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.provenance import environment
from vqa_gs.eval.model_selection import selection_warnings
from vqa_gs.eval.report.part import read_content
from vqa_gs.eval.report_content.content import Content, Options, by_scoring
from vqa_gs.eval.run_files import load_run
from vqa_gs.eval.runs import RunSummary
from vqa_gs.eval.statistics import LEVEL
from vqa_gs.eval.suite_record import read_record, record_file
from vqa_gs.study.arms import PlannedArm
from vqa_gs.study.plan import PlannedRun, StudyPlan
from vqa_gs.study.results import Measure, measure

TESTS = (
    "two-sided, from three seeds or worlds on; the difference is paired by seed, and its variance over seeds, worlds"
    " and resampled images is added up (vqa_gs.eval.crossed); p_holm: Holm over the tests of one split and kind, where"
    " two arms against each other are one test"
)
SELECTION = "Epochs were chosen by in-domain accuracy; tests were looked at once, after training."


class ArmState(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the runs of an arm on one dataset.

    Attributes:
        name: the arm's name.
        against: the arms it is tested against.
        family: the name it is written under.
        field: the field that is swept.
        value: the field's value.
        planned: its runs.
        done: seeds that are done, or "world/seed".
        failed: why, by seed.
        missing: seeds that are still to do.
        seconds: of training, by seed.
        parameters: numbers the model learns.
        pairs: pairs it was trained with.
    """

    name: str
    against: tuple[str, ...]
    family: str
    field: str | None
    value: Any
    planned: int
    done: list[int | str]
    failed: dict[int | str, str]
    missing: list[int | str]
    seconds: dict[int | str, float]
    parameters: int | None
    pairs: int | None

    @property
    def mean_seconds(self) -> float | None:
        """Seconds of a run."""
        return statistics.fmean(self.seconds.values()) if self.seconds else None


class Dataset(msgspec.Struct, frozen=True):
    """What came out on one dataset; ``rules`` has what the measures were made from, for each rule world by world."""

    name: str
    arms: list[ArmState]
    measures: list[Measure]
    rules: list[list[tuple[int | None, Content]]]

    @property
    def contents(self) -> list[Content]:
        """What the first world has of each rule: its splits and its rule are those of all."""
        return [worlds[0][1] for worlds in self.rules]

    @property
    def worlds(self) -> list[int]:
        """The worlds that have results; none where the study has none."""
        return list(dict.fromkeys(world for worlds in self.rules for world, _ in worlds if world is not None))


class Outcome(msgspec.Struct, frozen=True):
    """What came out of a study."""

    plan: StudyPlan
    datasets: list[Dataset]

    @property
    def warnings(self) -> list[str]:
        """What makes numbers no test at all."""
        return [
            text
            for data in self.datasets
            for worlds in data.rules
            for _, content in worlds
            for text in selection_warnings(content.runs)
        ]

    @property
    def suites(self) -> dict[str, list[str]]:
        """What was left out of each suite that a run was tested on, by the suite's title."""
        found: dict[str, list[str]] = {}
        for run in self.plan.runs:
            if run.suite is not None and run.status == "done":
                record = read_record(record_file(run.folder, run.suite.name))
                left = found.setdefault(record.title, [])
                left += [reason for reason in record.left_out if reason not in left]
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns the content of ``study.json``."""
        spec = self.plan.spec
        return {
            "format": "vqa-gs-study",
            "format_version": 2,
            "title": spec.title,
            "study": str(spec.file),
            "seeds": list(spec.every_seed),
            "worlds": list(spec.worlds),
            "control": spec.control,
            "level": LEVEL,
            "selection": SELECTION,
            "tests": TESTS,
            "warnings": self.warnings,
            "suites": [{"title": title, "left_out": reasons} for title, reasons in self.suites.items()],
            "opening": msgspec.to_builtins(self.plan.opening),
            "datasets": [
                {
                    "name": data.name,
                    "arms": [msgspec.to_builtins(arm, str_keys=True) for arm in data.arms],
                    "measures": [msgspec.to_builtins(one, str_keys=True) for one in data.measures],
                }
                for data in self.datasets
            ],
            "environment": environment(),
        }


def outcome_of(plan: StudyPlan) -> Outcome:
    """Reads all runs of a study that are done.

    Raises:
        DataError: none is, or one of them is damaged.
    """
    datasets = []
    for name in plan.spec.datasets:
        runs = [run for run in plan.runs if run.dataset == name]
        if not runs:
            continue  # the final dataset, before it is opened
        loaded = {run.folder: load_run(run.folder) for run in runs if run.status == "done"}
        rules: dict[str, list[tuple[int | None, Content]]] = {}
        for world in plan.spec.worlds or (None,):
            summaries = as_planned([run for run in runs if run.folder in loaded and run.world == world], loaded)
            for rule, members in by_scoring(summaries).items():
                rules.setdefault(rule, []).append((world, read_content(rule, members, Options(examples=0))))
        states = [_state(arm, [run for run in runs if run.arm.name == arm.name], loaded) for arm in plan.arms]
        measures = [one for worlds in rules.values() for one in measure(worlds, plan.arms)]
        datasets.append(Dataset(name, states, measures, list(rules.values())))
    if not any(data.measures for data in datasets):
        raise DataError("no run is done yet", file=plan.out, mend="run the study without --report-only")
    return Outcome(plan, datasets)


def as_planned(runs: Sequence[PlannedRun], loaded: Mapping[Path, RunSummary]) -> list[RunSummary]:
    """Returns finished runs of one world under the study's own names and seeds.

    The runs of an arm have one settings, those of its first: where a later version of the program trained the other
    seeds, it has recorded settings that the first did not know.
    """
    first: dict[str, RunSummary] = {}
    return [
        msgspec.structs.replace(
            loaded[run.folder],
            arm=run.arm.name,
            seed=run.seed,
            config=first.setdefault(run.arm.name, loaded[run.folder]).config,
        )
        for run in runs
    ]


def _state(arm: PlannedArm, runs: Sequence[PlannedRun], loaded: dict[Any, RunSummary]) -> ArmState:
    done = {run.label: loaded[run.folder] for run in runs if run.folder in loaded}
    failed = {run.label: run.failure or "" for run in runs if run.status == "failed"}
    records = [run.provenance for run in done.values()]
    seconds = {
        label: sum(took for _, took in run.curves.points("seconds"))
        for label, run in done.items()
        if run.curves and "seconds" in run.curves.columns
    }
    return ArmState(
        name=arm.name,
        against=arm.against,
        family=arm.family,
        field=arm.field,
        value=arm.value,
        planned=len(runs),
        done=list(done),
        failed=failed,
        missing=[run.label for run in runs if run.label not in done and run.label not in failed],
        seconds=seconds,
        parameters=_same(records, "parameters"),
        pairs=_same(records, "pairs"),
    )


def _same(records: Sequence[dict[str, Any]], name: str) -> int | None:
    return next((record[name] for record in records if isinstance(record.get(name), int)), None)
