"""A suite put to a finished run: each set of questions is answered once, for FPVG also with some regions alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vqa_gs.common.errors import UsageError
from vqa_gs.eval.evidence import Restricted
from vqa_gs.eval.suite.answers import Answered, answered, by_own_id
from vqa_gs.eval.suite.loaded import LoadedTest
from vqa_gs.features.fingerprint import differences
from vqa_gs.features.joined import open_stores
from vqa_gs.features.store import RegionStore
from vqa_gs.tasks.vqa.kept_answers import Rows, inputs_of, keep, read_kept
from vqa_gs.tasks.vqa.region_choice import Kind, with_regions_of
from vqa_gs.tasks.vqa.trained import TrainedModel

_KINDS: tuple[Kind, ...] = ("relevant", "irrelevant")


class RunAnswers:
    """Answers the tests of a suite with a finished run on visual questions.

    Args:
        model: the run.
        batch_size: questions at once.
        features: the region store of tests that name none; None: the run's own.
        allow_other_features: accept stores made otherwise than the run's.
        keep_in: the folder that answers are kept in, and taken from where all they depend on is the same, see
            `vqa_gs.tasks.vqa.kept_answers`; None: all are computed.

    Attributes:
        taken: the tests whose answers were taken.
    """

    def __init__(
        self,
        model: TrainedModel,
        batch_size: int = 512,
        features: str | None = None,
        allow_other_features: bool = False,
        keep_in: Path | None = None,
    ) -> None:
        self.model, self.batch_size, self.allow_other = model, batch_size, allow_other_features
        self.keep_in = keep_in
        self.taken: list[str] = []
        self._default = [features] if features else model.settings.data.stores()
        self._stores: dict[tuple[str, ...], RegionStore] = {}

    def __call__(self, test: LoadedTest) -> Answered:
        """Returns the run's answers to a test.

        Raises:
            DataError: an image is not in the store.
            UsageError: the store was made otherwise than the run's, and that was not allowed.
        """
        store = self._store(test)
        rows = self._kept_or_computed(test, store)
        found = answered(rows.whole, test.asked)
        restricted = [
            {key: row.answer for key, row in by_own_id(some, test.asked).items()}
            for some in (rows.relevant, rows.irrelevant)
        ]
        return replace(found, restricted=Restricted(*restricted)) if all(restricted) else found

    def _kept_or_computed(self, test: LoadedTest, store: RegionStore) -> Rows:
        inputs = inputs_of(self.model, test, store, self.batch_size) if self.keep_in is not None else None
        if self.keep_in is None or inputs is None:
            return self._computed(test, store)
        rows = read_kept(self.keep_in, test.name, inputs)
        if rows is not None:
            self.taken.append(test.name)
            return rows
        rows = self._computed(test, store)
        keep(self.keep_in, test.name, inputs, rows)
        return rows

    def _computed(self, test: LoadedTest, store: RegionStore) -> Rows:
        questions = test.asked.questions
        rows = Rows(self.model.results(questions, store, self.batch_size, scores=True))
        if test.relevance is None:
            return rows
        restricted = []
        for kind in _KINDS:
            few, view = with_regions_of(kind, questions, store, test.relevance)
            restricted.append(self.model.results(few, view, self.batch_size) if len(few) else [])
        return Rows(rows.whole, *restricted)

    def _store(self, test: LoadedTest) -> RegionStore:
        names = self._default if test.features is None else [str(test.features)]
        key = tuple(names)
        if key not in self._stores:
            store = open_stores(names)
            different = differences(store.fingerprint, self.model.fingerprint)
            if different and not self.allow_other:
                raise UsageError(
                    f"{names[0]} was made otherwise than the run's features: {'; '.join(different[:3])}",
                    mend="name a store with the same fingerprint, or give --allow-other-features",
                )
            self._stores[key] = store
        return self._stores[key]
