"""What a batch has to hold."""

import numpy as np
import torch
from vqa_gs.features.store import RegionBatch


def check_batch(batch: RegionBatch, ids, content) -> None:
    counts = [len(content[i][0]) for i in ids]
    dim = next(iter(content.values()))[0].shape[1]
    assert batch.features.shape == (len(ids), max(counts), dim)
    assert batch.features.dtype == torch.float32
    assert batch.mask.dtype == torch.bool
    assert batch.counts.tolist() == counts
    for row, image_id in enumerate(ids):
        features, boxes, size = content[image_id]
        n = len(features)
        assert (batch.features[row, :n].numpy() == features.astype(np.float32)).all()
        assert (batch.boxes[row, :n].numpy() == boxes).all()
        assert batch.mask[row].tolist() == [True] * n + [False] * (max(counts) - n)
        assert batch.sizes[row].tolist() == list(size)
        assert not batch.features[row, n:].any()
        assert not batch.boxes[row, n:].any()
