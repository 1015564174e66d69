"""The settings of a run: a tree of dataclasses, read from YAML and the command line, saved with the run.

Every field is ``--section.field`` on the command line. The section ``objectives`` has one part for each file in
``vqa_gs/objectives``, the section ``model`` is that of the chosen model: adding one there adds its settings here.
"""

from __future__ import annotations

import dataclasses
import math
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentParser, Namespace

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.models.updn import UpDnSettings
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.training.schedule import Schedule


def _at_least(part: Any, section: str, least: int, *names: str) -> None:
    for name in names:
        if getattr(part, name) < least:
            raise UsageError(f"{section}.{name} must be at least {least}, not {getattr(part, name)}")


@dataclass
class SplitConfig:
    """The files of one split.

    Attributes:
        questions: questions JSON, plain or gzip.
        annotations: annotations JSON, plain or gzip.
        subsets: named lists of question ids (JSON) to report beside the whole.
        pairs: named lists of question id pairs (JSON) for pair accuracy.
    """

    questions: str
    annotations: str
    subsets: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)


@dataclass
class DataConfig:
    """Where the data are and how they become examples.

    Attributes:
        train: the training split.
        features: region store of all images, made by ``vqa-gs features convert``.
        counterfactual_features: region store of the images that only ``counterfactuals`` are about, where they are in
            one of their own.
        iid_val: in-domain split that epochs are chosen on; cut from training when left out.
        tests: out-of-distribution and other splits by name, looked at once, after training.
        counterfactuals: questions that occur only as ends of pairs (edited images).
        pairs: pair tables, made by ``vqa-gs pairs build``.
        pair_kinds: use only the pairs of these kinds, the controls of a table of masks, say; none named: all.
        max_pairs: use only the first so many pairs of the tables; 0 uses all.
        val_fraction: share of training images held out when ``iid_val`` is left out.
        min_answer_questions: an answer enters the vocabulary with so many distinct training questions.
        question_length: tokens a question is cut or padded to.
        test_selection: ``refused``, or ``acknowledged`` to let iid_val share questions with a test split.
        glove: word vectors: a ``.txt``, ``.npz`` or ``.npy`` file, or an installed package's name.
    """

    train: SplitConfig
    features: str
    iid_val: SplitConfig | None = None
    tests: dict[str, SplitConfig] = field(default_factory=dict)
    counterfactuals: SplitConfig | None = None
    counterfactual_features: str | None = None
    pairs: list[str] = field(default_factory=list)
    pair_kinds: list[str] = field(default_factory=list)
    max_pairs: int = 0
    val_fraction: float = 0.1
    min_answer_questions: int = 9
    question_length: int = 14
    test_selection: Literal["refused", "acknowledged"] = "refused"
    glove: str | None = None

    def __post_init__(self) -> None:
        _at_least(self, "data", 1, "min_answer_questions", "question_length")
        _at_least(self, "data", 0, "max_pairs")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"data.val_fraction must be between 0 and 1, not {self.val_fraction}")


@dataclass
class TrainingConfig:
    """How a run is trained.

    Attributes:
        epochs: passes over the training questions at the most.
        batch_size: ordinary questions in a step, over all processes.
        pairs_per_batch: whole pairs in a step beside them, over all processes.
        lr: Adamax's learning rate.
        schedule: ``constant`` keeps it, ``cosine`` lets it fall to 0 at the end.
        clip: largest norm of the gradient.
        patience: stop after so many epochs without a better in-domain accuracy; 0 never stops early.
        max_steps: stop after so many steps; 0 does not.
        precision: ``auto`` takes bf16 where the hardware computes it and the model is not tiny, else fp32.
        device: ``auto`` takes CUDA where there is one.
        log_every: steps between two rows of log.csv.
        checkpoint_every: steps between two checkpoints; 0 writes one at the end of every epoch only.
        statistics_images: training images that region means and deviations are taken over.
    """

    epochs: int = 20
    batch_size: int = 512
    pairs_per_batch: int = 64
    lr: float = 2e-3
    schedule: Schedule = "constant"
    clip: float = 0.25
    patience: int = 5
    max_steps: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    log_every: int = 20
    checkpoint_every: int = 0
    statistics_images: int = 4096

    def __post_init__(self) -> None:
        _at_least(self, "training", 1, "epochs", "batch_size", "log_every", "statistics_images")
        _at_least(self, "training", 0, "pairs_per_batch", "patience", "max_steps", "checkpoint_every")
        for name in ("lr", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"training.{name} must be a positive number, not {getattr(self, name)}")


# One part a registered objective, so that a new objective's file is all it takes to configure it.
ObjectivesConfig: Any = dataclasses.make_dataclass(
    "ObjectivesConfig",
    [
        (name, OBJECTIVES[name].Settings, field(default_factory=OBJECTIVES[name].Settings))
        for name in OBJECTIVES.names()
    ],
)
ObjectivesConfig.__doc__ = "The terms of the loss; weight 0 switches one off."


@dataclass
class RunConfig:
    """Everything a run depends on.

    Attributes:
        data: where the data are.
        name: the arm's name in reports; runs that differ in the seed only share it.
        seed: seeds the model's initial values, the order of the data, dropout.
        scoring: the rule accuracies are computed by; ``exact`` or ``exact-normalized`` for single answers. Under
            ``exact`` answers are learnt as they are written, under all others after the official processing.
        architecture: which model.
        model: the model's sizes.
        objectives: the terms of the loss.
        training: how it is trained.
    """

    data: DataConfig
    name: str = ""
    seed: int = 0
    scoring: str = "official"
    architecture: str = "updn"
    model: UpDnSettings = field(default_factory=UpDnSettings)
    objectives: ObjectivesConfig = field(default_factory=ObjectivesConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"seed must be at least 0, not {self.seed}")

    def active_objectives(self) -> dict[str, Any]:
        """Returns the settings of the terms whose weight is not 0, by name."""
        parts = {part.name: getattr(self.objectives, part.name) for part in dataclasses.fields(self.objectives)}
        active = {name: settings for name, settings in parts.items() if settings.weight != 0}
        if not active:
            raise UsageError("every objective has weight 0: there is nothing to train on")
        return active

    def check(self) -> dict[str, Any]:
        """Raises `UsageError` where terms and data do not go together; returns the terms, by name."""
        objectives = self.active_objectives()
        needy = [name for name in objectives if OBJECTIVES[name].needs_pairs]
        if needy and not self.data.pairs:
            raise UsageError(f"the objective {needy[0]} needs pairs", mend="name pair tables in data.pairs")
        if self.data.pairs and self.training.pairs_per_batch == 0:
            raise UsageError("data.pairs are given but training.pairs_per_batch is 0", mend="set it above 0")
        return objectives

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as plain containers, ready for YAML and JSON."""
        return dataclasses.asdict(self)


def add_run_arguments(parser: ArgumentParser) -> None:
    """Adds ``--config`` and every field of `RunConfig` to a parser."""
    parser.add_argument("--config", action="config", help="YAML file of settings; flags override it")
    parser.add_class_arguments(RunConfig, None)


def config_from_namespace(parser: ArgumentParser, namespace: Namespace) -> RunConfig:
    """Builds the dataclasses from parsed arguments; other arguments of the namespace are left alone."""
    built = parser.instantiate(namespace) if hasattr(parser, "instantiate") else parser.instantiate_classes(namespace)
    names = [part.name for part in dataclasses.fields(RunConfig)]
    return RunConfig(**{name: built[name] for name in names})


def config_from_dict(values: dict[str, Any]) -> RunConfig:
    """Builds the settings from plain containers, validated like a YAML file."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RunConfig, None)
    # A copy, as jsonargparse writes into what it is given.
    return config_from_namespace(parser, parser.parse_object(deepcopy(values)))


def save_config(config: RunConfig, path: Path) -> None:
    """Writes the settings as YAML."""
    path.write_text(yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def is_saved(config: RunConfig, path: Path) -> bool:
    """Returns whether a file holds just these settings, as they are written; tenfold faster than reading them."""
    try:
        return bool(yaml.safe_load(path.read_text(encoding="utf-8")) == config.to_dict())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return False  # `load_config` says why


def load_config(path: StrPath) -> RunConfig:
    """Reads settings saved with a run.

    Raises:
        DataError: the file is missing or its settings are not this version's.
    """
    file = require_file(path, "configuration")
    try:
        return config_from_dict(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"is not readable YAML: {error}", file=file) from error
    except UsageError:
        raise
    except Exception as error:  # jsonargparse raises several types for a bad value
        raise DataError(f"has settings that do not fit this version: {error}", file=file) from error
