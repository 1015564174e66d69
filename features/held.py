"""Regions held in memory that read like a store: of pictures that were described a moment ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionBatch, Regions, RegionStore

from vqa_gs.common.errors import DataError


class HeldRegions(RegionStore):
    """Reads batches like a `RegionStore`, from regions in memory.

    Args:
        regions: one or more images' regions by image id.
        fingerprint: how they were made.

    Raises:
        DataError: regions are not finite, or images differ in the numbers a region has.
    """

    def __init__(self, regions: Mapping[ImageId, Regions], fingerprint: str = "") -> None:
        self.path = Path("given regions")
        self._held = dict(regions)
        self.image_ids, self.fingerprint = tuple(self._held), fingerprint
        dims = {part.features.shape[1] for part in self._held.values()}
        if len(dims) != 1:
            raise DataError(f"images have regions of {', '.join(map(str, sorted(dims)))} numbers")
        (self.dim,) = dims
        self.dtype, self.columns = np.dtype(np.float32), ()
        self.regions = sum(len(part.boxes) for part in self._held.values())
        for image_id, part in self._held.items():
            if not np.isfinite(part.features).all():
                raise DataError("the features hold NaN or infinity", record=f"image {image_id!r}")
            if part.boxes.shape != (len(part.features), 4):
                raise DataError(
                    f"{len(part.features)} regions with boxes of the shape {part.boxes.shape}",
                    record=f"image {image_id!r}",
                    mend="give (regions, dim) features and (regions, 4) boxes",
                )

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._held

    def __repr__(self) -> str:
        return f"HeldRegions({len(self)} images, {self.regions} x {self.dim})"

    def close(self) -> None:
        """Does nothing: no file is open."""

    def counts(self, image_ids: Sequence[ImageId] | np.ndarray) -> np.ndarray:
        """Returns the number of regions of each image, (n,) int64."""
        return np.array([len(self._held[image_id].boxes) for image_id in image_ids], np.int64)

    def __getitem__(self, image_id: ImageId) -> Regions:
        """Returns an image's regions."""
        return self._held[image_id]

    def read_batch(
        self,
        image_ids: Sequence[ImageId] | np.ndarray,
        out: RegionBatch | None = None,
        dtype: torch.dtype | None = None,
    ) -> RegionBatch:
        """Returns images as one padded batch; see `RegionStore.read_batch`."""
        chosen = [self._held[image_id] for image_id in image_ids]
        count, longest = len(chosen), max((len(part.boxes) for part in chosen), default=0)
        batch = RegionBatch(
            torch.zeros(count, longest, self.dim, dtype=dtype or torch.float32),
            torch.zeros(count, longest, 4),
            torch.zeros(count, longest, dtype=torch.bool),
            torch.zeros(count, 2),
        )
        for row, part in enumerate(chosen):
            regions = len(part.boxes)
            batch.features[row, :regions] = torch.from_numpy(np.asarray(part.features, np.float32))
            batch.boxes[row, :regions] = torch.from_numpy(np.asarray(part.boxes, np.float32))
            batch.mask[row, :regions] = True
            batch.sizes[row] = torch.from_numpy(np.asarray(part.size, np.float32))
        return batch
