"""The runs of a study: settings, folders, and what has become of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from vqa_gs.common.errors import UsageError, VqaGsError
from vqa_gs.common.files import StrPath
from vqa_gs.eval.runs import flatten
from vqa_gs.study.arms import PlannedArm, expand_arms, slug
from vqa_gs.study.spec import Settings, StudySpec, merged, read_study, without_null
from vqa_gs.training.config import RunConfig, config_from_dict

Status = Literal["done", "failed", "begun", "to do"]
_LONGEST = 300


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        dataset: the dataset's name, "" where the study has but one.
        arm: its arm.
        config: its settings.
        folder: its run directory.
    """

    dataset: str
    arm: PlannedArm
    config: RunConfig
    folder: Path

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config.seed

    @property
    def title(self) -> str:
        """What to call it."""
        return ", ".join(part for part in (self.dataset, self.arm.name, f"seed {self.seed}") if part)

    @property
    def failure_file(self) -> Path:
        """Where it is recorded that and why it failed; beside its folder, which holds nothing but the run's own."""
        return self.folder.with_name(f"{self.folder.name}.failed.json")

    @property
    def failure(self) -> str | None:
        """Why it failed, None if it did not."""
        try:
            return str(msgspec.json.decode(self.failure_file.read_bytes())["error"])
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, KeyError, TypeError):
            return "its record of failure is damaged"

    @property
    def status(self) -> Status:
        """What has become of it."""
        if (self.folder / "done").exists():
            return "done"
        if self.failure is not None:
            return "failed"
        return "begun" if (self.folder / "config.yaml").exists() else "to do"


@dataclass(frozen=True)
class StudyPlan:
    """All runs of a study, seeds outermost: after the first round every arm has a number.

    Attributes:
        spec: what was written.
        out: the study's folder.
        arms: its arms.
        runs: its runs.
    """

    spec: StudySpec
    out: Path
    arms: tuple[PlannedArm, ...]
    runs: tuple[PlannedRun, ...]

    def chosen(
        self, arms: Sequence[str] = (), seeds: Sequence[int] = (), datasets: Sequence[str] = ()
    ) -> list[PlannedRun]:
        """Returns the runs of some arms (or families of swept ones), seeds and datasets; none named: all.

        Raises:
            UsageError: one of them is not in the study.
        """
        families = {arm.family for arm in self.arms} | {arm.name for arm in self.arms}
        for what, given, known in (
            ("arm", arms, families),
            ("seed", seeds, set(self.spec.seeds)),
            ("dataset", datasets, set(self.spec.datasets)),
        ):
            strange = next((one for one in given if one not in known), None)
            if strange is not None:
                choices = ", ".join(map(str, sorted(known, key=str)))
                raise UsageError(f"the study has no {what} {strange!r}", mend=f"choose among {choices}")
        return [
            run
            for run in self.runs
            if (not arms or run.arm.name in arms or run.arm.family in arms)
            and (not seeds or run.seed in seeds)
            and (not datasets or run.dataset in datasets)
        ]


def make_plan(path: StrPath, out: StrPath, overrides: Settings | None = None) -> StudyPlan:
    """Reads a study and writes out all its runs, every arm's settings validated.

    Args:
        path: the study's file.
        out: the study's folder.
        overrides: settings of all runs, on top of the arms' own.

    Raises:
        DataError: the file says what no study says.
        UsageError: settings of an arm make no sense.
    """
    spec = read_study(path, out, (overrides or {}).get("data_dir"))
    arms = expand_arms(spec)
    folders = {name: slug(name) for name in spec.datasets}
    if len(set(folders.values())) < len(folders):
        raise UsageError("two names would share a folder", file=spec.file, record="datasets", mend="rename one")
    configs = {
        (dataset, arm.name): _config(spec, dataset, own, arm, overrides or {})
        for dataset, own in spec.datasets.items()
        for arm in arms
    }
    runs = [
        PlannedRun(
            dataset,
            arm,
            replace(configs[dataset, arm.name], seed=seed),
            Path(out) / "runs" / folders[dataset] / arm.folder / f"seed{seed}",
        )
        for seed in spec.seeds
        for dataset in spec.datasets
        for arm in arms
    ]
    return StudyPlan(spec, Path(out), tuple(arms), tuple(runs))


def _config(spec: StudySpec, dataset: str, own: Settings, arm: PlannedArm, overrides: Settings) -> RunConfig:
    settings = without_null(merged(merged(merged(spec.base, own), arm.settings), overrides))
    try:
        config = config_from_dict({**settings, "name": arm.name})
        config.check()
        return config
    except Exception as error:  # jsonargparse raises several types for a bad value
        problem, mend = (error.problem, error.mend) if isinstance(error, VqaGsError) else (_one_line(error), None)
        layers = {
            "--set": overrides,
            f"arms.{arm.family}": arm.settings,
            f"datasets.{dataset}": own,
            "settings": spec.base,
        }
        raise UsageError(problem, file=spec.file, record=_blamed(problem, layers), mend=mend) from error


def _one_line(error: Exception) -> str:
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(str(error).split())).replace("typing.", "")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _blamed(problem: str, layers: dict[str, Settings]) -> str:
    """Returns where a setting that an error names was written; the arm, if that cannot be told."""
    named = set(re.findall(r"[A-Za-z_][\w.]*", problem))
    last = {name.rpartition(".")[2] for name in named}
    for record, settings in layers.items():
        keys = flatten(settings)
        if any(part in last for key in keys for part in key.split(".")[1:]):
            return record
    return next(record for record in layers if record != "--set")
