"""The settings of a run: a tree of dataclasses, read from YAML and the command line, saved with the run.

Every field is ``--section.field`` on the command line. The section ``objectives`` has one part for each file in
``vqa_gs/objectives/terms``; the sections ``data`` and ``model`` are those of the chosen task and model. Adding a file
there, or a plug-in, adds its settings here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentParser, Namespace

from vqa_gs.common.checks import at_least, require_seed
from vqa_gs.common.errors import DataError, UsageError, VqaGsError, found_in
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.common.names import data_dir, filled, require_file_names, require_text
from vqa_gs.common.yaml_files import read_mapping, read_yaml
from vqa_gs.eval.rules import RULES
from vqa_gs.models.settings.updn import UpDnSettings
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.requirements import PAIRS, PRIOR, gradient_by, missing
from vqa_gs.tasks import TASKS
from vqa_gs.training.optimization import OptimizationConfig
from vqa_gs.training.settings_shape import parts_of, require_parts


@dataclass
class TrainingConfig(OptimizationConfig):
    """How a run is trained, beside its optimiser and learning rate.

    Attributes:
        epochs: passes over the training questions at the most.
        batch_size: ordinary questions in a step, over all processes.
        pairs_per_batch: whole pairs in a step beside them, over all processes.
        share_images: draw images with all their questions, about ``batch_size`` of these in a step, and read and
            project an image once for all of them. A step is cheaper; its questions are about fewer images. A model
            that cannot share has its batches as ever, which is told. ``auto`` does so where training has two
            questions an image and more, and the model can.
        max_questions_per_image: questions of an image that share it, at the most; an image with more is drawn in parts.
        clip: largest norm of the gradient.
        patience: stop after so many epochs without a better in-domain accuracy; 0 never stops early.
        max_steps: stop after so many steps; 0 does not.
        precision: ``auto`` takes bf16 where the hardware computes it and the model is not tiny, else fp32.
        device: ``auto`` takes CUDA where there is one, else the CPU.
        log_every: steps between two rows of log.csv.
        checkpoint_every: steps between two checkpoints; 0 writes one at the end of every epoch only.
        statistics_images: training images that region means and deviations are taken over.
        report_last_epoch: also predict and analyse every split with the weights of the last epoch, as NAME_last_epoch;
            methods whose papers report the last epoch, as LMH's does, are compared there.
        report_priors: also predict and analyse every split with so much of the question type's answer prior given back
            at test time, or taken away, as NAME_prior_0.4; the term `prior_at_test` of the loss does the same for good.
    """

    epochs: int = 20
    batch_size: int = 512
    pairs_per_batch: int = 64
    share_images: bool | Literal["auto"] = "auto"
    max_questions_per_image: int = 8
    clip: float = 0.25
    patience: int = 5
    max_steps: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    log_every: int = 20
    checkpoint_every: int = 0
    statistics_images: int = 4096
    report_last_epoch: bool = False
    report_priors: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(math.isfinite(weight) and weight for weight in self.report_priors):
            raise UsageError(f"training.report_priors must be numbers other than 0, not {self.report_priors}")
        if len(set(self.report_priors)) < len(self.report_priors):
            raise UsageError("training.report_priors names a number twice")
        at_least(
            self, "training", 1, "epochs", "batch_size", "log_every", "statistics_images", "max_questions_per_image"
        )
        at_least(self, "training", 0, "pairs_per_batch", "patience", "max_steps", "checkpoint_every")
        if not 0 < self.clip < math.inf:
            raise UsageError(f"training.clip must be a positive number, not {self.clip}")


_DEFAULT_TASK = "vqa"

# One part a registered objective, so that a new objective's file is all it takes to configure it.
ObjectivesConfig: Any = dataclasses.make_dataclass(
    "ObjectivesConfig",
    [
        (name, OBJECTIVES.settings_of(name), field(default_factory=OBJECTIVES.settings_of(name)))
        for name in OBJECTIVES.names()
    ],
)
ObjectivesConfig.__doc__ = "The terms of the loss; weight 0 switches one off."


@dataclass
class RunConfig:
    """Everything a run depends on.

    Attributes:
        data: where the data are; the task's own settings.
        name: the arm's name in reports; runs that differ in the seed only share it.
        task: what is learnt: ``vqa``, or another file of ``vqa_gs/tasks``.
        seed: seeds the model's initial values, the order of the data, dropout.
        scoring: the rule accuracies are computed by; ``exact`` or ``exact-normalized`` for single answers. Under
            ``exact`` answers are learnt as they are written, under all others after the official processing.
        architecture: which model.
        model: the model's sizes; the architecture's own settings.
        objectives: the terms of the loss.
        training: how it is trained.
        data_dir: what ``{data_dir}`` in the file names of ``data`` stands for; the environment's ``VQA_DATA`` when left
            out. The names are saved with the folder in its place.
    """

    data: Any
    name: str = ""
    task: str = _DEFAULT_TASK
    seed: int = 0
    scoring: str = "official"
    architecture: str = "updn"
    model: Any = field(default_factory=UpDnSettings)
    objectives: ObjectivesConfig = field(default_factory=ObjectivesConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    data_dir: str | None = None

    def __post_init__(self) -> None:
        _fill(self.data, {"data_dir": data_dir(self.data_dir)})
        self.data_dir = None
        require_text(self.name, "the name")
        require_seed(self.seed)
        self.task, self.scoring = TASKS.canonical(self.task), RULES.canonical(self.scoring)
        if self.task in TASKS:
            self.architecture = TASKS[self.task].models.canonical(self.architecture)

    def active_objectives(self) -> dict[str, Any]:
        """Returns the settings of the terms whose weight is not 0, by name."""
        parts = {part.name: getattr(self.objectives, part.name) for part in dataclasses.fields(self.objectives)}
        active = {name: settings for name, settings in parts.items() if settings.weight != 0}
        if not active:
            raise UsageError("every objective has weight 0: there is nothing to train on")
        return active

    def check(self) -> dict[str, Any]:
        """Raises `UsageError` where terms, data, task and model do not go together; returns the terms, by name."""
        self._check_names()
        objectives = self.active_objectives()
        computed(objectives)
        provided = TASKS[self.task].provides | TASKS[self.task].models[self.architecture].provides(self.model)
        for name, settings in objectives.items():
            for what in missing(OBJECTIVES[name].requirements(settings), provided | {PAIRS}):
                raise UsageError(
                    f"the objective {name} needs {what}, which the task {self.task} with this model,"
                    f" {self.architecture}, does not have",
                    mend=who_has(what, provided),
                )
            if PAIRS in OBJECTIVES[name].requirements(settings) and not self.data.pairs:
                raise UsageError(f"the objective {name} needs pairs", mend="name pair tables in data.pairs")
        if self.training.report_priors and PRIOR not in provided:
            raise UsageError(
                f"training.report_priors needs {PRIOR}, which the task {self.task} does not have", mend="leave it empty"
            )
        if self.data.pairs and self.training.pairs_per_batch == 0:
            raise UsageError("data.pairs are given but training.pairs_per_batch is 0", mend="set it above 0")
        return objectives

    def _check_names(self) -> None:
        """Refuses names of splits that could not be files of the run, or would be those of another split."""
        given = [*self.data.tests, *getattr(self.data, "unseen", {})]
        more = ["last_epoch"] if self.training.report_last_epoch else []
        more += [f"prior_{weight:g}" for weight in self.training.report_priors]
        names = ["iid_val", *given]
        require_file_names([*names, *(f"{name}_{end}" for name in names for end in more)], "data.tests")

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as plain containers, ready for YAML and JSON."""
        return dataclasses.asdict(self)


def _fill(part: Any, names: dict[str, str | None]) -> None:
    """Replaces names in braces in all texts of a dataclass and those inside of it."""
    for one in dataclasses.fields(part):
        value = getattr(part, one.name)
        inner = value.values() if isinstance(value, dict) else [value]
        if any(dataclasses.is_dataclass(entry) for entry in inner):
            for entry in inner:
                _fill(entry, names)
        else:
            setattr(part, one.name, filled(value, names))


def computed(objectives: dict[str, Any]) -> list[str]:
    """Returns which of the active objectives are computed: not those that another one stands in the place of.

    Raises:
        UsageError: two of them stand in the place of one.
    """
    replaced: dict[str, str] = {}
    for name in objectives:
        for other in OBJECTIVES[name].replaces:
            if replaced.setdefault(other, name) != name:
                raise UsageError(
                    f"objectives.{replaced[other]} and objectives.{name} both stand in the place of objectives.{other}",
                    mend="set the weight of one of them to 0",
                )
    return [name for name in objectives if name not in replaced]


def who_has(what: str, provided: frozenset[str]) -> str:
    """Says which tasks and models have something that a term requires, with their default settings.

    Args:
        what: the requirement.
        provided: what the run's own task and model have.
    """
    own = sorted(name.removeprefix(gradient_by("")) for name in provided if name.startswith(gradient_by("")))
    here = f"here gradients can be taken by {', '.join(own)}; " if own and what.startswith(gradient_by("")) else ""
    found = []
    for name, task in ((name, TASKS[name]) for name in TASKS):
        models = [kind for kind in task.models if what in task.models[kind].provides(task.models.settings_of(kind)())]
        if models or what in task.provides:
            found.append(f"{name} ({', '.join(models)})" if models else name)
    if not found:
        return f"{here}no task or model has it: switch the term off, or change its settings"
    return f"{here}tasks (and models) that have it are {', '.join(found)}; or change the term's settings"


def add_run_arguments(parser: ArgumentParser, task: str | None = None, architecture: str | None = None) -> None:
    """Adds every field of `RunConfig` to a parser, with the sections ``data`` and ``model`` of a task and a model.

    Args:
        parser: what parses the settings.
        task: the task's name; None for the default.
        architecture: the model's name; None for the task's default.

    Raises:
        UsageError: there is no such task or model.
    """
    chosen = TASKS[task or _DEFAULT_TASK]
    architecture = architecture or chosen.architecture
    parser.add_class_arguments(chosen.Data, "data")
    parser.add_class_arguments(chosen.models.settings_of(architecture), "model")
    parser.add_class_arguments(RunConfig, None, skip={"data", "model"})
    parser.set_defaults(architecture=architecture, scoring=chosen.scoring)


def config_from_namespace(parser: ArgumentParser, namespace: Namespace) -> RunConfig:
    """Builds the dataclasses from parsed arguments; other arguments of the namespace are left alone."""
    built = parser.instantiate(namespace) if hasattr(parser, "instantiate") else parser.instantiate_classes(namespace)
    names = [part.name for part in dataclasses.fields(RunConfig)]
    return RunConfig(**{name: built[name] for name in names})


@cache
def _parser(task: str | None, architecture: str | None) -> ArgumentParser:
    """Returns what reads settings from plain containers; making it takes as long as reading, and studies have many."""
    parser = ArgumentParser(exit_on_error=False)
    add_run_arguments(parser, task, architecture)
    return parser


def config_from_dict(values: dict[str, Any]) -> RunConfig:
    """Builds the settings from plain containers, validated like a YAML file."""
    require_plain_settings(values)
    parser = _parser(values.get("task"), values.get("architecture"))
    # A copy, as jsonargparse writes into what it is given.
    return config_from_namespace(parser, parser.parse_object(deepcopy(values)))


def require_plain_settings(values: dict[str, Any]) -> None:
    """Raises DataError where settings hold a text in a place that the parser would import or read something for."""
    task = TASKS[_text(values, "task") or _DEFAULT_TASK]
    kinds = {**parts_of(RunConfig), "data": task.Data}
    kinds["model"] = task.models[_text(values, "architecture") or task.architecture].Settings
    for name, value in values.items():
        section, *inner = str(name).split(".")  # the parser takes dotted names apart
        for part in reversed(inner):
            value = {part: value}
        require_parts({section: value}, kinds)


def _text(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) else None


def save_config(config: RunConfig, path: Path) -> None:
    """Writes the settings as YAML."""
    path.write_text(yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def is_saved(config: RunConfig, path: Path) -> bool:
    """Returns whether a file holds just these settings, as they are written; tenfold faster than reading them."""
    try:
        return bool(read_yaml(path, "configuration") == config.to_dict())
    except DataError:
        return False  # `load_config` says why


# Terms of earlier versions that are settings of another one now.
_FOLDED_TERMS = {"random_image": ("negative_image", {"kind": "random_image"})}


def _with_terms_of_today(values: Any) -> Any:
    """Takes over terms that are settings of another one now, and leaves out unknown ones that were switched off."""
    terms = values.get("objectives") if isinstance(values, dict) else None
    if not isinstance(terms, dict):
        return values
    known = OBJECTIVES.names()
    kept: dict[str, Any] = {}
    for name, term in terms.items():
        if not isinstance(term, dict) or name in known:
            kept.setdefault(name, term)
        elif term.get("weight") != 0:
            today, more = _FOLDED_TERMS.get(name, (name, {}))
            kept[today] = {**term, **more}
    return {**values, "objectives": kept}


def load_config(path: StrPath) -> RunConfig:
    """Reads settings saved with a run.

    Raises:
        DataError: the file is missing or its settings are not this version's.
    """
    file = require_file(path, "configuration")
    try:
        with found_in(file):
            return config_from_dict(_with_terms_of_today(read_mapping(file, "configuration")))
    except VqaGsError:
        raise
    except Exception as error:  # jsonargparse raises several types for a bad value
        raise DataError(
            f"has settings that do not fit this version: {error}",
            file=file,
            mend="train the run anew, or read it with the version whose git revision run.json names",
        ) from error


def add_extra_tests(config: RunConfig, named: Sequence[str]) -> None:
    """Adds splits to look at after training, as ``--extra-test name=file`` gives them, to ``data.tests``.

    Raises:
        UsageError: one is not of this form, its name is taken, or the task's splits are more than one file.
    """
    for entry in named:
        name, equals, file = entry.partition("=")
        if not (name and equals and file):
            raise UsageError(f"--extra-test wants name=file, not {entry!r}")
        if not TASKS[config.task].tests_are_files:
            raise UsageError(
                f"--extra-test: a split of the task {config.task} is more than one file",
                mend="describe it in data.tests",
            )
        if name in config.data.tests:
            raise UsageError(f"--extra-test: data.tests has a split {name!r} already", mend="choose another name")
        config.data.tests[name] = file


def named_in(path: StrPath, name: str) -> str | None:
    """Returns a text setting of the top level of a YAML file; None where it is not there, or nothing can be read."""
    try:
        found = read_yaml(path, "configuration")
    except DataError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None
