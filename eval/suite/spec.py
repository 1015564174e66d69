"""A suite file: the tests of a suite, where their files lie, by which rules they are scored.

Names of files are relative to the folder of the data, the environment's ``VQA_DATA``. Where files are known by several
names a list of them is given, of which the first that is there counts; each may also be there gzipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from vqa_gs.eval.report.published_results import load_published
from vqa_gs.eval.rules import RULES
from vqa_gs.eval.runs import Domain

from vqa_gs.common.errors import DataError, UsageError, found_in
from vqa_gs.common.files import StrPath, sha256_file
from vqa_gs.common.names import DATA_DIR, data_dir, require_file_names
from vqa_gs.common.yaml_files import read_mapping
from vqa_gs.data.asked_set import DEFAULT_FORM, FORMS

T = TypeVar("T")
Names = str | Annotated[list[str], msgspec.Meta(min_length=1)]
_FILES = ("questions", "annotations", "choices")


class SuiteTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One set of questions and all that stands on it.

    Attributes:
        questions: the questions file, or the one file of its form.
        side: on which side of the shift it lies: ``in`` or ``ood``.
        title: what tables call it; its name if empty.
        form: how its files are read, see `vqa_gs.data.asked_set.FORMS`.
        options: further settings of the form.
        annotations: the annotations file, where the form has one.
        choices: GQA's choices file.
        rules: scoring rules, the first of them the main one; empty: the form's own.
        subsets: lists of question ids by name, or question files.
        means: by name, subsets to average over.
        pairs: lists of pairs of question ids by name.
        counterexamples: VQA-CE's list; with ``hard``.
        hard: VQA-CE's list of questions that no rule covers.
        relevant_boxes: boxes that matter; with them a run is also asked with relevant and with irrelevant regions
            alone.
        edits: what edited images change, ``iv`` or ``cv``; the originals are those of ``of``.
        twins: whether the questions ask those of ``of`` otherwise (RAD): under the same ids, or as ``twin_pairs`` says.
        twin_pairs: pairs [id in ``of``, id here].
        of: an earlier test of the suite.
        features: the region store of its images, where it is not the run's own.
        published: the name of a table of published results on it.
    """

    questions: Names
    side: Domain
    title: str = ""
    form: str = DEFAULT_FORM
    options: dict[str, str] = {}
    annotations: Names | None = None
    choices: Names | None = None
    rules: list[str] = []
    subsets: dict[str, Names] = {}
    means: dict[str, list[str]] = {}
    pairs: dict[str, Names] = {}
    counterexamples: Names | None = None
    hard: Names | None = None
    relevant_boxes: Names | None = None
    edits: Literal["iv", "cv"] | None = None
    twins: bool = False
    twin_pairs: Names | None = None
    of: str | None = None
    features: Names | None = None
    published: str | None = None

    @property
    def scoring(self) -> list[str]:
        """The rules, the main one first."""
        return [RULES.canonical(rule) for rule in self.rules] or [FORMS[self.form].scoring]

    def files(self) -> dict[str, Names]:
        """Returns the files of its questions, by what they hold."""
        found = {name: getattr(self, name) for name in _FILES}
        return {name: file for name, file in found.items() if file is not None}


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The in-domain questions that epochs are chosen on, where the set has its own."""

    questions: Names
    annotations: Names


class SuiteSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A suite.

    Attributes:
        title: what it is called.
        tests: by name, which metrics and predictions are filed under.
        train_annotations: training annotations, for the priors of question types.
        selection: see `Selection`.
        notes: what to beware of, a sentence each.
    """

    title: str
    tests: dict[str, SuiteTest]
    train_annotations: Names | None = None
    selection: Selection | None = None
    notes: list[str] = []


class Suite(msgspec.Struct, frozen=True):
    """A suite with where it was read and where its data lie."""

    spec: SuiteSpec
    file: Path
    sha256: str
    folder: Path

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.name.split(".")[0]

    def find(self, names: Names | None) -> Path | None:
        """Returns the first of some files that is there, plain or gzipped; None where none is."""
        for name in [names] if isinstance(names, str) else names or []:
            for candidate in (self.folder / name, self.folder / f"{name}.gz"):
                with suppress(OSError):  # a name too long for a file is none that is there
                    if candidate.is_file():
                        return candidate
        return None

    def first(self, names: Names) -> Path:
        """Returns where the first of some files would lie."""
        return self.folder / (names if isinstance(names, str) else names[0])

    def told(self, names: Names) -> str:
        """Returns where a file was looked for."""
        others = [] if isinstance(names, str) else names[1:]
        return f"{self.first(names)}" + (f" (nor {', '.join(others)})" if others else "")


def read_suite(path: StrPath, folder: str | None = None) -> Suite:
    """Reads a suite file; whether the files it names are there is found out when they are read.

    Args:
        path: the file, YAML.
        folder: of the data; None: the environment's ``VQA_DATA``.

    Raises:
        DataError: it is missing, damaged or of another layout.
        UsageError: a rule, form or published table it names does not exist, or its tests do not fit together.
    """
    content = read_mapping(path, "suite")
    named = content.get("tests")
    for name, test in named.items() if isinstance(named, dict) else ():
        _converted(test, SuiteTest, path, f"tests.{name}")
    spec = _converted(content, SuiteSpec, path, "")
    given = data_dir(folder)
    if not given:
        raise UsageError(
            "the names in a suite are relative to a folder that is not said",
            file=path,
            mend=f"set the environment variable {DATA_DIR} to the folder of the data, or give --data-dir",
        )
    with found_in(path):
        _check(spec)
    return Suite(spec, Path(path), sha256_file(path), Path(given))


def _converted(content: Any, kind: type[T], path: StrPath, place: str) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        problem, _, inside = str(error).partition(" - at `$")
        raise DataError(
            f"not a suite: {problem[:1].lower()}{problem[1:]}",
            file=path,
            record=f"{place}{inside.rstrip('`')}".lstrip(".") or None,
            mend="docs/suites.md tells what may stand in one",
        ) from error


def split_of(test: str, rule: str, main: str) -> str:
    """Returns what a test's metrics under a rule are filed under: its name, with a rule that is not the main one."""
    return test if rule == main else f"{test}_{rule}"


def _check(spec: SuiteSpec) -> None:
    if not spec.tests:
        raise UsageError("the suite has no tests", mend="name at least one under `tests`")
    names = [split_of(name, rule, test.scoring[0]) for name, test in spec.tests.items() for rule in test.scoring]
    require_file_names(names, "tests")
    earlier: list[str] = []
    for name, test in spec.tests.items():
        with_original = bool(test.edits or test.twins or test.twin_pairs)
        problems: Iterable[tuple[bool, str]] = (
            ((test.counterexamples is None) != (test.hard is None), "counterexamples and hard go together"),
            (with_original != (test.of is not None), "`of` goes with edits or twins"),
            (test.of is not None and test.of not in earlier, f"`of` names {test.of!r}, which is no earlier test"),
            (test.edits is not None and (test.twins or test.twin_pairs is not None), "edits are no twins"),
        )
        problem = next((told for bad, told in problems if bad), None)
        strays = {one for subsets in test.means.values() for one in subsets} - set(test.subsets)
        if strays:
            problem = f"a mean names {min(strays)!r}, which is no subset of it"
        if any(not subsets for subsets in test.means.values()):
            problem = "a mean names no subsets"
        if problem:
            raise UsageError(f"tests.{name}: {problem}", mend="see docs/suites.md")
        for rule in test.scoring:
            RULES[rule]  # raises where there is none
            if test.scoring.count(rule) > 1:
                raise UsageError(f"tests.{name}: the rule {rule} stands twice", mend="name it once")
        if test.published is not None:
            load_published(test.published)
        earlier.append(name)
