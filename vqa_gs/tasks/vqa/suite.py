"""A suite put to a finished run: each set of questions is answered once, for FPVG also with some regions alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vqa_gs.common.errors import UsageError
from vqa_gs.eval.evidence import Restricted
from vqa_gs.eval.suite.answers import Answered, answered, by_own_id
from vqa_gs.eval.suite.loaded import LoadedTest, Reader
from vqa_gs.eval.suite.spec import Suite
from vqa_gs.features.fingerprint import differences
from vqa_gs.features.joined import open_stores
from vqa_gs.features.store import RegionStore
from vqa_gs.tasks.vqa.examples import require_images
from vqa_gs.tasks.vqa.region_choice import Kind, with_regions_of
from vqa_gs.tasks.vqa.settings import DataConfig, SplitConfig
from vqa_gs.tasks.vqa.trained import TrainedModel

_KINDS: tuple[Kind, ...] = ("relevant", "irrelevant")


class RunAnswers:
    """Answers the tests of a suite with a finished run on visual questions.

    Args:
        model: the run.
        batch_size: questions at once.
        features: the region store of tests that name none; None: the run's own.
        allow_other_features: accept stores made otherwise than the run's.
    """

    def __init__(
        self,
        model: TrainedModel,
        batch_size: int = 512,
        features: str | None = None,
        allow_other_features: bool = False,
    ) -> None:
        self.model, self.batch_size, self.allow_other = model, batch_size, allow_other_features
        self._default = [features] if features else model.settings.data.stores()
        self._stores: dict[tuple[str, ...], RegionStore] = {}

    def __call__(self, test: LoadedTest) -> Answered:
        """Returns the run's answers to a test.

        Raises:
            DataError: an image is not in the store.
            UsageError: the store was made otherwise than the run's, and that was not allowed.
        """
        store, questions = self._store(test), test.asked.questions
        found = answered(self.model.results(questions, store, self.batch_size, scores=True), test.asked)
        if test.relevance is None:
            return found
        restricted = []
        for kind in _KINDS:
            few, view = with_regions_of(kind, questions, store, test.relevance)
            rows = self.model.results(few, view, self.batch_size) if len(few) else []
            restricted.append({key: row.answer for key, row in by_own_id(rows, test.asked).items()})
        return replace(found, restricted=Restricted(*restricted)) if all(restricted) else found

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


def prepare_for(suite: Suite, data: DataConfig) -> None:
    """Gets a run ready to be tested on a suite, before it is trained: what testing will refuse is refused now.

    Where the suite has in-domain questions of its own and the run names none, epochs are chosen on the suite's.

    Raises:
        DataError: a file of the suite is damaged, or an image has no regions.
        UsageError: none of its tests is there.
    """
    selection = suite.spec.selection
    if selection is not None and data.iid_val is None:
        questions, annotations = suite.find(selection.questions), suite.find(selection.annotations)
        if questions is None or annotations is None:
            raise UsageError(
                f"the suite's own in-domain questions are not there: {suite.told(selection.questions)}",
                file=suite.file,
                mend="put them there, or name others in data.iid_val",
            )
        data.iid_val = SplitConfig(str(questions), str(annotations))
    stores: dict[Path | None, RegionStore] = {}
    there = False
    for test in Reader(suite):
        if test.features not in stores:
            stores[test.features] = open_stores([test.features] if test.features else data.stores())
        require_images(test.asked.questions, stores[test.features])
        there = True
    if not there:
        raise UsageError("none of its tests is there", file=suite.file, mend=f"look what {suite.folder} should hold")
