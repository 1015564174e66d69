"""What each region of a store is: its class, and how many instances it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders.table.columns import ragged_positions

from vqa_gs.common.arrays import read_npz
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import require_file, sha256_file
from vqa_gs.data.json_files import decode, read_content

ImageId = int | str

_IMAGES = 512


@dataclass(frozen=True)
class ClassSettings:
    """Where the classes of regions are written down.

    Args:
        names: class names: JSON (a list, an object around one list, or COCO's `categories`) or text, a name a line.
        classes: the class of every region in the store's order: an `.npz` with one array of numbers into `names`;
            without it the store's own column `regions/class`.
        log_count: the feature dimension that holds log(1 + number of instances) where a region stands for all of its
            class; -1: every region is one instance.
        count_known: the feature dimension that is 0 where that number is not known; -1: always known.
    """

    names: Path | None = None
    classes: Path | None = None
    log_count: int = -1
    count_known: int = -1


@dataclass(eq=False)
class RegionClasses:
    """The classes of a store's regions.

    Attributes:
        names: C class names.
        first: (N+1,) int64, image row n has the regions ``first[n]:first[n+1]``.
        code: (T,) int64, each region's class.
        rows: image id -> row.
        keys: (K,) int64, rising: ``row * C + class`` for every class in every image.
        number: (K,) float32, its instances there, NaN where it is not known how many.
        sources: path -> SHA-256 of what was read.
    """

    names: tuple[str, ...]
    first: NDArray[np.int64]
    code: NDArray[np.int64]
    rows: dict[ImageId, int]
    keys: NDArray[np.int64]
    number: NDArray[np.float32]
    sources: dict[str, str]

    def of(self, image_id: ImageId) -> NDArray[np.int64]:
        """Returns the class of each region of an image, (R,)."""
        row = self.rows[image_id]
        return self.code[self.first[row] : self.first[row + 1]]

    def numbers(self, rows: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns how many instances of a class an image has, (n,): 0 for none, NaN for some, not known how many."""
        wanted = rows * len(self.names) + classes
        at = np.minimum(np.searchsorted(self.keys, wanted), max(len(self.keys) - 1, 0))
        if not len(self.keys):
            return np.zeros(len(wanted), np.float32)
        return np.where(self.keys[at] == wanted, self.number[at], np.float32(0))

    def differing(self, rows_a: NDArray[np.int64], rows_b: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns how many classes occur in one of two images only, (n,)."""
        image = self.keys // max(len(self.names), 1)
        bounds = np.searchsorted(image, np.arange(len(self.rows) + 1)).astype(np.int64)
        sizes = np.diff(bounds)
        common = np.zeros(len(rows_a), np.int64)
        for start in range(0, len(rows_a), 1 << 16):
            a, b = rows_a[start : start + (1 << 16)], rows_b[start : start + (1 << 16)]
            lengths, positions = ragged_positions(bounds, a)
            owner = np.repeat(np.arange(len(a)), np.diff(lengths))
            shared = self.numbers(b[owner], self.keys[positions] % len(self.names)) != 0
            common[start : start + len(a)] = np.bincount(owner[shared], minlength=len(a))
        return sizes[rows_a] + sizes[rows_b] - 2 * common


def read_class_names(path: Path) -> tuple[tuple[str, ...], str]:
    """Reads class names in the order of their numbers; returns them and the file's SHA-256.

    Raises:
        DataError: the file is damaged or of another shape.
    """
    content, digest = read_content(path, "class names")
    if not content.lstrip().startswith((b"[", b"{")):
        lines = content.decode("utf-8", "replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip()), digest
    expected = "a list of names, or an object around one"
    parsed: Any = decode(content, list[Any] | dict[str, Any], file=path, expected=expected)  # type: ignore[arg-type]
    if isinstance(parsed, dict):
        lists = [value for key, value in parsed.items() if isinstance(value, list) and key == "categories"]
        lists = lists or [value for value in parsed.values() if isinstance(value, list)]
        parsed = lists[0] if len(lists) == 1 else []
    names: list[Any] = [entry.get("name") if isinstance(entry, dict) else entry for entry in parsed]
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"not {expected}", file=path, mend=f"expected {expected}")
    return tuple(names), digest


def read_region_classes(store: RegionStore, settings: ClassSettings) -> RegionClasses:
    """Reads which class each region of a store is.

    Raises:
        UsageError: no names are given, or the store has no classes and no file of them is given.
        DataError: a file is damaged, or does not fit the store.
    """
    if settings.names is None:
        raise UsageError("this needs the classes of regions", mend="name them with --regions.names")
    names, digest = read_class_names(settings.names)
    sources = {str(settings.names): digest}
    if settings.classes is not None:
        code, where = _from_npz(settings.classes), settings.classes
        sources[str(where)] = sha256_file(where)
    else:
        code, where = _from_store(store), store.path
    if len(code) != store.regions:
        raise DataError(
            f"{len(code)} classes for the {store.regions} regions of {store.path}",
            file=where,
            mend="take the classes that belong to these features",
        )
    if len(code) and not (code.min() >= 0 and code.max() < len(names)):
        raise DataError(
            f"classes from {code.min()} to {code.max()}, but {len(names)} names in {settings.names}", file=where
        )
    counts = store.counts(store.image_ids)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    number = _numbers(store, settings)
    keys, inverse = np.unique(np.repeat(np.arange(len(counts)), counts) * len(names) + code, return_inverse=True)
    total = np.bincount(inverse, weights=number, minlength=len(keys)).astype(np.float32)
    rows = {image_id: row for row, image_id in enumerate(store.image_ids)}
    return RegionClasses(names, first, code, rows, keys, total, sources)


def _from_npz(path: Path) -> NDArray[np.int64]:
    file = require_file(path, "region class")
    try:
        columns = list(read_npz(file).values())
    except Exception as error:  # a damaged archive raises nearly anything
        raise DataError(f"not a readable .npz file: {error}", file=file) from error
    columns = [column for column in columns if column.ndim == 1 and column.dtype.kind in "iu"]
    if len(columns) != 1:
        raise DataError(f"holds {len(columns)} columns of whole numbers, expected one", file=file)
    return columns[0].astype(np.int64)


def _from_store(store: RegionStore) -> NDArray[np.int64]:
    if "class" not in store.columns:
        raise UsageError(
            "the region store has no column regions/class",
            file=store.path,
            mend="name a file of the regions' classes with --regions.classes",
        )
    return store.tables.columns["class"].astype(np.int64)


def _numbers(store: RegionStore, settings: ClassSettings) -> NDArray[np.float32] | None:
    if settings.log_count < 0:
        return None
    dims = [settings.log_count, max(settings.count_known, 0)]
    if max(dims) >= store.dim:
        raise UsageError(f"there is no feature dimension {max(dims)} in {store.path}", mend=f"it has {store.dim}")
    parts = []
    batch: RegionBatch | None = None
    ids: Sequence[ImageId] = store.image_ids
    for start in range(0, len(ids), _IMAGES):
        batch = store.read_batch(list(ids[start : start + _IMAGES]), out=batch)
        parts.append(batch.features[batch.mask][:, dims].numpy().copy())
    read = np.concatenate(parts)
    number = np.rint(np.expm1(read[:, 0]))
    if settings.count_known >= 0:
        number[read[:, 1] == 0] = np.nan
    return number.astype(np.float32)
