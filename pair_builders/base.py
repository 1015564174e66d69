"""What every pair builder looks like, and where they are registered.

A builder is one file: a frozen dataclass ``Settings`` of plain typed fields, from which the command line
makes its options, and a function decorated with :func:`pair_builder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.store import RegionStore
from pair_builders.table import PairTable, QuestionId
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.registry import Registry
from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.questions import Annotation, QuestionSet

Progress = Callable[[int, int], None]
"""Called with what is done and the total of the stage under way; a new stage begins at a lower number."""


@dataclass(frozen=True)
class PairSources:
    """What pairs are made from; each builder says in ``needs`` what it cannot do without.

    Attributes:
        questions: the training questions with their annotations.
        store: the regions of every image that is asked about.
        edited: counterfactual questions with their annotations, where these are in files of their own.
        pair_list: a JSON file that says which questions belong together.
    """

    questions: QuestionSet
    store: RegionStore | None = None
    edited: QuestionSet | None = None
    pair_list: Path | None = None

    def files(self) -> dict[str, str]:
        """Returns path -> SHA-256 of the questions, annotations and region store.

        The store's is its content hash: to read tens of gigabytes again only to hash them would take minutes.
        """
        files = {**self.questions.sources, **(self.edited.sources if self.edited else {})}
        if self.store is not None:
            files[str(self.store.path)] = self.store.content_hash
        return files

    def require_store(self) -> RegionStore:
        """Returns the region store; UsageError where there is none."""
        if self.store is None:
            raise UsageError("these pairs cannot be made without a region store", mend="name one")
        return self.store


@dataclass(frozen=True)
class PairBuilder:
    """A registered builder.

    Attributes:
        kind: its name, and the kind of the pairs it makes.
        Settings: a frozen dataclass; every field has a default.
        function: what makes the table.
        needs: which of the fields of :class:`PairSources` must be there.
        summary: one line on what it does.
    """

    kind: str
    Settings: type[Any]
    function: Callable[..., PairTable]
    needs: tuple[str, ...]
    summary: str

    def build(
        self, sources: PairSources, settings: Any = None, seed: int = 0, progress: Progress | None = None
    ) -> PairTable:
        """Makes the pairs.

        Args:
            sources: what they are made from.
            settings: a ``Settings`` of this builder; None: the defaults.
            seed: equal seeds, settings and sources give equal tables.
            progress: called from time to time.

        Raises:
            UsageError: the settings make no sense, or a source is missing.
            DataError: the sources do not fit together.
        """
        for need in self.needs:
            if getattr(sources, need) is None:
                raise UsageError(f"{self.kind} pairs need {_SOURCES[need]}", mend="name it")
        for questions in (sources.questions, sources.edited):
            if questions is not None and questions.annotations is None:
                raise UsageError(
                    f"{self.kind} pairs need the questions' answers",
                    file=next(iter(questions.sources), None),
                    mend="name the annotations file too",
                )
        return self.function(sources, self.Settings() if settings is None else settings, seed, progress)


_SOURCES = {
    "store": "a region store",
    "edited": "the edited questions and their annotations",
    "pair_list": "a list of the pairs",
}

BUILDERS: Registry[PairBuilder] = Registry("pair builder", "pair_builders")


def pair_builder(
    kind: str, settings: type[Any], needs: Iterable[str] = ()
) -> Callable[[Callable[..., PairTable]], Callable[..., PairTable]]:
    """Returns a decorator that registers a builder's function and leaves it as it is.

    Args:
        kind: the name it is found by.
        settings: its settings class.
        needs: which fields of :class:`PairSources` it cannot do without, beside the questions.
    """

    def add(function: Callable[..., PairTable]) -> Callable[..., PairTable]:
        summary = (function.__doc__ or kind).splitlines()[0]
        BUILDERS.register(kind)(PairBuilder(kind, settings, function, tuple(needs), summary))
        return function

    return add


def made_with(settings: Any, seed: int, dropped: Mapping[str, int]) -> dict[str, Any]:
    """Returns a table's entry on how its pairs were made, in plain JSON types.

    Args:
        settings: the builder's settings.
        seed: its seed.
        dropped: how many pairs or questions were left out, by reason.
    """
    values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    return {**values, "seed": seed, "dropped": dict(dropped)}


def check_alignment_settings(sparse_regions: int, box_weight: float, weight: float) -> None:
    """Checks the settings that builders share.

    Raises:
        UsageError: one of them makes no sense.
    """
    if sparse_regions < 1:
        raise UsageError(f"sparse_regions is {sparse_regions}", mend="keep 1 or more")
    if not 0 <= box_weight < float("inf"):
        raise UsageError(f"box_weight is {box_weight}", mend="give a number of 0 or more")
    if not 0 <= weight < float("inf"):
        raise UsageError(f"the weight of the pairs is {weight}", mend="give a number of 0 or more")


def answer_of(annotation: Annotation) -> str:
    """Returns the majority answer in its normalised form, by which answers are compared."""
    return normalize_answer(strip_answer(annotation.majority))


class Ends:
    """Finds the questions that pair ends speak of.

    Args:
        questions: a question set with annotations.
    """

    def __init__(self, questions: QuestionSet) -> None:
        self.questions = questions
        self.rows: dict[QuestionId, int] = {id: row for row, id in enumerate(questions.question_ids)}

    def __contains__(self, question_id: QuestionId) -> bool:
        return question_id in self.rows

    def image(self, question_id: QuestionId) -> QuestionId:
        """Returns the id of the image a question is about."""
        return self.questions.questions[self.rows[question_id]].image_id

    def annotation(self, question_id: QuestionId) -> Annotation | None:
        """Returns a question's annotation, None where the question or its answers are not known."""
        row = self.rows.get(question_id)
        return None if row is None or not self.questions.annotations else self.questions.annotations[row]

    def answer(self, question_id: QuestionId) -> str:
        """Returns a question's normalised majority answer."""
        annotation = self.annotation(question_id)
        if annotation is None:
            raise DataError("the answer is not known", record=f"question {question_id!r}")
        return answer_of(annotation)

    def require(self, question_id: QuestionId, file: StrPath | None, record: str, mend: str | None = None) -> None:
        """Checks that a question is there.

        Args:
            question_id: its id.
            file: the file that speaks of it, None where that is not known here.
            record: where in the file.
            mend: what else may help.

        Raises:
            DataError: it is not; the message names both files.
        """
        if question_id in self.rows:
            return
        where = next(iter(self.questions.sources), "the questions")
        other: QuestionId = str(question_id)
        if isinstance(question_id, str):
            other = int(question_id) if question_id.lstrip("-").isdecimal() else question_id
        if other is not question_id and other in self.rows:
            mend = "the ids are numbers in one file and text in the other: write them alike"
        raise DataError(
            f"there is no question {question_id!r} in {where}",
            file=file,
            record=record,
            mend=mend or "take both from the same release",
        )
