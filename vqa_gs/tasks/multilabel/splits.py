"""The splits a multi-label run is scored on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor, nn

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import write_json
from vqa_gs.common.phases import phase
from vqa_gs.contracts import ModelOutput, Objective, asked
from vqa_gs.data.instances import LabelledImages
from vqa_gs.eval.average_precision import mean_average_precision
from vqa_gs.eval.label_metrics import label_metrics
from vqa_gs.eval.metrics_file import write_metrics
from vqa_gs.eval.runs import ModelSelection, SplitMetrics
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore
from vqa_gs.pipeline.region_batches import image_batches
from vqa_gs.pipeline.task import Split


@dataclass
class LabelSplit(Split):
    """Images with label vectors; what is predicted is a probability a class.

    Attributes:
        name: what metrics and predictions are filed under.
        image_ids: the images.
        labels: (n, classes) bool.
        classes: their names.
        store: the regions.
        sources: name -> path and SHA-256.
        chosen_on_test: epochs are chosen on images of a test split, which the metrics have to say.
    """

    name: str
    image_ids: Sequence[ImageId]
    labels: NDArray[np.bool_]
    classes: list[str]
    store: RegionStore
    sources: dict[str, dict[str, str]]
    chosen_on_test: bool

    @torch.no_grad()
    def predict(
        self,
        model: nn.Module,
        batch_size: int = 512,
        rank: int = 0,
        world: int = 1,
        terms: Collection[Objective] = (),
    ) -> Tensor:
        """Returns the probability of every class of every image, (n, classes) float32."""
        was_training = model.training
        model.eval()
        device = next(model.parameters()).device
        scores = torch.zeros(self.labels.shape)
        with (
            phase(f"scoring {self.name}", -(-len(self.image_ids) // world), "images") as advance,
            closing(image_batches(self.image_ids, self.store, batch_size, rank, world)) as batches,
        ):
            for rows, regions in batches:
                there = regions.to(device)
                out = asked(
                    terms, ModelOutput(model(there.features, there.mask)), torch.zeros(len(rows), dtype=torch.int64)
                )
                scores[torch.from_numpy(rows)] = out.logits.sigmoid().cpu()
                advance(len(rows))
        model.train(was_training)
        return scores

    def score(self, predictions: Tensor) -> float:
        """Returns mAP in percent."""
        mean = mean_average_precision(predictions.double().numpy(), self.labels).mean
        assert mean is not None
        return mean

    def report(self, predictions: Tensor, folder: Path) -> SplitMetrics:
        """Writes probabilities and metrics."""
        metrics = label_metrics(predictions.double().numpy(), self.labels, self.classes, self.name, self.sources)
        if self.chosen_on_test:
            metrics.notes.append("epochs were chosen on images of a test split")
            metrics = replace(metrics, selection=ModelSelection(on_test=True))
        named = zip(self.image_ids, predictions.tolist(), strict=True)
        rows = [{"image_id": image_id, "scores": scores} for image_id, scores in named]
        write_json(folder / "predictions" / f"{self.name}.json", rows, indent=None)
        write_metrics(folder / "metrics" / f"{self.name}.json", metrics)
        return metrics


def make_split(
    name: str,
    parts: Sequence[LabelledImages],
    chosen: NDArray[np.bool_] | None,
    store: RegionStore,
    chosen_on_test: bool = False,
) -> LabelSplit:
    """Makes a split of some files, and of their images only those chosen.

    Raises:
        DataError: an image is in two of the files, or none of the images shows any class.
    """
    ids = [image_id for part in parts for image_id in part.image_ids]
    labels = np.concatenate([part.labels for part in parts])
    if chosen is not None:
        ids, labels = [image_id for image_id, one in zip(ids, chosen, strict=True) if one], labels[chosen]
    if not labels.any():
        what = "has no image that shows a class" if chosen is None else f"has no image with a class for {name}"
        raise DataError(what, file=parts[0].file, mend="there is no mAP of it: leave the split out")
    sources = {
        "instances" if at == 0 else f"instances_{at + 1}": {"path": part.file, "sha256": part.sha256}
        for at, part in enumerate(parts)
    }
    return LabelSplit(name, ids, labels, list(parts[0].categories.values()), store, sources, chosen_on_test)
