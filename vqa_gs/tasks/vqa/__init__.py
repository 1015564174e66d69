"""Visual question answering: questions about images, given as regions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_gs.models.vqa import MODELS
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.task import RunSettings, Task
from vqa_gs.requirements import ANOTHER_RUN, IMAGE, PRIOR, direction_of
from vqa_gs.tasks import TASKS
from vqa_gs.tasks.vqa.settings import DataConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from vqa_gs.contracts import Outputs, TrainingStatistics
    from vqa_gs.models.vqa_model import VqaModel
    from vqa_gs.pipeline.trained import Trained
    from vqa_gs.tasks.vqa.batches import VqaBatch
    from vqa_gs.tasks.vqa.loaded import LoadedModel


@TASKS.register("vqa")
class Vqa(Task):
    """Questions, answers, region stores and pair tables."""

    Data = DataConfig
    models = MODELS
    architecture = "updn"
    scoring = "official"
    provides = frozenset({PRIOR, ANOTHER_RUN, IMAGE, *map(direction_of, ("regions", "attended", "question"))})
    tests_are_files = False

    def __init__(self, settings: RunSettings) -> None:
        from vqa_gs.common.devices import choose_device
        from vqa_gs.features.joined import open_stores
        from vqa_gs.features.resident import resident
        from vqa_gs.tasks.vqa.examples import load_training_data, read_split
        from vqa_gs.tasks.vqa.splits import prepare_split

        self.settings, config = settings, settings.data
        self.resident = resident(open_stores(config.stores()), config.resident, choose_device(settings.training.device))
        self.store = self.resident.store
        self.data = load_training_data(config, self.store, settings.seed, bool(config.pairs), settings.scoring)
        self.sources = {**self.data.sources, config.features: self.store.content_hash}
        self.ordinary = self.data.ordinary
        self.pairs = 0 if self.data.pairs is None else len(self.data.pairs)
        own = self.data, settings, self.store
        self.validation = prepare_split("iid_val", self.data.validation, config.iid_val, *own)
        self.tests = [prepare_split(name, read_split(files), files, *own) for name, files in config.tests.items()]

    def build_model(self) -> VqaModel:
        """Returns the network, with region statistics and word vectors where asked for."""
        from vqa_gs.tasks.vqa.build import build_model

        return build_model(self.settings, self.data, self.store)

    def statistics(self, model: VqaModel) -> TrainingStatistics:
        """Returns answers, types, their prior and counts over ordinary training questions."""
        from vqa_gs.contracts import TrainingStatistics
        from vqa_gs.tasks.vqa.class_means import class_means_of

        data = self.data
        return TrainingStatistics(
            data.answers.answers,
            data.question_types.names,
            data.answer_types,
            data.answer_counts,
            data.answer_prior,
            model.widths(),
            class_means=class_means_of(data, self.store, model),
        )

    def image_of(self) -> NDArray[np.int64]:
        """Returns a number for the image of each ordinary question."""
        from vqa_gs.pipeline.image_plan import image_codes

        return image_codes(self.data.examples.image_ids[: self.ordinary].tolist())

    def batcher(self, plan: Plan, requirements: frozenset[str]) -> Callable[[int], VqaBatch]:
        """Returns what reads the regions of a step's questions."""
        from vqa_gs.tasks.vqa.batches import BatchReader

        return BatchReader(self.data, self.store, direction_of("question") in requirements).planned(plan)

    @staticmethod
    def forward(model: VqaModel, batch: VqaBatch, requirements: frozenset[str]) -> Outputs:
        """Answers a batch, pair ends and ordinary questions apart from each other."""
        from vqa_gs.tasks.vqa.forward import forward

        return forward(model, batch, requirements)

    def save(self, folder: Path) -> None:
        """Writes the vocabularies, and how question types are told."""
        self.data.words.save(folder / "words.json")
        self.data.answers.save(folder / "answers.json")
        self.data.question_types.save(folder / "question_types.json")

    @classmethod
    def trained(cls, folder: Path, settings: RunSettings, device: str = "auto", **how: Any) -> LoadedModel:
        """Opens a finished run; for ``how`` see `LoadedModel`."""
        from vqa_gs.tasks.vqa.loaded import LoadedModel

        return LoadedModel(folder, settings, device, **how)

    def said_by(self, run: Trained) -> Tensor:
        """Returns what another run says of the training questions, those about edited images included."""
        from vqa_gs.tasks.vqa.trained import TrainedModel

        assert isinstance(run, TrainedModel)
        return run.logits(self.data.questions, self.store, self.data.answers.answers)

    def facts(self) -> dict[str, Any]:
        """Returns what the store is and how large the vocabularies are."""
        return {
            "features_fingerprint": self.store.fingerprint,
            "features_resident": self.resident.told,
            "region_dim": self.store.dim,
            "words": len(self.data.words),
            "answers": len(self.data.answers),
        }
