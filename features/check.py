"""Reading a whole region store once: what is wrong with it, what is odd, statistics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from vqa_gs.features.convert import Progress
from vqa_gs.features.layout import ImageId
from vqa_gs.features.memory import copy_alone
from vqa_gs.features.store import RegionStore

from vqa_gs.common.files import StrPath
from vqa_gs.common.lazy import torch
from vqa_gs.common.phases import phase

OUTSIDE = 1.0
"""Pixels by which a box may leave its image: detectors and their rounding do that."""

_MOST_NAMED = 5
_AT_ONCE = 1 << 18
# Below, squares may have been lost to float32's smallest number.
_TINY = 1e-30


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        path: the store.
        problems: what makes the store or its use wrong, a line each.
        warnings: what may be meant, a line each.
        notes: what was found to be in order, a line each.
        statistics: name -> number: of the features ("mean", "standard deviation", "smallest", "largest", "mean
            length" of the vectors, the part of "zeros"), of the boxes and of the columns.
    """

    path: str
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    statistics: dict[str, float] = field(default_factory=dict)


def check(
    path: StrPath,
    wanted: Mapping[str, Collection[ImageId]] | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Checks a store's content in bounded memory; what opening finds wrong (structure, ids) is raised.

    Args:
        path: the store.
        wanted: name of a questions file -> the images its questions are about.
        progress: called with regions read and their number.

    Raises:
        DataError: no readable region store: truncated, of another version, an id twice, an index that contradicts
            itself.
    """
    with RegionStore(path) as store:
        report = CheckReport(str(path))
        _check_features(store, report, progress)
        _check_boxes(store, report)
        for name, images in (wanted or {}).items():
            _check_coverage(store, name, images, report)
        return report


@dataclass
class _Sums:
    """What of the numbers is summed up."""

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0
    lengths: float = 0.0
    zeros: int = 0
    smallest: float = np.inf
    largest: float = -np.inf

    def add(self, values: np.ndarray, squares: np.ndarray) -> None:
        """Adds finite rows (n, D) and the sums of their squares (n,)."""
        if not len(values):
            return
        self.rows += len(values)
        self.total += float(values.sum(1).sum(dtype=np.float64))
        self.squares += float(squares.sum())
        self.lengths += float(np.sqrt(squares).sum())
        self.smallest = min(self.smallest, float(values.min()))
        self.largest = max(self.largest, float(values.max()))

    def statistics(self, dim: int) -> dict[str, float]:
        """Returns the statistics, none of no rows."""
        if not self.rows:
            return {}
        numbers = self.rows * dim
        mean = self.total / numbers
        return {
            "mean": mean,
            "standard deviation": float(np.sqrt(max(0.0, self.squares / numbers - mean**2))),
            "smallest": self.smallest,
            "largest": self.largest,
            "mean length": self.lengths / self.rows,
            "zeros": self.zeros / numbers,
        }


class _Rows:
    """Rows as float32, in memory used again: a few at a time, so that all that is asked of them is in the cache."""

    def __init__(self, dim: int) -> None:
        self.step = max(1, _AT_ONCE // dim)
        self._wide = torch.empty(self.step, dim)
        self._bits = np.empty((self.step, dim), np.uint32)

    def wide(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows as float32, valid until the next call."""
        if rows.dtype == np.float32:
            return rows
        wide = self._wide[: len(rows)]
        copy_alone(wide, torch.from_numpy(rows))
        return wide.numpy()

    def zeros(self, wide: np.ndarray) -> int:
        """Counts zeros of either sign, by their bits: many times as fast as comparing."""
        bits = np.left_shift(wide.view(np.uint32), 1, out=self._bits[: len(wide)])
        return wide.size - int(np.count_nonzero(bits))


def _check_features(store: RegionStore, report: CheckReport, progress: Progress | None) -> None:
    digest = store.start_hash()
    sums, rows = _Sums(), _Rows(store.dim)
    broken: list[int] = []
    empty: list[int] = []
    with (
        phase("reading the store", store.regions, "regions") as far,
        ThreadPoolExecutor(1, "vqa-gs-hash") as pool,
    ):
        for first, block in store.blocks():
            # The hash takes as long as everything else together, and lets other threads run.
            hashed = pool.submit(digest.update, "features", block)
            for low in range(0, len(block), rows.step):
                start, values = first + low, rows.wide(block[low : low + rows.step])
                squares = _squares(values)
                finite = np.isfinite(squares)
                broken += (start + np.nonzero(~finite)[0]).tolist()
                empty += (start + np.nonzero(squares == 0)[0]).tolist()
                sums.zeros += rows.zeros(values)
                sums.add(values if finite.all() else values[finite], squares[finite])
            hashed.result()
            far(len(block))
            if progress is not None:
                progress(first + len(block), store.regions)
    if broken:
        report.problems.append(f"{len(broken):,} regions hold NaN or infinity: {_images(store, broken)}")
    if problem := store.hash_problem(digest):
        report.problems.append(problem)
    if empty:
        report.warnings.append(f"{len(empty):,} regions are zero vectors: {_images(store, empty)}")
    report.statistics |= sums.statistics(store.dim)


def _squares(values: np.ndarray) -> np.ndarray:
    """Returns (n,) float64, the sums of squares of rows (n, D): finite where all numbers are."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", values, values).astype(np.float64)
        # A row whose squares are finite holds finite numbers only; of the others, which may just be large or tiny,
        # each is looked at.
        suspects = np.nonzero(~np.isfinite(squares) | (squares < _TINY))[0]
        squares[suspects] = np.square(values[suspects], dtype=np.float64).sum(1)
    return squares


def _check_boxes(store: RegionStore, report: CheckReport) -> None:
    tables = store.tables
    boxes = tables.boxes.astype(np.float64)
    sizes = np.repeat(tables.sizes, np.diff(tables.first), axis=0).astype(np.float64)
    finite = np.isfinite(boxes).all(1)
    low, high = boxes[:, :2], boxes[:, 2:]
    # NaN compares as false, so a broken box is counted once.
    with np.errstate(invalid="ignore"):
        found = {
            "boxes hold NaN or infinity": ~finite,
            "boxes end before they begin": (high < low).any(1),
            f"boxes leave their image by more than {OUTSIDE:g} pixel": (
                finite & ((low < -OUTSIDE).any(1) | (high > sizes + OUTSIDE).any(1))
            ),
        }
    for text, rows in found.items():
        if rows.any():
            report.problems.append(f"{rows.sum():,} {text}: {_images(store, np.nonzero(rows)[0].tolist())}")
    sides = high[finite] - low[finite]
    if flat := int((sides == 0).any(1).sum()):
        report.warnings.append(f"{flat:,} boxes have no area")
    if len(sides):
        report.statistics["box area of the image"] = float((sides / sizes[finite]).prod(1).mean())
    for name, values in tables.columns.items():
        if name.endswith("_score"):
            report.statistics[f"mean {name}"] = float(values.mean(dtype=np.float64))
        else:
            report.statistics[f"different {name} ids"] = float(len(np.unique(values)))


def _check_coverage(store: RegionStore, name: str, images: Collection[ImageId], report: CheckReport) -> None:
    wanted = dict.fromkeys(images)
    missing = [image_id for image_id in wanted if image_id not in store]
    covered = len(wanted) - len(missing)
    text = f"{name}: {covered:,} of {len(wanted):,} images are in the store"
    if missing:
        text += f"; not {_some([repr(image_id) for image_id in missing])}"
        if isinstance(missing[0], str) != isinstance(store.image_ids[0], str):
            text += ", whose ids are of another kind (text or integer) than the store's"
        report.problems.append(text)
    else:
        report.notes.append(text)


def _images(store: RegionStore, regions: list[int]) -> str:
    """Names the first images that regions, counted over the whole store, belong to."""
    rows = np.unique(np.searchsorted(store.tables.first, regions, side="right") - 1)
    return "image " + _some([str(store.image_ids[row]) for row in rows])


def _some(names: list[str]) -> str:
    text = ", ".join(names[:_MOST_NAMED])
    return text if len(names) <= _MOST_NAMED else f"{text} and {len(names) - _MOST_NAMED:,} more"


def render(report: CheckReport) -> str:
    """Returns a report as plain text."""
    lines = [f"{name:<24} {value:.6g}" for name, value in report.statistics.items()]
    for kind, texts in (("ok", report.notes), ("warning", report.warnings), ("problem", report.problems)):
        lines += [f"{kind}: {text}" for text in texts]
    # Ids are data: a line break in one must not look like a line of its own.
    return "\n".join(" ".join(line.split()) if ":" in line else line for line in lines)
