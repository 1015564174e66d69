"""A finished run on labels of images, ready to label others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import torch

from vqa_gs.common.errors import DataError
from vqa_gs.common.phases import phase
from vqa_gs.contracts import ModelOutput, TrainingStatistics, asked
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore
from vqa_gs.models.labels import LABEL_MODELS
from vqa_gs.pipeline.region_batches import image_batches
from vqa_gs.pipeline.task import RunSettings
from vqa_gs.pipeline.trained import Trained, described_model, read_record


class _Record(msgspec.Struct):
    features_fingerprint: str
    region_dim: Annotated[int, msgspec.Meta(ge=1)]


class _Class(msgspec.Struct):
    id: int
    name: str


class Labelled(NamedTuple):
    """What a run says of one image.

    Attributes:
        image_id: the image.
        scores: the probability of each class, in the order of the run's ``classes.json``.
    """

    image_id: ImageId
    scores: list[float]


class TrainedLabels(Trained):
    """A finished run of the task `multilabel`.

    Args:
        folder: the run directory.
        settings: the run's settings.
        device: where to compute, see `choose_device`.
    """

    def __init__(self, folder: Path, settings: RunSettings, device: str = "auto") -> None:
        record = read_record(folder, _Record)
        self.fingerprint = record.features_fingerprint
        file = folder / "classes.json"
        classes = decode(read_content(file, "classes")[0], list[_Class], file=file, expected="a list of {id, name}")
        self.classes = [entry.name for entry in classes]
        sizes = record.region_dim, len(classes)
        model = described_model(folder, lambda: LABEL_MODELS[settings.architecture](*sizes, settings.model))
        super().__init__(folder, settings, model, TrainingStatistics(self.classes, sizes=model.sizes()), device)

    @torch.no_grad()
    def results(self, images: Sequence[ImageId], store: RegionStore, batch_size: int = 512) -> list[Labelled]:
        """Labels images of a store, as the rows of a file of predictions.

        Raises:
            DataError: an image is not in the store, or the store's regions have another dimension.
        """
        if store.dim != self.model.region_dim:
            raise DataError(
                f"its regions have {store.dim} numbers, the model's {self.model.region_dim}",
                file=store.path,
                mend="name the store the run was trained with",
            )
        found: list[Labelled] = []
        with (
            phase("labelling", len(images), "images") as advance,
            closing(image_batches(images, store, batch_size, 0, 1)) as batches,
        ):
            for rows, regions in batches:
                there = regions.to(self.device)
                out = ModelOutput(self.model(there.features, there.mask))
                types = torch.zeros(len(rows), dtype=torch.int64, device=self.device)
                scores = asked(self.terms.values(), out, types).logits.sigmoid().cpu().tolist()
                found += [Labelled(images[row], part) for row, part in zip(rows.tolist(), scores, strict=True)]
                advance(len(rows))
        return found
