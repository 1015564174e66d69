"""The file of a study: what it says, and one line for whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.names import data_dir, filled
from vqa_gs.common.yaml_files import parse_yaml, read_mapping
from vqa_gs.training.config import RunConfig

Settings = dict[str, Any]

# What an arm says beside its settings.
_OF_AN_ARM = ("extends", "sweep", "against")
# What the study itself decides of each run.
_OF_THE_STUDY = ("name", "seed")
_WORLD = "{world}"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command line that makes files.

    Attributes:
        makes: the file, or the files, it makes.
        run: the words after ``vqa-gs``.
    """

    makes: str | list[str]
    run: Annotated[list[str | int | float], msgspec.Meta(min_length=1)]

    @property
    def files(self) -> list[str]:
        """The files it makes."""
        return [self.makes] if isinstance(self.makes, str) else self.makes

    @property
    def words(self) -> list[str]:
        """The words after ``vqa-gs``."""
        return [str(word) for word in self.run]


class ArmSpec(msgspec.Struct, frozen=True):
    """An arm as it is written.

    Attributes:
        settings: nested settings of its runs that differ from the base.
        extends: the arm whose settings it starts from.
        sweep: one dotted field and the values it takes, each of which makes an arm.
        against: the arms it is tested against, in place of the study's control.
    """

    settings: Settings
    extends: str | None = None
    sweep: tuple[str, tuple[Any, ...]] | None = None
    against: tuple[str, ...] = ()


def run_label(world: int | None, seed: int) -> int | str:
    """Returns what a run of an arm goes by: its seed, or world and seed."""
    return seed if world is None else f"{world}/{seed}"


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A choice of one arm, by its mean over the runs of all datasets but the final one.

    Attributes:
        among: the arms.
        split: the split whose measure decides.
        kind: what it is taken over, as in ``study.json``: ``overall``, ``answer_type``, ``subset`` ...
        name: which of them; "" for all questions.
    """

    among: Annotated[list[str], msgspec.Meta(min_length=2)]
    split: str = "ood_test"
    kind: str = "overall"
    name: str = ""


class Final(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The dataset that is opened once all is chosen.

    Attributes:
        dataset: its name.
        seeds: the seeds of its runs, so that what is reported is not what was chosen by; none: the study's.
        arms: arms that are trained there in any case.
        choose: by what name it goes, and how one more arm is chosen.
    """

    dataset: str
    seeds: list[Annotated[int, msgspec.Meta(ge=0)]] = []
    arms: list[str] = []
    choose: dict[str, Choice] = {}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    arms: Annotated[dict[str, dict[str, Any] | None], msgspec.Meta(min_length=1)]
    title: str = ""
    base: str | None = None
    settings: dict[str, Any] = {}
    datasets: dict[str, dict[str, Any] | None] = {}
    seeds: Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [0]
    )
    worlds: list[Annotated[int, msgspec.Meta(ge=0)]] = []
    suite: str | None = None
    control: str | None = None
    drawn: list[str] = []
    prepare: list[Step] = []
    final: Final | None = None


class StudySpec(msgspec.Struct, frozen=True):
    """A study as it is written, its settings nested and its placeholders filled in.

    Attributes:
        file: where it was read.
        title: of the report.
        base: settings of all runs.
        datasets: settings of each dataset's runs; one without a name where there are none.
        arms: the arms by name.
        seeds: the seeds of every arm.
        control: the arm the others are tested against.
        drawn: the arms that bars are drawn of; none: the first few.
        prepare: what is made before the runs, in this order.
        final: the dataset that ``--final`` opens; None where there is none.
        worlds: the numbers that ``{world}`` stands for: every arm is trained with every seed in each.
        suite: the file of the suite that every run is tested on, see `vqa_gs.eval.suite.spec`.
    """

    file: Path
    title: str
    base: Settings
    datasets: dict[str, Settings]
    arms: dict[str, ArmSpec]
    seeds: tuple[int, ...]
    control: str | None
    drawn: tuple[str, ...]
    prepare: tuple[Step, ...]
    final: Final | None = None
    worlds: tuple[int, ...] = ()
    suite: str | None = None

    @property
    def every_seed(self) -> tuple[int, ...]:
        """The seeds of all datasets, those of the final one last."""
        return tuple(dict.fromkeys([*self.seeds, *(self.final.seeds if self.final else [])]))

    def has(self, dataset: str, seed: int) -> bool:
        """Whether a dataset is trained on with a seed."""
        final = self.final
        own = final.seeds if final and final.seeds and dataset == final.dataset else self.seeds
        return seed in own


def nested(settings: Mapping[str, Any]) -> Settings:
    """Returns settings whose outermost keys may be dotted (``data.max_pairs: 50``) as nested ones."""
    result: Settings = {}
    for key, value in settings.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        result = merged(result, value)
    return result


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Settings:
    """Returns ``one`` with what ``other`` says: mappings entry by entry, all else replaced."""
    result = dict(one)
    for key, value in other.items():
        if isinstance(value, Mapping):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def without_null(settings: Mapping[str, Any]) -> Settings:
    """Returns settings without the entries that an upper layer took away by saying null."""
    return {
        key: without_null(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if value is not None
    }


def read_overrides(words: Sequence[str]) -> Settings:
    """Returns the settings of ``section.field=value`` words, the values read as YAML.

    Raises:
        UsageError: a word is none of these.
    """
    settings: Settings = {}
    for word in words:
        field, equals, text = word.partition("=")
        try:
            if not equals or not field:
                raise UsageError(f"--set {word!r} is not section.field=value")
            settings = merged(settings, _settings({field: parse_yaml(text)}, "--set", field))
        except yaml.YAMLError as error:
            raise UsageError(f"--set {word!r} has no value that YAML reads") from error
    return settings


def read_study(path: StrPath, out: StrPath, data: str | None = None) -> StudySpec:
    """Reads the file of a study.

    Args:
        path: the file.
        out: the study's folder, for ``{out}``.
        data: the folder of the data, for ``{data_dir}``; None for the environment's ``VQA_DATA``.

    Raises:
        DataError: it is missing, no YAML, or says what no study says; the line names the key.
        UsageError: its seeds repeat, or a sweep sweeps over nothing.
    """
    raw = read_mapping(path, "study")
    try:
        found = msgspec.convert(filled(raw, {"out": str(out), "data_dir": data_dir(data)}), _File)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        raise DataError(problem, file=path, record=place.strip("`").removeprefix("$").lstrip(".") or None) from error
    for record, numbers in (
        ("seeds", found.seeds),
        ("final.seeds", found.final.seeds if found.final else []),
        ("worlds", found.worlds),
    ):
        if len(set(numbers)) < len(numbers):
            raise UsageError(f"a {record[:-1].split('.')[-1]} stands twice", file=path, record=record)
    _check_final(found, path)
    _check_worlds(found, path)
    base = _settings(read_mapping(found.base, "configuration"), path, "base", own=False) if found.base else {}
    return StudySpec(
        Path(path),
        found.title,
        merged(base, _settings(found.settings, path, "settings")),
        {name: _settings(given or {}, path, f"datasets.{name}") for name, given in found.datasets.items()} or {"": {}},
        {name: _arm(given or {}, path, f"arms.{name}") for name, given in found.arms.items()},
        tuple(found.seeds),
        found.control,
        tuple(found.drawn),
        tuple(_in_worlds(found.prepare, found.worlds)),
        found.final,
        tuple(found.worlds),
        found.suite,
    )


def _check_final(found: _File, file: StrPath) -> None:
    """Refuses a final dataset that is not there, or is the only one."""
    if found.final is None:
        return
    others = [name for name in found.datasets if name != found.final.dataset]
    if len(others) == len(found.datasets):
        choices = ", ".join(found.datasets) or "none"
        raise DataError(f"there is no dataset {found.final.dataset!r}", file=file, record="final", mend=choices)
    if not others:
        raise DataError("needs another dataset to choose on", file=file, record="final", mend="add one to `datasets`")
    if not found.final.arms and not found.final.choose:
        raise DataError("names no arm", file=file, record="final", mend="name some in final.arms or final.choose")


def _check_worlds(found: _File, file: StrPath) -> None:
    """Refuses worlds that change nothing, and their name where there are none."""
    named = [_WORLD in str(part) for part in (found.settings, found.datasets, found.arms)]
    if found.worlds and not any(named):
        mend = f"name {_WORLD} in the settings that differ between them"
        raise DataError("are all the same", file=file, record="worlds", mend=mend)
    if not found.worlds and (any(named) or any(_WORLD in str(step) for step in found.prepare)):
        raise DataError(f"{_WORLD} is named, but there are no worlds", file=file, mend="add `worlds: [1, 2, 3]`")


def _in_worlds(steps: Sequence[Step], worlds: Sequence[int]) -> list[Step]:
    """Returns the steps, those that name the world once for each."""
    found = []
    for step in steps:
        own = [*step.files, *step.words]
        if any(_WORLD in text for text in own):
            found += [msgspec.convert(filled(msgspec.to_builtins(step), {"world": str(one)}), Step) for one in worlds]
        else:
            found.append(step)
    return found


def _settings(given: Mapping[str, Any], file: StrPath, record: str, own: bool = True) -> Settings:
    """Checks the outermost keys of settings: what is deeper, the run's own settings check."""
    known = [part.name for part in fields(RunConfig)]
    for key in given:
        section = str(key).split(".")[0]
        if section not in known:
            choices = ", ".join(name for name in known if name not in _OF_THE_STUDY)
            raise DataError(f"there is no setting {key!r}", file=file, record=record, mend=f"choose among {choices}")
        if own and section in _OF_THE_STUDY:
            raise DataError(f"{section!r} is set by the study", file=file, record=record, mend="leave it out")
    return nested({key: value for key, value in given.items() if key not in _OF_THE_STUDY})


def _arm(given: dict[str, Any], file: StrPath, record: str) -> ArmSpec:
    said = {name: given.get(name) for name in _OF_AN_ARM}
    against = said["against"] or []
    against = [against] if isinstance(against, str) else against
    if said["extends"] is not None and not isinstance(said["extends"], str):
        raise DataError("is no arm's name", file=file, record=f"{record}.extends")
    if not isinstance(against, list) or not all(isinstance(name, str) for name in against):
        raise DataError("is no arm's name, and no list of names", file=file, record=f"{record}.against")
    sweep = None
    if said["sweep"] is not None:
        sweep = _sweep(said["sweep"], file, f"{record}.sweep")
    settings = {key: value for key, value in given.items() if key not in _OF_AN_ARM}
    return ArmSpec(_settings(settings, file, record), said["extends"], sweep, tuple(against))


def _sweep(given: Any, file: StrPath, record: str) -> tuple[str, tuple[Any, ...]]:
    if not isinstance(given, dict) or len(given) != 1:
        raise DataError("a sweep is one field with a list of values", file=file, record=record)
    field, values = next(iter(given.items()))
    if not isinstance(values, list) or not values:
        raise DataError("a sweep needs a list of values", file=file, record=f"{record}.{field}")
    if len({str(value) for value in values}) < len(values):
        raise DataError("a value stands twice", file=file, record=f"{record}.{field}")
    _settings({field: None}, file, record)
    return field, tuple(values)
