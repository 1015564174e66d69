"""Reading a region store: one image as arrays, or many as a padded batch, at the speed of the disk.

A store's features are one contiguous block, so a batch is read with one positioned read an image: straight into
memory that is used again, or, to be widened, into a buffer that stays in the cache. HDF5 itself is asked only for
the index. Files repacked into chunks or compressed work too, through HDF5.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from vqa_gs.features import layout
from vqa_gs.features.index import StoreIndex, read_index
from vqa_gs.features.layout import ContentHash, ImageId
from vqa_gs.features.memory import all_finite, reuse
from vqa_gs.features.reader import PIECE, OpenStore

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.lazy import torch


@dataclass(frozen=True)
class Regions:
    """The regions of one image.

    Attributes:
        features: (R, D) float32.
        boxes: (R, 4) float32, x1, y1, x2, y2 in pixels.
        size: (2,) int32, width and height.
        columns: what a detector said of each region, (R,) each: ``class``, ``attribute`` int32, ``class_score``,
            ``attribute_score`` float32; those the store has.
    """

    features: np.ndarray
    boxes: np.ndarray
    size: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class StoreTables:
    """What a store says of N images and their T regions, in the file's order.

    Attributes:
        first: (N + 1,) int64, the regions of image n are ``first[n]:first[n + 1]``.
        sizes: (N, 2) int32, width and height.
        boxes: (T, 4) float32.
        columns: (T,) each, see ``Regions``.
    """

    first: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    columns: dict[str, np.ndarray]


@dataclass
class RegionBatch:
    """The regions of B images, padded to the R of the image with most.

    Attributes:
        features: (B, R, D) float32, or float16 where asked for; zero where there is no region.
        boxes: (B, R, 4) float32, x1, y1, x2, y2 in pixels, zero where there is no region.
        mask: (B, R) bool, where there is a region.
        sizes: (B, 2) float32, width and height.
    """

    features: torch.Tensor
    boxes: torch.Tensor
    mask: torch.Tensor
    sizes: torch.Tensor

    def __len__(self) -> int:
        return len(self.mask)

    @property
    def counts(self) -> torch.Tensor:
        """(B,) int64, the number of regions of each image."""
        return self.mask.sum(1)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> RegionBatch:
        """Returns the batch on a device; itself where it is there already."""
        return RegionBatch(*(part.to(device, non_blocking=non_blocking) for part in self._parts()))

    def pin_memory(self) -> RegionBatch:
        """Returns the batch in page-locked memory; ``DataLoader(pin_memory=True)`` calls this."""
        return RegionBatch(*(part.pin_memory() for part in self._parts()))

    def _parts(self) -> tuple[torch.Tensor, ...]:
        return self.features, self.boxes, self.mask, self.sizes


class RegionStore:
    """A region store, open for reading.

    Opening reads the index only (ids, counts and sizes: 24 bytes an image). The boxes (16 bytes a region) are
    read into memory on first use; features never stay. Each process opens its own handle on first use, so a
    store can be made before ``DataLoader`` workers are forked, and pickled to spawned ones.

    Threads: ``read_batch`` holds a lock, so any number of threads may call it, one at a time being served;
    ``[]`` and the rest may be used meanwhile. A batch given as ``out`` belongs to the call until it returns.

    Args:
        path: the HDF5 file.

    Attributes:
        image_ids: in the file's order.
        dim: numbers a region.
        dtype: the features' type in the file; what is read is float32.
        columns: what the store says of regions beside their boxes: names of ``layout.COLUMNS``.
        fingerprint: how the features were made.
        content_hash: SHA-256 of what the store says; ``check`` recomputes it.
        regions: the number of regions of all images.
        is_contiguous: whether features are read at their offset, without HDF5.

    Raises:
        DataError: the file is missing, truncated, no region store, or its index contradicts itself.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from vqa_gs.features.writer import RegionStoreWriter
        >>> file = tempfile.mkdtemp() + "/regions.h5"
        >>> with RegionStoreWriter(file, dim=3, dtype="float32", fingerprint="made up") as writer:
        ...     writer.add(42, np.ones((2, 3)), np.array([[0, 0, 5, 5], [2, 2, 9, 9]]), (10, 10))
        >>> with RegionStore(file) as store:
        ...     print(len(store), 42 in store, store[42].features.shape)
        1 True (2, 3)
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self._index: StoreIndex = read_index(self.path)
        self._process: OpenStore | None = None
        index = self._index
        self.image_ids, self.dim, self.dtype, self.columns = index.ids, index.dim, index.dtype, index.columns
        self.fingerprint, self.content_hash = index.fingerprint, index.content_hash
        self.regions, self.is_contiguous = int(index.first[-1]), index.offset is not None

    @property
    def tables(self) -> StoreTables:
        """Everything but the features and the ids; do not change the arrays."""
        process = self._opened()
        return StoreTables(self._index.first, self._index.sizes, process.boxes, process.columns)

    def __len__(self) -> int:
        return len(self._index.ids)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._index.rows

    def __repr__(self) -> str:
        return f"RegionStore({str(self.path)!r}, {len(self)} images, {self.regions} x {self.dim} {self.dtype})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": None}

    def __enter__(self) -> RegionStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes this process's handle; the next read opens another."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def counts(self, image_ids: Sequence[ImageId] | np.ndarray) -> np.ndarray:
        """Returns the number of regions of each image, (n,) int64.

        Raises:
            DataError: an image is not in the store.
        """
        rows = self._rows(image_ids)
        return self._index.first[rows + 1] - self._index.first[rows]

    def __getitem__(self, image_id: ImageId) -> Regions:
        """Returns an image's regions; DataError where the store has none."""
        row = int(self._rows([image_id])[0])
        start, end = int(self._index.first[row]), int(self._index.first[row + 1])
        process = self._opened()
        raw = np.empty((end - start, self.dim), self.dtype)
        process.read_rows(start, end, raw)
        if not all_finite(raw):
            self._refuse_non_finite(row)
        columns = {name: values[start:end].copy() for name, values in process.columns.items()}
        boxes, size = process.boxes[start:end].copy(), self._index.sizes[row].copy()
        return Regions(raw.astype(np.float32, copy=False), boxes, size, columns)

    def read_batch(
        self,
        image_ids: Sequence[ImageId] | np.ndarray,
        out: RegionBatch | None = None,
        dtype: torch.dtype | None = None,
    ) -> RegionBatch:
        """Reads images into one padded batch, in the order asked for; an image may occur more than once.

        Args:
            image_ids: B ids.
            out: an earlier batch nobody reads any more; its memory is used again where it is large enough,
                and the result may share it.
            dtype: of the features, float32 if left out. ``torch.float16`` gives a float16 store's numbers as they are,
                twice as fast and for the device to widen; a float32 store has none.

        Returns:
            The batch; only its padding is zeroed, the rest is overwritten.

        Raises:
            DataError: an image is not in the store, or its features are not finite.
            UsageError: the store's numbers would lose precision in ``dtype``.
        """
        dtype = torch.float32 if dtype is None else dtype
        if dtype not in (torch.float32, torch.float16) or dtype.itemsize < self.dtype.itemsize:
            raise UsageError(
                f"{self.path} holds {self.dtype}, which cannot be read as {dtype}",
                mend="read float32, or convert the store to float16",
            )
        rows = self._rows(image_ids)
        starts = self._index.first[rows]
        counts = self._index.first[rows + 1] - starts
        longest = int(counts.max(initial=0))
        batch = self._allocate(len(rows), longest, out, dtype)
        mask, sizes, boxes = batch.mask.numpy(), batch.sizes.numpy(), batch.boxes.numpy()
        np.less(np.arange(longest), counts[:, None], out=mask)
        sizes[...] = self._index.sizes[rows]
        if len(rows) == 0:
            return batch
        process = self._opened()
        with process.lock:
            if self._index.is_uniform:
                np.take(
                    process.boxes.reshape(len(self), -1), rows, axis=0, out=boxes.reshape(len(rows), -1), mode="clip"
                )
            else:
                where = np.minimum(starts[:, None] + np.arange(longest), self.regions - 1)
                np.take(process.boxes, where, axis=0, out=boxes, mode="clip")
            bad = process.fill(batch.features, rows)
        if bad is not None:
            self._refuse_non_finite(int(rows[bad]))
        if not (self._index.is_uniform or mask.all()):
            boxes[~mask] = 0
        return batch

    def start_hash(self) -> ContentHash:
        """Returns the hash of everything but the features, which ``blocks`` gives."""
        digest, tables = ContentHash(self.columns), self.tables
        for name, values in tables.columns.items():
            digest.update(name, values)
        digest.update_ids(list(self.image_ids))
        digest.update("first", tables.first)
        digest.update("size", tables.sizes)
        digest.update("boxes", tables.boxes)
        return digest

    def hash_problem(self, digest: ContentHash) -> str | None:
        """Returns what is wrong if a finished hash of the content is not the one the file names."""
        found = digest.hexdigest(
            images=len(self),
            regions=self.regions,
            dim=self.dim,
            dtype=self.dtype,
            string_ids=self._index.string_ids,
        )
        if found == self.content_hash:
            return None
        return (
            f"the content was changed or damaged: its hash is {found[:12]}..., the file says"
            f" {self.content_hash[:12]}..."
        )

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (first region, (n, D) features as stored), a few MB at a time; the next overwrites the last."""
        return self._opened().blocks(2 * PIECE)

    def _rows(self, image_ids: Sequence[ImageId] | np.ndarray) -> np.ndarray:
        ids = image_ids.tolist() if hasattr(image_ids, "tolist") else image_ids
        rows = self._index.rows
        try:
            return np.fromiter(map(rows.__getitem__, ids), np.int64, len(ids))
        except (KeyError, TypeError):
            self._refuse_missing(next(i for i in ids if not _is_in(i, rows)))

    def _refuse_missing(self, image_id: object) -> NoReturn:
        kind, other = ("text", "integers") if isinstance(image_id, str) else ("an integer", "text")
        mend = "extract or convert the features of this image too, or leave its questions out"
        if len(self) and isinstance(image_id, str | int) and isinstance(image_id, str) != self._index.string_ids:
            mend = f"the id asked for is {kind}, this store's ids are {other}"
        raise DataError("the region store has no such image", file=self.path, record=f"image {image_id!r}", mend=mend)

    def _refuse_non_finite(self, row: int) -> NoReturn:
        raise DataError(
            "the features hold NaN or infinity",
            file=self.path,
            record=f"image {self._index.ids[row]}",
            mend=layout.REMAKE_HINT,
        )

    def _allocate(self, images: int, longest: int, out: RegionBatch | None, dtype: torch.dtype) -> RegionBatch:
        return RegionBatch(
            features=reuse(None if out is None else out.features, (images, longest, self.dim), dtype),
            boxes=reuse(None if out is None else out.boxes, (images, longest, 4), torch.float32),
            mask=reuse(None if out is None else out.mask, (images, longest), torch.bool),
            sizes=reuse(None if out is None else out.sizes, (images, 2), torch.float32),
        )

    def _opened(self) -> OpenStore:
        # A forked child must not use the parent's handle: HDF5's state, and this lock, may be mid-change in
        # it.
        process = self._process
        if process is None or process.pid != os.getpid():
            process = self._process = OpenStore(self.path, self._index)
        return process


def _is_in(image_id: object, rows: dict[ImageId, int]) -> bool:
    try:
        return image_id in rows
    except TypeError:  # a list, say
        return False
