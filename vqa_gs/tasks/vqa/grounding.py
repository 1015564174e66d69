"""Where a network looks: attention and gradient of every region of every question's image."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from vqa_gs.data.questions import QuestionId
from vqa_gs.eval.grounding_file import GroundingFile
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.models import RegionModel
from vqa_gs.tasks.vqa.batches import inference_batches
from vqa_gs.tasks.vqa.examples import Examples


def head_of_leaf(
    model: RegionModel, regions: RegionBatch, mask: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns what the head sees, as a leaf (batch, regions, dim), its logits and its attention (batch, regions).

    Args:
        model: the network.
        regions: the regions of the images.
        mask: (batch, regions) bool, which of them are there.
        tokens: (batch, length) int64.
    """
    device = next(model.parameters()).device
    there = regions.to(device)
    with torch.no_grad():
        question = model.encode_question(tokens.to(device))
        prepared = model.prepare_regions(there.features, there.boxes, there.sizes, mask.to(device))
    leaf = prepared.detach().requires_grad_()
    out = model.head(leaf, mask.to(device), question)
    return leaf, out.logits, out.attention.detach()


def look_at_regions(
    model: RegionModel, examples: Examples, store: RegionStore, ids: Sequence[QuestionId], batch_size: int = 512
) -> GroundingFile:
    """Computes attention and gradient by region; the model's mode, training or not, is left as it was.

    Args:
        model: the network.
        examples: n questions.
        store: the regions of their images.
        ids: the n question ids.
        batch_size: questions at once.

    Returns:
        The content of a grounding file, without pairs. The gradient of a region is the length of the gradient, by
        that region's vector as the head sees it, of the predicted answer's logit.
    """
    was_training = model.training
    model.eval()
    attention, gradient, boxes, counts = [], [], [], []
    with torch.enable_grad(), closing(inference_batches(examples, store, batch_size)) as batches:
        for _, regions, tokens in batches:
            mask = regions.mask
            leaf, logits, weights = head_of_leaf(model, regions, mask, tokens)
            (by_region,) = torch.autograd.grad(logits.max(1).values.sum(), leaf)
            lengths = torch.linalg.vector_norm(by_region.float(), dim=-1)
            attention.append(weights.cpu()[mask].numpy())
            gradient.append(lengths.cpu()[mask].numpy())
            boxes.append(regions.boxes[mask].numpy().copy())
            counts.append(regions.counts.numpy().copy())
    model.train(was_training)
    return GroundingFile(
        ids,
        np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
        np.concatenate(attention),
        np.concatenate(gradient),
        np.concatenate(boxes),
    )
