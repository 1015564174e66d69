"""The network of a run."""

from __future__ import annotations

import torch

from vqa_gs.data.glove import load_glove
from vqa_gs.features.store import RegionStore
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa_model import VqaModel
from vqa_gs.pipeline.region_batches import region_statistics
from vqa_gs.pipeline.task import RunSettings
from vqa_gs.tasks.vqa.examples import TrainingData


def build_model(config: RunSettings, data: TrainingData, store: RegionStore) -> VqaModel:
    """Builds the network from a seeded generator, with region statistics and word vectors where asked for."""
    torch.manual_seed(config.seed)
    model = MODELS[config.architecture](store.dim, len(data.words), len(data.answers), config.model)
    if config.model.standardize:
        images = list(data.examples.image_ids[: data.ordinary])
        model.fit_regions(*region_statistics(store, images, config.training.statistics_images, config.seed))
    if config.data.glove:
        vectors, found = load_glove(config.data.glove, data.words.words, config.model.word_dim)
        model.load_word_vectors(torch.from_numpy(vectors), torch.from_numpy(found))
    return model
