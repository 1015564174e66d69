"""The pair table: which questions form counterfactual pairs, and which regions of theirs correspond.

Columns are NumPy arrays, so that a table of a million pairs stays small and is cut, merged and shuffled
without a Python loop. A table is checked when it is made: one that exists is sound in itself (whether its
question ids are in a question file and its region numbers in a store is for those who have these at hand).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from vqa_gs.pair_builders.table.columns import (
    answer_column,
    check_bounds,
    check_codes,
    column,
    compress,
    first_bad,
    id_column,
    join_bounds,
    join_ids,
    ragged_positions,
    repeated,
)

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.data.questions import QuestionId

ALIGNMENTS = ("identity", "matched", "sparse")
IDENTITY, MATCHED, SPARSE = range(3)
PER_PAIR = ("question_a", "question_b", "kind", "alignment", "weight", "distance")
"""The columns with one entry a pair that every table has."""


@dataclass(eq=False)
class PairTable:
    """P counterfactual pairs of examples, end a and end b.

    Attributes:
        question_a: (P,) int64 or str objects, the question id of end a.
        question_b: (P,) int64 or str objects, of end b (the two columns may differ in type).
        kind: (P,) uint8, into ``kinds``.
        alignment: (P,) uint8, into :data:`ALIGNMENTS`.
        weight: (P,) float32, finite and not negative.
        distance: (P,) float32, NaN where unknown.
        first: (P+1,) int64, the rows of pair p being ``rows[first[p]:first[p+1]]``.
        rows: (S, 2) int32; (k, l) says that region k of a's image corresponds to region l of b's, -1 that
            there is no counterpart. Regions in no row have direction zero. Identity pairs have no rows.
        kinds: the names of the kinds.
        mask_first: (P+1,) int64 into ``mask_keep``, or None where no pair has a mask.
        mask_keep: (M,) uint8, 1 for the regions of b's image that remain; a pair without entries keeps all.
        answer_b: (P,) objects: b's answer where it differs from the question's own ("" for an empty answer
            set), None where it does not. None as a whole where no pair has one.
        settings: how each kind of pair was made.
        sources: path -> SHA-256 of the files the pairs were made from.
        region_class: (S, 2) int32, the classes of the regions in ``rows``, into ``class_names``; -1 where there is no
            region or its class is not known. None where no pair's regions were told by their classes.
        class_names: names of classes of regions.

    Raises:
        DataError: the columns do not fit together.
    """

    question_a: NDArray[Any]
    question_b: NDArray[Any]
    kind: NDArray[np.uint8]
    alignment: NDArray[np.uint8]
    weight: NDArray[np.float32]
    distance: NDArray[np.float32]
    first: NDArray[np.int64]
    rows: NDArray[np.int32]
    kinds: tuple[str, ...]
    mask_first: NDArray[np.int64] | None = None
    mask_keep: NDArray[np.uint8] | None = None
    answer_b: NDArray[Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    region_class: NDArray[np.int32] | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.question_a = id_column(self.question_a)
        self.question_b = id_column(self.question_b)
        pairs = len(self.question_a)
        self.kind = column(self.kind, np.uint8, (pairs,), "kind")
        self.alignment = column(self.alignment, np.uint8, (pairs,), "alignment")
        self.weight = column(self.weight, np.float32, (pairs,), "weight")
        self.distance = column(self.distance, np.float32, (pairs,), "distance")
        self.first = column(self.first, np.int64, (pairs + 1,), "alignment/first")
        self.rows = column(self.rows, np.int32, (None, 2), "alignment/rows")
        self.kinds = tuple(self.kinds)
        if (self.mask_first is None) != (self.mask_keep is None):
            raise DataError("masks need both their bounds and their entries")
        if self.mask_first is not None:
            self.mask_first = column(self.mask_first, np.int64, (pairs + 1,), "masks/first")
            self.mask_keep = column(self.mask_keep, np.uint8, (None,), "masks/keep")
        if self.answer_b is not None:
            self.answer_b = answer_column(self.answer_b, pairs)
        self.class_names = tuple(self.class_names)
        if self.region_class is not None:
            self.region_class = column(self.region_class, np.int32, self.rows.shape, "alignment/classes")
        self._check()

    def _check(self) -> None:
        if len(self.question_b) != len(self):
            raise DataError(f"{len(self)} question ids at end a, {len(self.question_b)} at end b")
        check_codes(self.kind, self.kinds, "kind")
        check_codes(self.alignment, ALIGNMENTS, "alignment")
        first_bad(~(np.isfinite(self.weight) & (self.weight >= 0)), "the weight is negative or not finite")
        first_bad(
            ~(np.isnan(self.distance) | np.isfinite(self.distance) & (self.distance >= 0)),
            "the distance is negative or infinite",
        )
        check_bounds(self.first, len(self.rows), "alignment/first")
        rowless: NDArray[np.bool_] = np.diff(self.first) == 0
        first_bad((self.alignment == IDENTITY) & ~rowless, "an identity pair has alignment rows")
        owner = np.repeat(np.arange(len(self)), np.diff(self.first))
        first_bad(self.rows.min(axis=1, initial=0) < -1, "an alignment row has a region below -1", owner)
        first_bad(self.rows.max(axis=1, initial=-1) == -1, "an alignment row names no region", owner)
        for end in (0, 1):
            # A region in two rows would have two directions, of which one would silently win.
            first_bad(repeated(owner, self.rows[:, end]), "a region is in two alignment rows", owner)
        if self.mask_first is not None and self.mask_keep is not None:
            check_bounds(self.mask_first, len(self.mask_keep), "masks/first")
            masked = np.repeat(np.arange(len(self)), np.diff(self.mask_first))
            first_bad(self.mask_keep > 1, "a mask entry is neither 0 nor 1", masked)
        if self.region_class is not None:
            low, high = self.region_class.min(axis=1, initial=0), self.region_class.max(axis=1, initial=-1)
            first_bad((low < -1) | (high >= len(self.class_names)), "a region's class has no name", owner)
            nowhere = np.where(self.rows < 0, self.region_class, -1).max(axis=1, initial=-1) >= 0
            first_bad(nowhere, "a class is given where no region is", owner)

    def __len__(self) -> int:
        return len(self.question_a)

    @classmethod
    def of_one_kind(
        cls,
        kind: str,
        question_a: Iterable[QuestionId] | NDArray[Any],
        question_b: Iterable[QuestionId] | NDArray[Any],
        *,
        alignment: str = "identity",
        rows: Sequence[ArrayLike] = (),
        weight: float = 1.0,
        distance: ArrayLike | None = None,
        masks: Sequence[ArrayLike] | None = None,
        answer_b: Sequence[str | None] | None = None,
        settings: Mapping[str, Any] | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> PairTable:
        """Makes a table whose pairs share kind, alignment and weight.

        Args:
            kind: the name of the kind.
            question_a: P ids.
            question_b: P ids.
            alignment: one of :data:`ALIGNMENTS`.
            rows: P arrays (S_p, 2); none for identity pairs.
            weight: the weight of every pair.
            distance: (P,), or None where unknown.
            masks: P arrays of which regions of b's image remain, empty ones for all.
            answer_b: P answers, None for the question's own.
            settings: how the pairs were made.
            sources: path -> SHA-256.
        """
        column_a = id_column(question_a)
        pairs = len(column_a)
        first, flat = compress(rows, pairs, (0, 2), np.int32)
        mask_first, mask_keep = (None, None) if masks is None else compress(masks, pairs, (0,), np.uint8)
        return cls(
            question_a=column_a,
            question_b=id_column(question_b),
            kind=np.zeros(pairs, np.uint8),
            alignment=np.full(pairs, ALIGNMENTS.index(alignment), np.uint8),
            weight=np.full(pairs, weight, np.float32),
            distance=np.full(pairs, np.nan, np.float32) if distance is None else np.asarray(distance, np.float32),
            first=first,
            rows=flat,
            kinds=(kind,),
            mask_first=mask_first,
            mask_keep=mask_keep,
            answer_b=None if answer_b is None else np.array(answer_b, dtype=object),
            settings={kind: dict(settings or {})},
            sources=dict(sources or {}),
        )

    def rows_of(self, pair: int) -> NDArray[np.int32]:
        """Returns the (n, 2) alignment rows of one pair."""
        return self.rows[self.first[pair] : self.first[pair + 1]]

    def mask_of(self, pair: int) -> NDArray[np.bool_] | None:
        """Returns which regions of b's image remain in one pair, (R,), or None for all."""
        if self.mask_first is None or self.mask_keep is None:
            return None
        keep = self.mask_keep[self.mask_first[pair] : self.mask_first[pair + 1]]
        return keep.astype(bool) if len(keep) else None

    def select(self, indices: ArrayLike) -> PairTable:
        """Returns the pairs at ``indices`` (numbers in any order, or one bool a pair), in that order."""
        # An empty list is an array of floats to NumPy, which it would then refuse as indices.
        chosen = np.asarray(indices) if np.size(indices) else np.zeros(0, np.int64)
        order = np.arange(len(self), dtype=np.int64)[chosen]
        first, positions = ragged_positions(self.first, order)
        mask_first, mask_keep = None, None
        if self.mask_first is not None and self.mask_keep is not None:
            mask_first, mask_positions = ragged_positions(self.mask_first, order)
            mask_keep = self.mask_keep[mask_positions]
        return replace(
            self,
            **{name: getattr(self, name)[order] for name in PER_PAIR},
            first=first,
            rows=self.rows[positions],
            region_class=None if self.region_class is None else self.region_class[positions],
            mask_first=mask_first,
            mask_keep=mask_keep,
            answer_b=None if self.answer_b is None else self.answer_b[order],
            settings=dict(self.settings),
            sources=dict(self.sources),
        )

    def require_pairs(self, file: StrPath | None = None) -> PairTable:
        """Returns the table itself if it holds a pair.

        Raises:
            DataError: it is empty; training on it would silently be training without pairs.
        """
        if not len(self):
            made = "; ".join(f"{kind}: {entry}" for kind, entry in self.settings.items())
            raise DataError(
                "holds no pairs" + (f", made with {made}" if made else ""),
                file=file,
                mend="build it with looser settings or from more questions, or train without pairs",
            )
        return self


def concatenate(tables: Sequence[PairTable]) -> PairTable:
    """Puts tables one after the other, merging their kinds, settings and sources.

    Different settings of one kind become ``{"merged": [...]}``.

    Raises:
        UsageError: there is no table.
        DataError: ids are numbers in one and text in another, or two tables were made from different
            versions of one file.
    """
    if not tables:
        raise UsageError("there are no pair tables to merge", mend="name at least one")
    kinds = tuple(dict.fromkeys(kind for table in tables for kind in table.kinds))
    if len(kinds) > 256:
        raise DataError(f"{len(kinds)} kinds of pairs are more than a table can tell apart (256)")
    settings: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for table in tables:
        for kind, made in table.settings.items():
            settings[kind] = _merged(settings[kind], made) if kind in settings else made
        for path, digest in table.sources.items():
            if sources.setdefault(path, digest) != digest:
                raise DataError(
                    "two tables were made from different versions of this file",
                    file=path,
                    mend="build them again",
                )
    class_names = tuple(dict.fromkeys(name for table in tables for name in table.class_names))
    has_classes = any(table.region_class is not None for table in tables)
    masks = [_masks(table) for table in tables]
    has_masks = any(table.mask_first is not None for table in tables)
    has_answers = any(table.answer_b is not None for table in tables)
    answers = [np.full(len(t), None, dtype=object) if t.answer_b is None else t.answer_b for t in tables]
    return PairTable(
        question_a=join_ids([table.question_a for table in tables]),
        question_b=join_ids([table.question_b for table in tables]),
        kind=np.concatenate(
            [np.array([kinds.index(kind) for kind in table.kinds], np.uint8)[table.kind] for table in tables]
        ),
        **{
            name: np.concatenate([getattr(table, name) for table in tables])
            for name in ("alignment", "weight", "distance", "rows")
        },
        first=join_bounds([table.first for table in tables]),
        kinds=kinds,
        mask_first=join_bounds([first for first, _ in masks]) if has_masks else None,
        mask_keep=np.concatenate([keep for _, keep in masks]) if has_masks else None,
        answer_b=np.concatenate(answers) if has_answers else None,
        settings=settings,
        sources=sources,
        region_class=np.concatenate([_classes(table, class_names) for table in tables]) if has_classes else None,
        class_names=class_names,
    )


def _classes(table: PairTable, names: tuple[str, ...]) -> NDArray[np.int32]:
    """Returns the classes of a table's rows, into other names that hold its own."""
    if table.region_class is None:
        return np.full(table.rows.shape, -1, np.int32)
    code = {name: at for at, name in enumerate(names)}
    codes = np.array([*(code[name] for name in table.class_names), -1], np.int32)  # -1 takes the last
    return codes[table.region_class]


def _masks(table: PairTable) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    if table.mask_first is None or table.mask_keep is None:
        return np.zeros(len(table) + 1, np.int64), np.zeros(0, np.uint8)
    return table.mask_first, table.mask_keep


def _merged(old: Any, new: Any) -> Any:
    if old == new:
        return old
    entries: list[Any] = []
    for made in (old, new):
        entries += made["merged"] if isinstance(made, dict) and set(made) == {"merged"} else [made]
    return {"merged": [made for at, made in enumerate(entries) if made not in entries[:at]]}
