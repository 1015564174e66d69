"""The runs of a study: settings, folders, and what has become of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from vqa_gs.common.errors import DataError, UsageError, VqaGsError
from vqa_gs.common.files import StrPath
from vqa_gs.common.names import filled
from vqa_gs.eval.runs import flatten
from vqa_gs.eval.suite.spec import Suite, read_suite
from vqa_gs.study.arms import PlannedArm, expand_arms, slug
from vqa_gs.study.outcome import failure_file
from vqa_gs.study.prepare import unneeded
from vqa_gs.study.spec import Settings, Step, StudySpec, merged, read_study, run_label, without_null
from vqa_gs.study.tested import is_done
from vqa_gs.study.worker import Job
from vqa_gs.tasks.vqa.suite_check import choose_on
from vqa_gs.training.config import RunConfig, add_extra_tests, config_from_dict

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
        world: its world's number, None where the study has none.
        suite: the suite it is tested on once it is trained.
    """

    dataset: str
    arm: PlannedArm
    config: RunConfig
    folder: Path
    world: int | None = None
    suite: Suite | None = None

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config.seed

    @property
    def label(self) -> int | str:
        """What it goes by among the runs of its arm."""
        return run_label(self.world, self.seed)

    @property
    def title(self) -> str:
        """What to call it."""
        world = "" if self.world is None else f"world {self.world}"
        return ", ".join(part for part in (self.dataset, world, self.arm.name, f"seed {self.seed}") if part)

    def job(self, folder: Path) -> Job:
        """Returns what a worker is handed, for a folder that may be written otherwise than the run's."""
        named = (None, None) if self.suite is None else (str(self.suite.file), str(self.suite.folder))
        return Job(self.config.to_dict(), str(folder), *named)

    @property
    def failure_file(self) -> Path:
        """Where it is recorded that and why it failed."""
        return failure_file(self.folder)

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
        if is_done(self.folder, self.suite):
            return "done"
        if self.failure is not None:
            return "failed"
        return "begun" if (self.folder / "config.yaml").exists() else "to do"


class Opening(msgspec.Struct, kw_only=True):
    """That the tests of a final dataset were opened, see `vqa_gs.study.final`.

    Attributes:
        id: the SHA-256 of the study's folder and all settings of the runs.
        time: when, in UTC.
        study: the name of the study's file.
        dataset: the final dataset.
        arms: the arms that are trained there.
        seeds: their seeds.
        chosen: the means, in percent, by which arms were chosen, by the name of the choice.
        splits: SHA-256 of the questions of each test split.
        before: how often each had been opened before.
        git_revision: of this program.
    """

    id: str
    time: str
    study: str
    dataset: str
    arms: list[str]
    seeds: list[int]
    chosen: dict[str, dict[str, float]]
    splits: dict[str, str]
    before: dict[str, int] = {}
    git_revision: str | None = None


def opening_file(out: Path) -> Path:
    """Returns where a study's folder records that its final dataset was opened."""
    return out / "final.json"


def _read_opening(out: Path) -> Opening | None:
    file = opening_file(out)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Opening)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"is no record of an opening: {error}", file=file, mend="choose another --out") from error


@dataclass(frozen=True)
class StudyPlan:
    """All runs of a study, seeds outermost: after the first round every arm has a number.

    Attributes:
        spec: what was written.
        out: the study's folder.
        arms: its arms.
        every_run: its runs, those of a final dataset included whether it was opened or not.
        opening: that its final dataset was opened; None where it was not, or there is none.
    """

    spec: StudySpec
    out: Path
    arms: tuple[PlannedArm, ...]
    every_run: tuple[PlannedRun, ...]
    opening: Opening | None = None

    @property
    def runs(self) -> list[PlannedRun]:
        """Its runs; of a final dataset those of the arms it was opened for."""
        opened = self.opening.arms if self.opening else []
        return [run for run in self.every_run if not self._is_final(run) or run.arm.name in opened]

    def unneeded(self, runs: Sequence[PlannedRun]) -> list[Step]:
        """Returns the steps whose files are not for some runs, but for others of the study alone."""
        named, wanted = ({file for run in some for file in run.config.data.files()} for some in (self.every_run, runs))
        return unneeded(self.spec.prepare, named, wanted)

    def _is_final(self, run: PlannedRun) -> bool:
        return self.spec.final is not None and run.dataset == self.spec.final.dataset

    def chosen(
        self,
        arms: Sequence[str] = (),
        seeds: Sequence[int] = (),
        datasets: Sequence[str] = (),
        final: bool = False,
        worlds: Sequence[int] = (),
    ) -> list[PlannedRun]:
        """Returns the runs of some arms (or families of swept ones), seeds, datasets and worlds; none named: all.

        Args:
            arms: their names.
            seeds: their seeds.
            datasets: their datasets.
            final: those of the final dataset, and no others; else all others.
            worlds: their worlds.

        Raises:
            UsageError: one of them is not in the study, or is the final dataset, without ``final``.
        """
        closed = self.spec.final.dataset if self.spec.final else None
        if closed in datasets and not final:
            raise UsageError(f"the dataset {closed!r} is opened by --final alone", file=self.spec.file)
        families = {arm.family for arm in self.arms} | {arm.name for arm in self.arms}
        for what, given, known in (
            ("arm", arms, families),
            ("seed", seeds, set(self.spec.every_seed)),
            ("dataset", datasets, set(self.spec.datasets)),
            ("world", worlds, set(self.spec.worlds)),
        ):
            strange = next((one for one in given if one not in known), None)
            if strange is not None:
                choices = ", ".join(map(repr, sorted(known, key=str)))
                raise UsageError(f"the study has no {what} {strange!r}", mend=f"choose among {choices}")
        return [
            run
            for run in self.runs
            if self._is_final(run) == final
            and (not arms or run.arm.name in arms or run.arm.family in arms)
            and (not seeds or run.seed in seeds)
            and (not datasets or run.dataset in datasets)
            and (not worlds or run.world in worlds)
        ]


def make_plan(
    path: StrPath,
    out: StrPath,
    overrides: Settings | None = None,
    seeds: Sequence[int] = (),
    extra_tests: Sequence[str] = (),
) -> StudyPlan:
    """Reads a study and writes out all its runs, every arm's settings validated.

    Args:
        path: the study's file.
        out: the study's folder.
        overrides: settings of all runs, on top of the arms' own.
        seeds: seeds that the study has too, beside those in its file. Those that were trained in its folder before
            stay in it.
        extra_tests: further splits of all runs, see `add_extra_tests`.

    Raises:
        DataError: the file says what no study says.
        UsageError: settings of an arm make no sense.
    """
    spec = read_study(path, out, (overrides or {}).get("data_dir"))
    more = [seed for seed in dict.fromkeys([*_begun(Path(out)), *seeds]) if seed not in spec.every_seed]
    spec = msgspec.structs.replace(spec, seeds=(*spec.seeds, *more))
    arms = expand_arms(spec)
    folders = {name: slug(name) for name in spec.datasets}
    if len(set(folders.values())) < len(folders):
        raise UsageError("two names would share a folder", file=spec.file, record="datasets", mend="rename one")
    worlds: tuple[int | None, ...] = spec.worlds or (None,)
    planned = {
        (dataset, world, arm.name): _config(spec, dataset, world, own, arm, overrides or {}, extra_tests)
        for dataset, own in spec.datasets.items()
        for world in worlds
        for arm in arms
    }
    runs = [
        PlannedRun(
            dataset,
            arm,
            replace(planned[dataset, world, arm.name][0], seed=seed),
            Path(out) / "runs" / folders[dataset] / _world_folder(world) / arm.folder / f"seed{seed}",
            world,
            planned[dataset, world, arm.name][1],
        )
        for seed in spec.every_seed
        for dataset in spec.datasets
        if spec.has(dataset, seed)
        for world in worlds
        for arm in arms
    ]
    names = {arm.name for arm in arms}
    for wanted in _of_final(spec):
        if wanted not in names:
            raise UsageError(f"there is no arm {wanted!r}", file=spec.file, record="final")
    return StudyPlan(spec, Path(out), tuple(arms), tuple(runs), _read_opening(Path(out)) if spec.final else None)


def _begun(out: Path) -> list[int]:
    """Returns the seeds of runs in a study's folder."""
    found = {path.parent.name.removeprefix("seed") for path in out.glob("runs/**/seed*/config.yaml")}
    return sorted(int(seed) for seed in found if seed.isdecimal())


def _of_final(spec: StudySpec) -> list[str]:
    """Returns the arms that the part ``final`` names."""
    final = spec.final
    return [] if final is None else [*final.arms, *(arm for choice in final.choose.values() for arm in choice.among)]


def _world_folder(world: int | None) -> str:
    return "" if world is None else f"world{world}"


def _config(
    spec: StudySpec,
    dataset: str,
    world: int | None,
    own: Settings,
    arm: PlannedArm,
    overrides: Settings,
    extra_tests: Sequence[str],
) -> tuple[RunConfig, Suite | None]:
    settings = without_null(merged(merged(merged(spec.base, own), arm.settings), overrides))
    settings = filled(settings, {"dataset": slug(dataset), "world": "{world}" if world is None else str(world)})
    try:
        config = config_from_dict({**settings, "name": arm.name})
        add_extra_tests(config, extra_tests)
        config.check()
    except Exception as error:  # jsonargparse raises several types for a bad value
        problem, mend = (error.problem, error.mend) if isinstance(error, VqaGsError) else (_one_line(error), None)
        layers = {
            "--set": overrides,
            f"arms.{arm.family}": arm.settings,
            f"datasets.{dataset}": own,
            "settings": spec.base,
        }
        raise UsageError(problem, file=spec.file, record=_blamed(problem, layers), mend=mend) from error
    return config, _suite(spec, config, settings)


def _suite(spec: StudySpec, config: RunConfig, settings: Settings) -> Suite | None:
    """Returns the suite that a run is tested on; which may bring questions to choose epochs on."""
    if spec.suite is None:
        return None
    if config.task != "vqa":
        raise UsageError(f"a suite is of visual questions, the task is {config.task}", file=spec.file, record="suite")
    suite = read_suite(spec.suite, settings.get("data_dir"))
    choose_on(suite, config.data)
    return suite


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
