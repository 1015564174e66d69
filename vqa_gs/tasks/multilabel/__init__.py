"""Multi-label image classification on COCO-format instances, images given as regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import write_json
from vqa_gs.common.lazy import torch
from vqa_gs.data.instances import LabelledImages, is_pair_list, unseen
from vqa_gs.eval.runs import MEAN_AVERAGE_PRECISION
from vqa_gs.models.labels import LABEL_MODELS
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.task import RunSettings, Task
from vqa_gs.requirements import direction_of
from vqa_gs.tasks import TASKS
from vqa_gs.tasks.multilabel.examples import load_label_training, read_split, refuse_shared, require_regions
from vqa_gs.tasks.multilabel.settings import LabelData

if TYPE_CHECKING:
    from vqa_gs.contracts import Outputs, TrainingStatistics
    from vqa_gs.models.label_model import LabelModel
    from vqa_gs.tasks.multilabel.batches import LabelBatch
    from vqa_gs.tasks.multilabel.splits import LabelSplit
    from vqa_gs.tasks.multilabel.trained import TrainedLabels


@TASKS.register("multilabel")
class MultiLabel(Task):
    """Images, which classes each shows, and pairs of images that differ by an object."""

    Data = LabelData
    models = LABEL_MODELS
    architecture = "linear"
    scoring = MEAN_AVERAGE_PRECISION
    provides = frozenset(map(direction_of, ("regions", "pooled")))

    def __init__(self, settings: RunSettings) -> None:
        from vqa_gs.features.joined import open_stores
        from vqa_gs.tasks.multilabel.splits import make_split

        self.settings, config = settings, settings.data
        if settings.scoring != self.scoring:
            raise UsageError(
                f"the task multilabel is scored by {self.scoring}, not {settings.scoring!r}", mend="leave it out"
            )
        self.store = open_stores(config.stores())
        self.data = load_label_training(config, self.store, settings.seed)
        self.sources = {**self.data.sources, config.features: self.store.content_hash}
        self.ordinary, self.pairs = self.data.ordinary, len(self.data.pairs)
        validation = [self.data.held] if self.data.held else [self._read(path) for path in config.iid_val]
        tests = self._read_tests()
        self._refuse_shared(validation, list(tests.values()))
        acknowledged = config.test_selection == "acknowledged"
        self.validation = make_split("iid_val", validation, None, self.store)
        self.tests = [
            *(make_split(name, [part], None, self.store, acknowledged) for name, part in tests.items()),
            *(self._unseen(name, tests[of], acknowledged) for name, of in config.unseen.items()),
        ]

    def _read_tests(self) -> dict[str, LabelledImages]:
        """Reads files of instances first: lists of edits are of their images."""
        paths = self.settings.data.tests
        listed = [name for name, path in paths.items() if is_pair_list(path)]
        found = {name: self._read(path) for name, path in paths.items() if name not in listed}
        if listed and not found:
            raise UsageError(
                f"data.tests: {listed[0]!r} is a list of edits, whose originals' labels are not known",
                mend="name the originals' instances in data.tests too",
            )
        originals = list(found.values())
        found |= {name: self._read(paths[name], originals) for name in listed}
        return {name: found[name] for name in paths}

    def _read(self, path: str, originals: Sequence[LabelledImages] = ()) -> LabelledImages:
        images = read_split(path, self.data.categories, originals)
        require_regions(images, self.store)
        self.sources[images.file] = images.sha256
        return images

    def _unseen(self, name: str, images: LabelledImages, acknowledged: bool) -> LabelSplit:
        from vqa_gs.tasks.multilabel.splits import make_split

        return make_split(
            name, [images], unseen(images.labels, [part.labels for part in self.data.parts]), self.store, acknowledged
        )

    def _refuse_shared(self, validation: list[LabelledImages], tests: list[LabelledImages]) -> None:
        for number, part in enumerate(validation):
            for other in validation[:number]:
                refuse_shared(part, other, "name each image once in data.iid_val")
        for part in (*validation, *tests):
            for other in self.data.parts:
                refuse_shared(part, other, "hold images to be scored on out of training")
        if self.settings.data.test_selection == "refused":
            for part in validation:
                for other in tests:
                    refuse_shared(
                        part, other, "epochs are chosen on iid_val; or set data.test_selection to acknowledged"
                    )

    def build_model(self) -> LabelModel:
        """Returns the network, with region statistics where asked for."""
        from vqa_gs.pipeline.region_batches import region_statistics

        settings = self.settings
        torch.manual_seed(settings.seed)
        model: LabelModel = LABEL_MODELS[settings.architecture](
            self.store.dim, len(self.data.categories), settings.model
        )
        if settings.model.standardize:
            images = list(self.data.image_ids[: self.data.ordinary])
            model.fit_regions(
                *region_statistics(self.store, images, settings.training.statistics_images, settings.seed)
            )
        return model

    def statistics(self, model: LabelModel) -> TrainingStatistics:
        """Returns the classes and how many images show each."""
        from vqa_gs.contracts import TrainingStatistics

        labels = torch.from_numpy(self.data.labels[: self.ordinary])
        names = list(self.data.categories.values())
        return TrainingStatistics(names, answer_counts=lambda: labels.float().sum(0), sizes=model.sizes())

    def batcher(self, plan: Plan, requirements: frozenset[str]) -> Callable[[int], LabelBatch]:
        """Returns what reads the regions of a step's images."""
        from vqa_gs.tasks.multilabel.batches import LabelBatcher

        return LabelBatcher(self.data, self.store, plan, direction_of("regions") in requirements)

    @staticmethod
    def forward(model: LabelModel, batch: LabelBatch, requirements: frozenset[str]) -> Outputs:
        """Classifies a batch, pair ends and ordinary images apart from each other."""
        from vqa_gs.tasks.multilabel.forward import forward

        return forward(model, batch, requirements)

    def save(self, folder: Path) -> None:
        """Writes the classes, in the order of the model's outputs."""
        categories = [{"id": number, "name": name} for number, name in self.data.categories.items()]
        write_json(folder / "classes.json", categories)

    @classmethod
    def trained(cls, folder: Path, settings: RunSettings, device: str = "auto", **how: Any) -> TrainedLabels:
        """Opens a finished run."""
        from vqa_gs.tasks.multilabel.trained import TrainedLabels

        return TrainedLabels(folder, settings, device)

    def facts(self) -> dict[str, Any]:
        """Returns what the store is and how many classes there are."""
        return {
            "features_fingerprint": self.store.fingerprint,
            "region_dim": self.store.dim,
            "classes": len(self.data.categories),
        }
