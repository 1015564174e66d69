"""Several region stores as one: originals under COCO's numbers and edited images under text, say.

A store holds ids of one kind only; what reads regions should not have to know which store an image is in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionBatch, Regions, RegionStore, StoreTables

from vqa_gs.common.errors import DataError
from vqa_gs.common.lazy import torch


class JoinedStore(RegionStore):
    """Reads like a `RegionStore`, from whichever of several an image is in.

    Its ``dtype`` is the wider of theirs, its ``columns`` those that all have, its ``fingerprint`` has a line for each.

    Args:
        stores: two or more, made by the same extractor.

    Raises:
        DataError: they differ in the numbers a region has, or an image is in two of them.
    """

    def __init__(self, stores: Sequence[RegionStore]) -> None:
        self.stores = list(stores)
        self.path = Path(self.stores[0].path)
        self._owner: dict[ImageId, int] = {}
        for number, store in enumerate(self.stores):
            if store.dim != self.stores[0].dim:
                raise DataError(
                    f"regions of {store.dim} numbers, those of {self.path} have {self.stores[0].dim}",
                    file=store.path,
                    mend="join stores of the same extractor only",
                )
            for image_id in store.image_ids:
                if self._owner.setdefault(image_id, number) != number:
                    raise DataError(f"is in {self.path} too", file=store.path, record=f"image {image_id!r}")
        first = self.stores[0]
        self.image_ids, self.dim = tuple(self._owner), first.dim
        self.dtype = max((store.dtype for store in self.stores), key=lambda dtype: dtype.itemsize)
        self.columns = tuple(name for name in first.columns if all(name in store.columns for store in self.stores))
        self.fingerprint = "\n".join(dict.fromkeys(store.fingerprint for store in self.stores))
        self.content_hash = hashlib.sha256("".join(store.content_hash for store in self.stores).encode()).hexdigest()
        self.regions = sum(store.regions for store in self.stores)
        self.is_contiguous = all(store.is_contiguous for store in self.stores)

    @property
    def tables(self) -> StoreTables:
        """All but the features, store after store."""
        parts = [store.tables for store in self.stores]
        counts = np.concatenate([np.diff(part.first) for part in parts])
        return StoreTables(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([part.boxes for part in parts]),
            {name: np.concatenate([part.columns[name] for part in parts]) for name in self.columns},
        )

    def __len__(self) -> int:
        return len(self._owner)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._owner

    def __repr__(self) -> str:
        return f"JoinedStore({self.stores!r})"

    def close(self) -> None:
        """Closes this process's handles."""
        for store in self.stores:
            store.close()

    def counts(self, image_ids: Sequence[ImageId] | np.ndarray) -> np.ndarray:
        """Returns the number of regions of each image, (n,) int64; see `RegionStore.counts`."""
        ids, counts = list(image_ids), np.zeros(len(image_ids), np.int64)
        for store, places in self._parts(ids):
            counts[places] = store.counts([ids[place] for place in places])
        return counts

    def __getitem__(self, image_id: ImageId) -> Regions:
        """Returns an image's regions; DataError where no store has any."""
        # An image in none is asked of the first, whose message names it.
        return self.stores[self._owner.get(image_id, 0)][image_id]

    def read_batch(
        self,
        image_ids: Sequence[ImageId] | np.ndarray,
        out: RegionBatch | None = None,
        dtype: torch.dtype | None = None,
    ) -> RegionBatch:
        """Reads images into one padded batch; see `RegionStore.read_batch`."""
        ids = list(image_ids)
        parts = list(self._parts(ids))
        if len(parts) <= 1:
            return (parts[0][0] if parts else self.stores[0]).read_batch(ids, out, dtype)
        read = [(places, store.read_batch([ids[place] for place in places], dtype=dtype)) for store, places in parts]
        longest = max(batch.mask.shape[1] for _, batch in read)
        whole = RegionBatch(
            torch.zeros(len(ids), longest, self.dim, dtype=dtype),
            torch.zeros(len(ids), longest, 4),
            torch.zeros(len(ids), longest, dtype=torch.bool),
            torch.zeros(len(ids), 2),
        )
        for places, batch in read:
            rows, width = torch.tensor(places), batch.mask.shape[1]
            whole.features[rows, :width] = batch.features
            whole.boxes[rows, :width] = batch.boxes
            whole.mask[rows, :width] = batch.mask
            whole.sizes[rows] = batch.sizes
        return whole

    def _parts(self, ids: list[ImageId]) -> list[tuple[RegionStore, list[int]]]:
        places: dict[int, list[int]] = {}
        for place, image_id in enumerate(ids):
            places.setdefault(self._owner.get(image_id, 0), []).append(place)
        return [(self.stores[number], some) for number, some in places.items()]


def open_stores(paths: Sequence[str | Path]) -> RegionStore:
    """Opens one store, or several as one."""
    stores = [RegionStore(path) for path in paths]
    return stores[0] if len(stores) == 1 else JoinedStore(stores)
