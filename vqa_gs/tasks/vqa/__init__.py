"""Visual question answering: questions about images, given as regions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from vqa_gs.common.errors import UsageError
from vqa_gs.features.joined import open_stores
from vqa_gs.models import MODELS, RegionModel
from vqa_gs.tasks._base import TASKS, RunSettings, Task, Wanted
from vqa_gs.tasks._plan import Plan
from vqa_gs.tasks.vqa.batches import Batcher, VqaBatch
from vqa_gs.tasks.vqa.build import build_model
from vqa_gs.tasks.vqa.examine import examine
from vqa_gs.tasks.vqa.examples import load_training_data, read_split
from vqa_gs.tasks.vqa.settings import DataConfig
from vqa_gs.tasks.vqa.splits import prepare_split


@TASKS.register("vqa")
class Vqa(Task):
    """Questions, answers, region stores and pair tables."""

    Data = DataConfig
    models = MODELS
    architecture = "updn"
    scoring = "official"
    places = frozenset({"regions", "attended", "question"})
    tests_are_files = False
    examine = staticmethod(examine)

    def __init__(self, settings: RunSettings) -> None:
        self.settings, config = settings, settings.data
        self.store = open_stores(config.stores())
        self.data = load_training_data(config, self.store, settings.seed, bool(config.pairs), settings.scoring)
        self.sources = {**self.data.sources, config.features: self.store.content_hash}
        self.ordinary = self.data.ordinary
        self.pairs = 0 if self.data.pairs is None else len(self.data.pairs)
        own = self.data, settings, self.store
        self.validation = prepare_split("iid_val", self.data.validation, config.iid_val, *own)
        self.tests = [prepare_split(name, read_split(files), files, *own) for name, files in config.tests.items()]

    @classmethod
    def require(cls, model: nn.Module, wanted: Wanted) -> None:
        """Refuses a closed form that does not hold for the model; everything else it has."""
        assert isinstance(model, RegionModel)
        if wanted.traces and (reason := model.no_closed_form()):
            raise UsageError(
                f"the closed form of gradient supervision does not hold for this model: {reason}",
                mend="set objectives.gradient_supervision.cost to double_backward",
            )

    def build_model(self) -> RegionModel:
        """Returns the network, with region statistics and word vectors where asked for."""
        return build_model(self.settings, self.data, self.store)

    def batcher(self, plan: Plan, wanted: Wanted) -> Callable[[int], VqaBatch]:
        """Returns what reads the regions of a step's questions."""
        return Batcher(self.data, self.store, plan, "question" in wanted.aligned)

    def save(self, folder: Path) -> None:
        """Writes the vocabularies."""
        self.data.words.save(folder / "words.json")
        self.data.answers.save(folder / "answers.json")

    def facts(self) -> dict[str, Any]:
        """Returns what the store is and how large the vocabularies are."""
        return {
            "features_fingerprint": self.store.fingerprint,
            "region_dim": self.store.dim,
            "words": len(self.data.words),
            "answers": len(self.data.answers),
        }
