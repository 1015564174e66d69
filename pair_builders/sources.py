"""What pairs are made from: questions, regions, and the files that say more about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.classes.regions import ClassSettings, RegionClasses, read_region_classes
from vqa_gs.pair_builders.ends import Ends

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.questions import ImageId, QuestionSet

Progress = Callable[[int, int], None]
"""Called with what is done and the total of the stage under way; a new stage begins at a lower number."""


@dataclass(frozen=True)
class PairSources:
    """What pairs are made from; a builder tells what it cannot do without.

    Attributes:
        questions: the training questions with their annotations.
        store: the regions of every image that is asked about.
        edited: counterfactual questions with their annotations, where these are in files of their own.
        pair_list: a JSON file that says which questions belong together.
        regions: where the classes of the store's regions are written down.
        glove: word vectors, any source of :func:`vqa_gs.data.glove.load_glove`.
        evidence: settings of sources of evidence by their name; of one that is not there, its defaults.
    """

    questions: QuestionSet
    store: RegionStore | None = None
    edited: QuestionSet | None = None
    pair_list: Path | None = None
    regions: ClassSettings = field(default_factory=ClassSettings)
    glove: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def classes(self) -> RegionClasses:
        """The classes of the store's regions, read on first use."""
        return read_region_classes(self.require_store(), self.regions)

    @cached_property
    def ends(self) -> Ends:
        """All questions a pair's end may be: those trained on, then the edited ones."""
        return Ends(self.questions, self.edited)

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
            raise UsageError("these pairs need a region store", mend="name it with --features")
        return self.store

    def images(self, rows: ArrayLike) -> list[ImageId]:
        """Returns the images that some of the questions (rows of ``ends``) are about."""
        return [self.ends.questions[row].image_id for row in np.asarray(rows).tolist()]

    def require_images(self, rows: ArrayLike) -> None:
        """Checks, before anything long begins, that the images of some questions (rows of ``ends``) are in the store.

        Raises:
            DataError: one is not; the message names it, its question and how many there are.
        """
        store = self.require_store()
        missing = [row for row in np.asarray(rows).tolist() if self.ends.questions[row].image_id not in store]
        if not missing:
            return
        first = self.ends.questions[missing[0]]
        others = len(set(self.images(missing))) - 1
        mend = "add its features to the store, or leave out the questions about it"
        if len(store) and isinstance(first.image_id, str) != isinstance(store.image_ids[0], str):
            mend = "image ids are numbers in one file and text in the other: write them alike"
        raise DataError(
            f"the image of question {first.question_id!r} is not in the store"
            + (f", nor are {others} others" if others else ""),
            file=store.path,
            record=f"image {first.image_id!r}",
            mend=mend,
        )
