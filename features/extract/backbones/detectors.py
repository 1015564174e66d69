"""torchvision's two-stage detectors: their box heads as features, their proposals as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vqa_gs.features.extract.backbones import Backbone, BackboneSettings, OwnRegions, backbone
from vqa_gs.features.extract.regions import RegionLimits
from vqa_gs.features.extract.suppression import CONFIDENCE, OVERLAP, select_regions
from vqa_gs.features.extract.weights import fetching, read_state

from vqa_gs.common.errors import DataError, UsageError

_FAMILIES = ("fasterrcnn_", "maskrcnn_", "keypointrcnn_")


@backbone("fasterrcnn_*")
@backbone("maskrcnn_*")
@backbone("keypointrcnn_*")
class Detector(Backbone):
    """A detector whose box head gives each box one vector, and whose proposals may be the boxes.

    Attributes:
        classes: labels the detector tells apart, the background included.
    """

    own_columns = ("class", "class_score")

    def __init__(self, model: Any, settings: BackboneSettings, **facts: Any) -> None:
        model = model.eval().requires_grad_(False)
        own = model.transform
        super().__init__(
            model,
            settings,
            sides=(min(own.min_size), own.max_size),
            mean=own.image_mean,
            std=own.image_std,
            multiple=own.size_divisible,
            **facts,
        )
        self._model = model.to(self._device)
        scores = model.roi_heads.box_predictor.cls_score
        self.dim, self.classes = int(scores.in_features), int(scores.out_features)
        self.facts |= {"levels": list(model.roi_heads.box_roi_pool.featmap_names), "pooling": "box head"}

    @classmethod
    def load(cls, name: str, settings: BackboneSettings) -> Detector:
        """See ``Backbone.load``."""
        from torchvision.models import get_model, list_models

        if settings.levels is not None:
            raise UsageError(f"{name} has no levels to choose from", mend="leave --levels out")
        known = [model for model in list_models() if model.startswith(_FAMILIES)]
        if name not in known:
            raise UsageError(f"torchvision has no detector called {name!r}", mend=f"choose one of {', '.join(known)}")
        weights = settings.weights
        if weights in ("auto", "pretrained") and settings.allow_download:
            with fetching(f"weights of {name}"):
                model = get_model(name, weights="DEFAULT")
            return cls(model, settings, name=name, weights="downloaded", note="weights fetched by torchvision")
        if weights == "pretrained":
            raise UsageError(
                f"no pretrained weights of {name} are installed",
                mend="give a file of weights, or --allow-download, or --weights random",
            )
        if weights in ("auto", "random"):
            note = f"random weights, seed {settings.seed}: boxes and features say little"
            return cls(_build(name, settings.seed, None, ""), settings, name=name, weights="random", note=note)
        model = _build(name, settings.seed, read_state(Path(weights)), weights)
        return cls(model, settings, name=name, weights=weights, note=f"weights of {weights}")

    def forward(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], boxes: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """See ``Backbone.forward``."""
        return self._head(self._model.backbone(pixels), boxes, extents)

    def _head(self, levels: Any, boxes: Sequence[torch.Tensor], extents: Sequence[tuple[int, int]]) -> torch.Tensor:
        heads = self._model.roi_heads
        return heads.box_head(heads.box_roi_pool(levels, list(boxes), list(extents)))

    def propose(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], limits: RegionLimits
    ) -> list[OwnRegions]:
        """Returns the regions the bottom-up recipe chooses among the proposals, and their box heads.

        Where the detector proposes nothing, the whole image is the one region.
        """
        from torchvision.models.detection.image_list import ImageList

        levels = self._model.backbone(pixels)
        proposals, _ = self._model.rpn(ImageList(pixels, list(extents)), levels)
        whole = [torch.tensor([[0.0, 0.0, width, height]], device=self._device) for height, width in extents]
        proposals = [boxes if len(boxes) else full for boxes, full in zip(proposals, whole, strict=True)]
        head = self._head(levels, proposals, extents)
        logits, _ = self._model.roi_heads.box_predictor(head)
        counts = [len(boxes) for boxes in proposals]
        results: list[OwnRegions] = []
        parts = zip(proposals, head.split(counts), logits.softmax(-1).split(counts), strict=True)
        for boxes, rows, scores in parts:
            kept = select_regions(boxes, scores[:, 1:], limits)
            best = scores[kept, 1:].max(1)
            columns = {
                "class": (best.indices + 1).cpu().numpy().astype(np.int32),
                "class_score": best.values.float().cpu().numpy(),
            }
            results.append((boxes[kept], rows[kept], columns))
        return results

    def own_facts(self, limits: RegionLimits) -> dict[str, Any]:
        """See ``Backbone.own_facts``."""
        return {
            "chosen": "proposals before regression, class-wise non-maximum suppression, bottom-up",
            "confidence": CONFIDENCE,
            "overlap": OVERLAP,
            "regions": str(limits),
        }


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
