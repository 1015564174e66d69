"""Batches of images with their label vectors, pairs written out once for each class whose label changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqa_gs.contracts import Batch
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders.alignment.batches import align_pairs
from vqa_gs.pair_builders.alignment.directions import alignment_index
from vqa_gs.pair_builders.alignment.matching import BOX_WEIGHT
from vqa_gs.pair_builders.table import IDENTITY, PairTable
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.read_ahead import BUFFERS
from vqa_gs.tasks.multilabel.examples import LabelTraining, changed_classes


@dataclass(kw_only=True)
class LabelBatch(Batch):
    """One step's images, see `Batch`.

    A pair stands once for each class whose label differs between its ends, with as much less weight. The labels of its
    ends are statements: class c is there (c), or is not (classes + c); -1 where no label differs.

    Attributes:
        features: (n, regions, dim) float32, zero-padded.
        mask: (n, regions) bool.
        row_weight: (n,) float32, the weight of a row as data: 1 altogether for each end of a pair.
    """

    features: Tensor
    mask: Tensor
    row_weight: Tensor


class LabelBatcher:
    """Assembles the batches of a `Plan`.

    Args:
        data: examples and pairs.
        store: the region store.
        plan: what each step takes.
        aligns: whether the regions of pairs are aligned.
    """

    def __init__(self, data: LabelTraining, store: RegionStore, plan: Plan, aligns: bool) -> None:
        self.data, self.store, self.plan = data, store, plan
        self.table = align_images(data, store) if aligns and len(data.pairs) else None
        self._buffers: list[RegionBatch | None] = [None] * BUFFERS

    def __call__(self, step: int) -> LabelBatch:
        """Assembles one step's batch; its buffers are used again four calls later."""
        data = self.data
        ordinary, chosen, all_ordinary, all_pairs = self.plan.step(step)
        a, b = data.pairs[chosen].T
        pair, changed, share = changed_classes(data.labels[a], data.labels[b])
        rows = np.concatenate([a[pair], b[pair], ordinary])
        slot = step % BUFFERS
        regions = self.store.read_batch(list(data.image_ids[rows]), out=self._buffers[slot])
        self._buffers[slot] = regions
        count, width = len(pair), regions.mask.shape[1]
        alignment: tuple[Tensor, ...] = ()
        if self.table is not None and count:
            counts = regions.counts.numpy()
            alignment = alignment_index(
                self.table, chosen[pair], counts[:count], counts[count : 2 * count], width_a=width, width_b=width
            ).to("cpu")
        world = self.plan.world
        weight = torch.from_numpy(np.tile(share, 2))
        return LabelBatch(
            features=regions.features,
            mask=regions.mask,
            targets=torch.from_numpy(data.labels[rows].astype(np.float32)),
            labels=torch.from_numpy(statements(data.labels[rows[: 2 * count]], np.tile(changed, 2))),
            alignment=alignment,
            weight=weight,
            row_weight=torch.cat([weight, torch.ones(len(ordinary))]),
            rows=(2 * all_pairs + all_ordinary) / world,
            end_rows=2 * all_pairs / world,
            epoch=step / self.plan.steps_per_epoch,
            seed=self.plan.step_seed(step),
            examples=torch.from_numpy(rows),
        )


def statements(labels: NDArray[np.bool_], about: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns what label vectors say of one class each: c if it is there, classes + c if not, -1 of no class.

    Args:
        labels: (n, classes).
        about: (n,) the class, -1 for none.
    """
    classes = labels.shape[1]
    there = labels[np.arange(len(about)), np.maximum(about, 0)]
    return np.where(about < 0, -1, np.where(there, about, classes + about)).astype(np.int64)


def align_images(data: LabelTraining, store: RegionStore) -> PairTable:
    """Says which regions of the pairs' images correspond to each other.

    Where two images have the same boxes, as edited images have whose features were extracted at the original's boxes,
    region k corresponds to region k; else regions are matched (`vqa_gs.pair_builders.alignment.matching`).
    """
    a, b = (list(data.image_ids[end]) for end in data.pairs.T)
    same = np.array([np.array_equal(store[one].boxes, store[other].boxes) for one, other in zip(a, b, strict=True)])
    lengths, first, flat = np.zeros(len(a), np.int64), np.zeros(1, np.int64), np.zeros((0, 2), np.int32)
    moved = np.flatnonzero(~same)
    if len(moved):
        first, flat = align_pairs(
            store,
            [a[at] for at in moved.tolist()],
            [b[at] for at in moved.tolist()],
            box_weight=BOX_WEIGHT,
            sparse=np.zeros(len(moved), np.int64),
        )
        lengths[moved] = np.diff(first)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    rows = [flat[:0] if alike else flat[low:high] for alike, low, high in zip(same, bounds, bounds[1:], strict=False)]
    table = PairTable.of_one_kind("edited", data.pairs[:, 0], data.pairs[:, 1], alignment="matched", rows=rows)
    table.alignment[same] = IDENTITY
    return table
