"""Reading a whole region store once: what is wrong with it, what is odd, statistics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from features.convert import Progress
from features.layout import ImageId
from features.store import RegionStore
from vqa_gs.common.files import StrPath

OUTSIDE = 1.0
"""Pixels by which a box may leave its image: detectors and their rounding do that."""

_MOST_NAMED = 5


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

    def add(self, values: torch.Tensor, squares: torch.Tensor) -> None:
        """Adds finite rows (n, D) and the sums of their squares (n,)."""
        if not len(values):
            return
        self.rows += len(values)
        self.total += float(values.sum(dtype=torch.float64))
        self.squares += float(squares.sum())
        self.lengths += float(squares.sqrt().sum())
        self.zeros += values.numel() - int(torch.count_nonzero(values))
        low, high = torch.aminmax(values)
        self.smallest, self.largest = min(self.smallest, float(low)), max(self.largest, float(high))

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


def _check_features(store: RegionStore, report: CheckReport, progress: Progress | None) -> None:
    digest = store.start_hash()
    sums = _Sums()
    broken: list[int] = []
    empty: list[int] = []
    for start, block in store.blocks():
        digest.update("features", block)
        values = torch.from_numpy(block).float()
        squares = values.square().sum(1, dtype=torch.float64)
        # A row whose squares are finite holds finite numbers only; of the others, which may just be large, each is
        # looked at.
        suspects = torch.nonzero(~squares.isfinite())[:, 0]
        squares[suspects] = values[suspects].double().square().sum(1)
        finite = squares.isfinite()
        broken += (start + torch.nonzero(~finite)[:, 0]).tolist()
        if not finite.all():
            values = values[finite]
        empty += (start + torch.nonzero(squares == 0)[:, 0]).tolist()
        sums.add(values, squares[finite])
        if progress is not None:
            progress(start + len(block), store.regions)
    if broken:
        report.problems.append(f"{len(broken):,} regions hold NaN or infinity: {_images(store, broken)}")
    if problem := store.hash_problem(digest):
        report.problems.append(problem)
    if empty:
        report.warnings.append(f"{len(empty):,} regions are zero vectors: {_images(store, empty)}")
    report.statistics |= sums.statistics(store.dim)


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
