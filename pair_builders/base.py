"""What every pair builder looks like, and where they are registered.

A builder is one file: a frozen dataclass ``Settings`` of plain typed fields, from which the command line
makes its options, and a function decorated with :func:`pair_builder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders._columns import is_given
from vqa_gs.pair_builders._regions import Progress, align_pairs
from vqa_gs.pair_builders.alignment import BOX_WEIGHT
from vqa_gs.pair_builders.ends import Ends
from vqa_gs.pair_builders.region_classes import ClassSettings, RegionClasses, read_region_classes
from vqa_gs.pair_builders.selection import Candidates, Selection, select
from vqa_gs.pair_builders.table import IDENTITY, SPARSE, PairTable

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry
from vqa_gs.data.questions import QuestionSet


@dataclass(frozen=True)
class PairSources:
    """What pairs are made from; each builder says in ``needs`` what it cannot do without.

    Attributes:
        questions: the training questions with their annotations.
        store: the regions of every image that is asked about.
        edited: counterfactual questions with their annotations, where these are in files of their own.
        pair_list: a JSON file that says which questions belong together.
        regions: where the classes of the store's regions are written down.
        glove: word vectors, any source of :func:`vqa_gs.data.glove.load_glove`.
    """

    questions: QuestionSet
    store: RegionStore | None = None
    edited: QuestionSet | None = None
    pair_list: Path | None = None
    regions: ClassSettings = field(default_factory=ClassSettings)
    glove: str | None = None

    @cached_property
    def classes(self) -> RegionClasses:
        """The classes of the store's regions, read on first use."""
        return read_region_classes(self.require_store(), self.regions)

    @cached_property
    def ends(self) -> Ends:
        """All questions a pair's end may be: those trained on, then the edited ones."""
        return Ends(self.questions) if self.edited is None else Ends(self.questions, self.edited)

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
class Alignment:
    """Settings of builders whose pairs are about two different images.

    Args:
        alignment: `matched`: every region of one image has its counterpart in the other; `sparse`: only the
            `sparse_regions` counterparts that differ most say in which direction the answer lies; `identity`: region k
            of one image is region k of the other, as it is when both were extracted with the same boxes. Pairs whose
            regions a selection named are matched among these only.
        sparse_regions: counterparts kept by the alignment `sparse`.
        box_weight: what the place of a region counts in matching, appearance counting 1.
        weight: the weight of every pair.
    """

    alignment: Literal["identity", "matched", "sparse"] = "matched"
    sparse_regions: int = 1
    box_weight: float = BOX_WEIGHT
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.sparse_regions < 1:
            raise UsageError(f"sparse_regions is {self.sparse_regions}", mend="keep 1 or more")
        if not 0 <= self.box_weight < float("inf"):
            raise UsageError(f"box_weight is {self.box_weight}", mend="give a number of 0 or more")
        if not 0 <= self.weight < float("inf"):
            raise UsageError(f"the weight of the pairs is {self.weight}", mend="give a number of 0 or more")


def _aligned(candidates: Candidates, settings: Alignment, progress: Progress | None) -> PairTable:
    """Fills in the alignment rows of pairs that are not identity pairs, and of all whose regions were named."""
    table, store, ends = candidates.table, candidates.sources.require_store(), candidates.sources.ends
    # Where the answers are equal nothing makes a difference: no region has a direction.
    _, answer_a, answer_b = candidates.answers()
    equal = answer_a == answer_b
    named = is_given(candidates.regions) & ~equal
    todo = np.flatnonzero(named | (table.alignment != IDENTITY) & ~equal)
    images_a, images_b = ([ends.questions[row].image_id for row in end[todo]] for end in (candidates.a, candidates.b))
    some = candidates.regions[todo]
    first, rows = align_pairs(
        store,
        images_a,
        images_b,
        box_weight=settings.box_weight,
        sparse=np.where((table.alignment[todo] == SPARSE) & ~named[todo], settings.sparse_regions, 0),
        keep_a=[None if given is None else given[0] for given in some],
        keep_b=[None if given is None else given[1] for given in some],
        named=named[todo],
        progress=progress,
    )
    lengths = np.zeros(len(table), np.int64)
    lengths[todo] = np.diff(first)
    alignment = np.where(named | equal, SPARSE, table.alignment).astype(np.uint8)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return replace(table, alignment=alignment, first=bounds, rows=rows)


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
        self,
        sources: PairSources,
        settings: Any = None,
        seed: int = 0,
        progress: Progress | None = None,
        rules: Sequence[Selection] = (),
    ) -> PairTable:
        """Finds pairs, selects among them, and matches the regions of what is left.

        Args:
            sources: what they are made from.
            settings: a ``Settings`` of this builder; None: the defaults.
            seed: equal seeds, settings and sources give equal tables.
            progress: called from time to time.
            rules: selections by name, with their settings, in the order of their application.

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
        chosen = self.Settings() if settings is None else settings
        table = self.function(sources, chosen, seed, progress)
        candidates, report = select(Candidates.of(table, sources), rules)
        if isinstance(chosen, Alignment):
            candidates.table = _aligned(candidates, chosen, progress)
        table = candidates.table
        if rules:
            table.settings[self.kind]["selected"] = report
            if is_given(candidates.regions).any():
                table.sources.update(sources.classes.sources)
        return table


_SOURCES = {
    "store": "a region store",
    "edited": "the edited questions and their annotations",
}

BUILDERS: Registry[PairBuilder] = Registry("pair builder", "vqa_gs.pair_builders")


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
    return {**{name: _plain(value) for name, value in asdict(settings).items()}, "seed": seed, "dropped": dict(dropped)}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
