"""torchvision's two-stage detectors: their box heads as features, their proposals as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vqa_gs.features.extract._weights import fetching, read_state
from vqa_gs.features.extract.backbone import MULTIPLE, Backbone
from vqa_gs.features.extract.boxes import Found, RegionLimits
from vqa_gs.features.extract.boxes._recipe import CONFIDENCE, OVERLAP, select_regions

from vqa_gs.common.errors import DataError, UsageError

_FAMILIES = ("fasterrcnn_", "maskrcnn_", "keypointrcnn_")


def is_detector(name: str) -> bool:
    """Whether a name is that of a two-stage detector of torchvision."""
    return name.startswith(_FAMILIES)


class Detector(Backbone):
    """A detector whose box head gives each box one vector, and whose proposals may be the boxes.

    Attributes:
        classes: labels the detector tells apart, the background included.
    """

    def __init__(self, model: Any, *, sides: tuple[int | None, int | None], **options: Any) -> None:
        model = model.eval().requires_grad_(False)
        own = model.transform
        short = min(own.min_size) if sides[0] is None else sides[0]
        long = max(own.max_size, short) if sides[1] is None else sides[1]
        super().__init__(model, sides=(short, long), mean=own.image_mean, std=own.image_std, **options)
        self._model = model.to(self._device)
        scores = model.roi_heads.box_predictor.cls_score
        self.dim, self.classes = int(scores.in_features), int(scores.out_features)
        self.facts |= {"levels": list(model.roi_heads.box_roi_pool.featmap_names), "pooling": "box head"}

    def forward(self, inputs: Sequence[torch.Tensor], boxes: Sequence[torch.Tensor]) -> torch.Tensor:
        """See ``Backbone.forward``."""
        pixels = self.normalized(inputs)
        return self._head(self._model.backbone(pixels), boxes, [tuple(image.shape[1:]) for image in inputs])

    def _head(self, levels: Any, boxes: Sequence[torch.Tensor], sizes: list[tuple[int, ...]]) -> torch.Tensor:
        heads = self._model.roi_heads
        return heads.box_head(heads.box_roi_pool(levels, list(boxes), sizes))

    def detect(
        self, inputs: Sequence[torch.Tensor], sizes: Sequence[tuple[int, int]], limits: RegionLimits
    ) -> tuple[list[Found], list[np.ndarray]]:
        """Returns the regions the bottom-up recipe chooses among the detector's own proposals, and their features.

        Args:
            inputs: B images (3, h, w) uint8, as ``prepare`` gives them.
            sizes: B widths and heights of the images as they were.
            limits: how many regions an image.

        Returns:
            B times boxes in pixels of the images as they were, with ``class`` and ``class_score``; and B arrays
            (n, dim) float32. Where the detector proposes nothing, the whole image is the one region.
        """
        found: list[Any] = [None] * len(inputs)
        features: list[np.ndarray] = [np.empty(0)] * len(inputs)
        with torch.inference_mode():
            for members in self.groups(inputs):
                for i, (kept, rows) in zip(
                    members, self._detect_group([inputs[i] for i in members], limits), strict=True
                ):
                    back = np.array(
                        [sizes[i][0] / inputs[i].shape[2], sizes[i][1] / inputs[i].shape[1]] * 2, np.float32
                    )
                    boxes = np.minimum(kept.boxes * back, np.array([*sizes[i], *sizes[i]], np.float32))
                    found[i], features[i] = Found(boxes, kept.columns), rows
        return found, features

    def _detect_group(self, inputs: Sequence[torch.Tensor], limits: RegionLimits) -> list[tuple[Found, np.ndarray]]:
        from torchvision.models.detection.image_list import ImageList

        sizes = [(int(image.shape[1]), int(image.shape[2])) for image in inputs]
        pixels = self.normalized(inputs)
        levels = self._model.backbone(pixels)
        proposals, _ = self._model.rpn(ImageList(pixels, sizes), levels)
        whole = [torch.tensor([[0.0, 0.0, width, height]], device=self._device) for height, width in sizes]
        proposals = [boxes if len(boxes) else full for boxes, full in zip(proposals, whole, strict=True)]
        head = self._head(levels, proposals, list(sizes))
        logits, _ = self._model.roi_heads.box_predictor(head)
        counts = [len(boxes) for boxes in proposals]
        results = []
        parts = zip(proposals, head.split(counts), logits.softmax(-1).split(counts), strict=True)
        for boxes, rows, scores in parts:
            kept = select_regions(boxes, scores[:, 1:], limits)
            best = scores[kept, 1:].max(1)
            columns = {
                "class": (best.indices + 1).cpu().numpy().astype(np.int32),
                "class_score": best.values.float().cpu().numpy(),
            }
            results.append((Found(boxes[kept].float().cpu().numpy(), columns), rows[kept].float().cpu().numpy()))
        return results


def recipe_facts(limits: RegionLimits) -> dict[str, Any]:
    """Returns how regions are chosen among proposals, for the fingerprint."""
    return {
        "chosen": "proposals before regression, class-wise non-maximum suppression, bottom-up",
        "confidence": CONFIDENCE,
        "overlap": OVERLAP,
        "regions": str(limits),
    }


def load_detector(
    name: str,
    weights: str,
    seed: int,
    sides: tuple[int | None, int | None],
    device: str,
    allow_download: bool,
) -> Detector:
    """Loads a detector of torchvision; see ``load_backbone``."""
    from torchvision.models import get_model, list_models

    if name not in [model for model in list_models() if is_detector(model)]:
        known = ", ".join(model for model in list_models() if is_detector(model))
        raise UsageError(f"torchvision has no detector called {name!r}", mend=f"choose one of {known}")
    if weights in ("auto", "pretrained") and allow_download:
        with fetching(f"weights of {name}"):
            model, kind, note = get_model(name, weights="DEFAULT"), "downloaded", "weights fetched by torchvision"
    elif weights == "pretrained":
        raise UsageError(
            f"no pretrained weights of {name} are installed",
            mend="give a file of weights, or --allow-download, or --weights random",
        )
    else:
        state = None if weights in ("auto", "random") else read_state(Path(weights))
        model = _build(name, seed, state, weights)
        kind = "random" if state is None else weights
        note = (
            f"random weights, seed {seed}: boxes and features say little" if state is None else f"weights of {weights}"
        )
    if getattr(model.transform, "size_divisible", MULTIPLE) != MULTIPLE:
        raise UsageError(f"{name} pads images otherwise than to multiples of {MULTIPLE}")
    return Detector(model, sides=sides, name=name, weights=kind, note=note, device=device)


def _build(name: str, seed: int, state: dict[str, torch.Tensor] | None, weights: str) -> Any:
    from torchvision.models import get_model

    options: dict[str, Any] = {"weights": None, "weights_backbone": None}
    if state is not None:
        scores = state.get("roi_heads.box_predictor.cls_score.weight")
        if scores is None:
            raise DataError(f"the weights are not those of {name}: they have no box predictor", file=weights)
        # Detectors of other data, such as Visual Genome, tell other numbers of classes apart.
        options["num_classes"] = int(scores.shape[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_model(name, **options)
    if state is None:
        return model
    try:
        # Weights made with frozen batch norms do not count batches.
        lacking, strange = model.load_state_dict(state, strict=False)
        lacking = [key for key in lacking if not key.endswith("num_batches_tracked")]
        if lacking or strange:
            raise KeyError(f"{[*lacking, *strange][0]} is missing or not of this network")
    except (RuntimeError, KeyError) as error:
        raise DataError(
            f"the weights are not those of {name}: {' '.join(str(error).split())[:200]}", file=weights
        ) from error
    return model
