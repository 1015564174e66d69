"""Some regions of each question's image in place of all: those that matter to it, or those that do not (FPVG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from vqa_gs.common.phases import phase
from vqa_gs.data.questions import QuestionSet
from vqa_gs.eval.grounding_file import MOST_COVERED, Relevance, coverage, overlaps
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionBatch, Regions, RegionStore

Kind = Literal["relevant", "irrelevant"]


def chosen(kind: Kind, regions: NDArray[np.float32], boxes: NDArray[np.float32], overlap: float) -> NDArray[np.bool_]:
    """Returns which regions are of a kind, bool (R,).

    Reich et al. (Findings of EMNLP 2023): a region is relevant where its intersection over union with a relevant box
    is a half or more, irrelevant where no relevant box covers more than a quarter of it. Most regions of some images
    are neither.

    Args:
        kind: which.
        regions: (R, 4) float32 pixels.
        boxes: (B, 4) float32, the boxes that matter.
        overlap: the least intersection over union.
    """
    if kind == "relevant":
        return np.asarray((overlaps(regions, boxes) >= overlap).any(axis=1))
    return np.asarray((coverage(regions, boxes) <= MOST_COVERED).all(axis=1))


class ChosenRegions(RegionStore):
    """A region store as questions see it: each has an image of its own, of which only its regions are left.

    Args:
        store: the images.
        keep: by the id of a question's own image, the store's image and bool (R,), the regions that are left.
    """

    def __init__(self, store: RegionStore, keep: Mapping[ImageId, tuple[ImageId, NDArray[np.bool_]]]) -> None:
        self._whole, self._keep = store, keep
        self.path, self.image_ids, self.dim, self.dtype = store.path, tuple(keep), store.dim, store.dtype
        self.columns, self.fingerprint, self.content_hash = store.columns, store.fingerprint, store.content_hash
        self.regions, self.is_contiguous = sum(int(mask.sum()) for _, mask in keep.values()), False

    def __len__(self) -> int:
        return len(self._keep)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._keep

    def __repr__(self) -> str:
        return f"ChosenRegions({self._whole!r}, {len(self)} questions)"

    def close(self) -> None:
        """Closes this process's handle of the whole store."""
        self._whole.close()

    def counts(self, image_ids: Sequence[ImageId] | np.ndarray) -> np.ndarray:
        """Returns the number of regions that are left of each image, (n,) int64."""
        return np.array([int(self._keep[image_id][1].sum()) for image_id in image_ids], np.int64)

    def __getitem__(self, image_id: ImageId) -> Regions:
        """Returns the regions that are left of an image."""
        whole_id, mask = self._keep[image_id]
        whole = self._whole[whole_id]
        columns = {name: values[mask] for name, values in whole.columns.items()}
        return Regions(whole.features[mask], whole.boxes[mask], whole.size, columns)

    def read_batch(
        self,
        image_ids: Sequence[ImageId] | np.ndarray,
        out: RegionBatch | None = None,
        dtype: torch.dtype | None = None,
    ) -> RegionBatch:
        """Reads the regions that are left; see `RegionStore.read_batch`. The memory of ``out`` is not used again."""
        kept = [self._keep[image_id] for image_id in image_ids]
        whole = self._whole.read_batch([image_id for image_id, _ in kept], dtype=dtype)
        longest = max((int(mask.sum()) for _, mask in kept), default=0)
        features = whole.features.new_zeros(len(kept), longest, whole.features.shape[2])
        boxes, mask = whole.boxes.new_zeros(len(kept), longest, 4), torch.zeros(len(kept), longest, dtype=torch.bool)
        for row, (_, inside) in enumerate(kept):
            places = torch.from_numpy(np.flatnonzero(inside))
            features[row, : len(places)] = whole.features[row, places]
            boxes[row, : len(places)] = whole.boxes[row, places]
            mask[row, : len(places)] = True
        return RegionBatch(features, boxes, mask, whole.sizes)


def with_regions_of(
    kind: Kind, questions: QuestionSet, store: RegionStore, relevance: Relevance
) -> tuple[QuestionSet, ChosenRegions]:
    """Leaves each question the regions of a kind alone.

    Args:
        kind: which regions.
        questions: the questions.
        store: the regions of their images.
        relevance: the boxes that matter; what it knows nothing of is left out.

    Returns:
        The questions that have such a region, each about an image of its own, and the store of these images.

    Raises:
        DataError: an image is not in the store.
    """
    keep: dict[ImageId, tuple[ImageId, NDArray[np.bool_]]] = {}
    rows, held = [], {}
    known = relevance.boxes or {}
    with phase(f"choosing {kind} regions", len(questions), "questions") as far:
        for row, question in enumerate(questions.questions):
            far(1)
            boxes = known.get(str(question.question_id))
            if boxes is None or not len(boxes):
                continue
            if question.image_id not in held:
                held[question.image_id] = store[question.image_id].boxes
            mask = chosen(kind, held[question.image_id], boxes, relevance.threshold)
            if mask.any():
                keep[f"{row}"] = question.image_id, mask
                rows.append(row)
    few = questions.subset(rows)
    own = [
        msgspec.structs.replace(question, image_id=f"{row}") for row, question in zip(rows, few.questions, strict=True)
    ]
    return replace(few, questions=own, annotations=None), ChosenRegions(store, keep)
