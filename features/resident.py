"""A region store kept where it is computed with: on the device, or locked in memory.

A step of 512 questions reads 0.5 GB of a store of 36 x 2048 numbers an image where questions share none. 18 GB of
float16 fit a large GPU: loaded once, batches are gathered and widened there, and nothing is read, widened or copied
any more. Where they do not fit, pages locked in memory at least never go back to the disk.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from vqa_gs.features.joined import JoinedStore
from vqa_gs.features.layout import ImageId
from vqa_gs.features.memory import all_finite
from vqa_gs.features.store import RegionBatch, Regions, RegionStore, StoreTables

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.lazy import torch
from vqa_gs.common.phases import LOG, phase

Where = Literal["auto", "none", "device", "memory"]
# Of a device's free memory `auto` takes at most so much for features: the rest is for a step.
_SHARE = 0.5


class ResidentStore(RegionStore):
    """Reads batches like a `RegionStore`, from a copy of its features on a device.

    Features of batches are on the device, new memory each time; all else is in the computer's memory as ever.

    Args:
        store: the store, one or several joined.
        device: where to.

    Raises:
        DataError: features are not finite, or damaged.
        UsageError: they do not fit.
    """

    def __init__(self, store: RegionStore, device: torch.device) -> None:
        self._store, self.device = store, device
        self.path, self.image_ids, self.dim, self.dtype = store.path, store.image_ids, store.dim, store.dtype
        self.columns, self.fingerprint, self.content_hash = store.columns, store.fingerprint, store.content_hash
        self.regions, self.is_contiguous = store.regions, store.is_contiguous
        self._row = {image_id: row for row, image_id in enumerate(store.image_ids)}
        self._tables = store.tables
        self._is_uniform = len(np.unique(np.diff(self._tables.first))) == 1
        kind = torch.float16 if self.dtype.itemsize == 2 else torch.float32
        try:
            self._features = torch.empty(self.regions, self.dim, dtype=kind, device=device)
        except (RuntimeError, MemoryError) as error:  # so torch tells of full devices
            raise _too_large(store, str(device)) from error
        with phase(f"loading the features to {device}", self.regions, "regions") as advance:
            at = 0
            for first, block in _blocks(store):
                if not all_finite(block):
                    self._refuse(first, block)
                self._features[at : at + len(block)] = torch.from_numpy(block)
                at += len(block)
                advance(len(block))

    @property
    def tables(self) -> StoreTables:
        """Everything but the features and the ids; do not change the arrays."""
        return self._tables

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._store

    def __repr__(self) -> str:
        return f"ResidentStore({self._store!r}, {self.device})"

    def close(self) -> None:
        """Closes this process's handle of the file; the features stay."""
        self._store.close()

    def counts(self, image_ids: Sequence[ImageId] | np.ndarray) -> np.ndarray:
        """Returns the number of regions of each image, (n,) int64; see `RegionStore.counts`."""
        return self._store.counts(image_ids)

    def __getitem__(self, image_id: ImageId) -> Regions:
        """Returns an image's regions; DataError where the store has none."""
        return self._store[image_id]

    def read_batch(
        self,
        image_ids: Sequence[ImageId] | np.ndarray,
        out: RegionBatch | None = None,
        dtype: torch.dtype | None = None,
    ) -> RegionBatch:
        """Gathers images as one padded batch; see `RegionStore.read_batch`."""
        ids = image_ids.tolist() if isinstance(image_ids, np.ndarray) else list(image_ids)
        counts = self.counts(ids)  # refuses images that are not there
        rows = np.fromiter((self._row[image_id] for image_id in ids), np.int64, len(ids))
        width = int(counts.max(initial=0))
        mask = np.arange(width) < counts[:, None]
        where = np.minimum(self._tables.first[rows][:, None] + np.arange(width), max(0, self.regions - 1))
        if self._is_uniform and ids:  # whole images are taken faster than their regions one by one
            features = self._features.view(len(self), width, self.dim).index_select(0, self._on_device(rows))
        else:
            found = self._features.index_select(0, self._on_device(where.reshape(-1)))
            features = found.view(len(ids), width, self.dim)
            features.masked_fill_(self._on_device(~mask).unsqueeze(2), 0)
        boxes = torch.from_numpy(self._tables.boxes[where] * mask[..., None].astype(np.float32))
        sizes = torch.from_numpy(self._tables.sizes[rows].astype(np.float32))
        return RegionBatch(features.to(dtype or torch.float32), boxes, torch.from_numpy(mask), sizes)

    def _on_device(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _refuse(self, first: int, block: np.ndarray) -> None:
        region = first + int(np.argmax(~np.isfinite(block).all(axis=1)))
        row = int(np.searchsorted(self._tables.first, region, side="right")) - 1
        raise DataError("the features hold NaN or infinity", file=self.path, record=f"image {self.image_ids[row]}")


def _stores(store: RegionStore) -> list[RegionStore]:
    return store.stores if isinstance(store, JoinedStore) else [store]


def _blocks(store: RegionStore) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first region, (n, D) features) of all regions, store after store."""
    before = 0
    for part in _stores(store):
        for first, block in part.blocks():
            yield before + first, block
        before += part.regions


def size_of(store: RegionStore) -> int:
    """Returns the bytes of all features."""
    return store.regions * store.dim * store.dtype.itemsize


def free_on(device: torch.device) -> int:
    """Returns the bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    with suppress(OSError, StopIteration):  # not Linux
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    return sys.maxsize


class Resident(NamedTuple):
    """A store and where its features are.

    Attributes:
        store: what batches are read from.
        told: where its features are, in words.
        pages: what keeps them there, to be held as long as the store is used.
    """

    store: RegionStore
    told: str
    pages: Sequence[mmap.mmap] = ()


def resident(store: RegionStore, where: Where, device: torch.device) -> Resident:
    """Puts a store's features where they are to be.

    Args:
        store: one store, or several as one.
        where: ``none`` reads the file; ``device`` loads all of it to the device; ``memory`` locks the file's pages in
            memory; ``auto`` is ``device`` where that is a GPU of which half the free memory is enough, else ``none``.
        device: what batches are computed on.

    Raises:
        DataError: features are not finite, or damaged.
        UsageError: they do not fit.
    """
    if where == "auto":
        fits = device.type != "cpu" and size_of(store) <= _SHARE * free_on(device)
        where = "device" if fits else "none"
    told = f"{size_of(store) / 1e9:.2f} GB"
    if where == "device":
        if size_of(store) > free_on(device):
            raise _too_large(store, str(device))
        return Resident(ResidentStore(store, device), f"on {device}, {told}")
    if where == "memory":
        if size_of(store) > free_on(torch.device("cpu")):
            raise _too_large(store, "memory")
        locked = [_locked(part.path) for part in _stores(store)]
        state = "locked" if all(ok for _, ok in locked) else "not locked"
        return Resident(store, f"in memory, {state}, {told}", [pages for pages, _ in locked])
    return Resident(store, "read from the file")


def _too_large(store: RegionStore, where: str) -> UsageError:
    return UsageError(
        f"{store.path}: {size_of(store) / 1e9:.1f} GB of features do not fit into {where}",
        mend="set data.resident to none",
    )


def _locked(path: Path) -> tuple[mmap.mmap, bool]:
    """Maps a file and locks its pages; where that is not permitted they are read once, and may be dropped again."""
    size = path.stat().st_size
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
        address = np.frombuffer(pages, np.uint8).ctypes.data
        with phase(f"locking {path.name} in memory"):
            failed = ctypes.CDLL(None, use_errno=True).mlock(ctypes.c_void_p(address), ctypes.c_size_t(size))
            if failed:
                LOG.info(
                    "%s cannot be locked in memory (%s): it is read once; `ulimit -l` says how much may be",
                    path,
                    os.strerror(ctypes.get_errno()),
                )
                while file.read(1 << 24):
                    pass
    return pages, not failed
