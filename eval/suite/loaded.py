"""A suite's tests as they are read: questions, what stands on them, and what was left out because it is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqa_gs.eval.evidence import Evidence, Pair
from vqa_gs.eval.grounding_file import Relevance, read_relevant_boxes
from vqa_gs.eval.results import read_id_list
from vqa_gs.eval.suite.spec import Names, Suite, SuiteTest

from vqa_gs.common.errors import found_in
from vqa_gs.common.phases import phase
from vqa_gs.data.asked_set import FORMS, AskedSet, read_asked
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.data.questions import Annotation, QuestionId, read_annotations


@dataclass(frozen=True)
class LoadedTest:
    """A test that is there.

    Attributes:
        name: its name.
        spec: what the suite says of it.
        asked: its questions.
        subsets: lists of question ids by name.
        evidence: what is known beside answers.
        twins: pairs [id in the test it is ``of``, id here]; None where they are not listed.
        relevance: the boxes that matter.
        features: its own region store.
        lists: the files of the subsets, by name.
    """

    name: str
    spec: SuiteTest
    asked: AskedSet
    subsets: Mapping[str, Sequence[QuestionId]]
    evidence: Evidence
    twins: Sequence[Pair] | None = None
    relevance: Relevance | None = None
    features: Path | None = None
    lists: Mapping[str, Path] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.spec.title or self.name


@dataclass
class Reader:
    """Reads the tests of a suite one by one, so that one is in memory at a time.

    Attributes:
        suite: the suite.
        left_out: what was not there, a sentence each.
    """

    suite: Suite
    left_out: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[LoadedTest]:
        """Yields the tests that are there.

        Raises:
            DataError, UsageError: a file that is there is damaged, or does not fit the others.
        """
        train = self._train()
        for name, test in self.suite.spec.tests.items():
            with phase(f"reading the test {name}"):
                found = self._read(name, test, train)
            if found is not None:
                yield found

    def present(self, test: SuiteTest) -> bool:
        """Says whether all files are there that a test cannot do without."""
        needed = FORMS[test.form].files
        return all(self.suite.find(file) for name, file in test.files().items() if name in needed)

    def tests_there(self) -> list[str]:
        """Returns the names of the tests that are there, without reading any."""
        return [name for name, test in self.suite.spec.tests.items() if self.present(test)]

    def _train(self) -> list[Annotation] | None:
        file = self._optional(self.suite.spec.train_annotations, "the priors of training")
        if file is None:
            return None
        with phase("reading training annotations"):
            return read_annotations(file)

    def _optional(self, names: Names | None, what: str) -> Path | None:
        """Returns a file, None where it is not named or not there, which is told then."""
        if names is None:
            return None
        file = self.suite.find(names)
        if file is None:
            self.left_out.append(f"{what}: {self.suite.told(names)} is not there")
        return file

    def _read(self, name: str, test: SuiteTest, train: list[Annotation] | None) -> LoadedTest | None:
        if not self.present(test):
            needed = ((key, names) for key, names in test.files().items() if key in FORMS[test.form].files)
            names = next(names for _, names in needed if self.suite.find(names) is None)
            self.left_out.append(f"{name}: {self.suite.told(names)} is not there")
            return None
        files = {key: self._optional(names, f"{key} of {name}") for key, names in test.files().items()}
        with found_in(self.suite.file):
            asked = read_asked(test.form, {key: file for key, file in files.items() if file}, test.options)
        subsets: dict[str, Sequence[QuestionId]] = {}
        lists: dict[str, Path] = {}
        for one, names in test.subsets.items():
            file = self._optional(names, f"the subset {one} of {name}")
            if file is not None:
                subsets[one], lists[one] = self._own(asked, read_id_list(file)), file
        pairs = {}
        for one, names in test.pairs.items():
            file = self._optional(names, f"the pairs {one} of {name}")
            if file is not None:
                pairs[one] = read_pair_list(file)[0]
        ces = [self._optional(names, f"VQA-CE of {name}") for names in (test.counterexamples, test.hard)]
        ce, hard = (read_id_list(file) for file in ces if file) if all(ces) else (None, None)
        boxes = self._optional(test.relevant_boxes, f"the relevant boxes of {name}")
        twins = self._optional(test.twin_pairs, f"the twins of {name}")
        evidence = Evidence(
            train=train,
            pairs=pairs,
            counterexamples=ce,
            hard=hard,
            local_groups=asked.groups.local_groups,
            semantic_types=asked.groups.semantic_types,
            groups=asked.groups,
            means=self._means(name, test, subsets),
        )
        return LoadedTest(
            name,
            test,
            asked,
            subsets,
            evidence,
            read_pair_list(twins)[0] if twins else None,
            read_relevant_boxes(boxes) if boxes else None,
            self._optional(test.features, f"the features of {name}"),
            lists,
        )

    def _means(
        self, name: str, test: SuiteTest, subsets: Mapping[str, Sequence[QuestionId]]
    ) -> dict[str, dict[str, Sequence[QuestionId]]]:
        found = {}
        for mean, members in test.means.items():
            absent = [one for one in members if one not in subsets]
            if absent:
                self.left_out.append(f"{name}: no {mean}, for lack of {', '.join(absent)}")
            else:
                found[mean] = {one: subsets[one] for one in members}
        return found

    @staticmethod
    def _own(asked: AskedSet, listed: Sequence[QuestionId]) -> list[QuestionId]:
        """Returns a list in the ids of the set: an id that repeats there stands for all its questions."""
        if not asked.keys:
            return list(listed)
        of: dict[QuestionId, list[QuestionId]] = {}
        for (question_id, _), own in asked.keys.items():
            of.setdefault(question_id, []).append(own)
        return [own for one in listed for own in of.get(one, [one])]
