"""The mean region of each class that a pair table names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vqa_gs.features.geometry import normalized_boxes
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.models.vqa_model import VqaModel
from vqa_gs.tasks.vqa.batches import PairedExamples

_IMAGES = 256


def class_means_of(data: PairedExamples, store: RegionStore, model: VqaModel) -> Callable[[], Tensor] | None:
    """Returns what computes the means as a model is given regions, see `TrainingStatistics`; None without classes."""
    if data.pairs is None or data.pairs.region_class is None:
        return None

    def means() -> Tensor:
        features, boxes = class_means(data, store)
        # Boxes are shares of the image already, and what a model makes of them is linear: that of an image of 1 x 1.
        there = torch.ones(1, len(features), dtype=torch.bool)
        device = next(model.parameters()).device
        parts = features.unsqueeze(0), boxes.unsqueeze(0), torch.ones(1, 2), there
        with torch.no_grad():
            return model.prepare_regions(*(part.to(device) for part in parts)).squeeze(0)

    return means


def class_means(data: PairedExamples, store: RegionStore) -> tuple[Tensor, Tensor]:
    """Averages the regions in alignment rows by class, each region of an image once.

    Args:
        data: pairs whose table names classes.
        store: the regions of their images.

    Returns:
        (classes, dim) float32 and the boxes (classes, 4), as shares of the image's sides; 0 for classes without any.
    """
    table = data.pairs
    assert table is not None
    assert table.region_class is not None
    owner = np.repeat(data.pair_rows, np.diff(table.first), axis=0)
    known = table.region_class >= 0
    examples, region, code = owner[known], table.rows[known], table.region_class[known]
    ids = data.examples.image_ids[examples]
    places = {image: at for at, image in enumerate(dict.fromkeys(ids.tolist()))}
    image = np.array([places[one] for one in ids.tolist()], np.int64)
    _, first = np.unique(np.stack([image, region]), axis=1, return_index=True)
    image, region, code = image[first], region[first], code[first]  # by image now
    total = torch.zeros(len(table.class_names), store.dim, dtype=torch.float64)
    sides = torch.zeros(len(total), 4, dtype=torch.float64)
    batch: RegionBatch | None = None
    listed = list(places)
    for start in range(0, len(listed), _IMAGES):
        batch = store.read_batch(listed[start : start + _IMAGES], out=batch)
        some = slice(*np.searchsorted(image, [start, start + _IMAGES]))
        at, into = (image[some] - start, region[some]), torch.from_numpy(code[some].astype(np.int64))
        total.index_add_(0, into, batch.features[at].double().cpu())
        boxes = normalized_boxes(batch.boxes, batch.sizes)[..., :4]
        sides.index_add_(0, into, boxes[at].double().cpu())
    count = torch.from_numpy(np.bincount(code, minlength=len(total))).clamp_min(1).unsqueeze(1)
    return (total / count).float(), (sides / count).float()
