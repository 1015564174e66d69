"""The forward pass over images, and what objectives see of it."""

from __future__ import annotations

import torch

from vqa_gs.models.labels import LabelModel
from vqa_gs.objectives import Step
from vqa_gs.tasks._base import Wanted
from vqa_gs.tasks._ends import pair_ends
from vqa_gs.tasks.multilabel.batches import LabelBatch


def examine(model: LabelModel, batch: LabelBatch, wanted: Wanted) -> Step:
    """Classifies a batch and returns the step as objectives see it.

    What the ends of a pair say of one class are two answers, "it is there" and "it is not", with the logits z and -z.
    So the decision at either end is that class's logit, with the sign of its own label, and supervising its gradient
    makes the logit rise from the image without the class to the one with it.
    """
    count = len(batch.labels)
    regions = model.prepare_regions(batch.features, batch.mask)
    # Only the pair ends are differentiated by their regions, so only they go through a graph that allows it.
    leaf = regions[:count].detach().requires_grad_("regions" in wanted.places)
    logits, ends = [], None
    if count:
        pooled = model.pool(leaf, batch.mask[:count])
        if not pooled.requires_grad:
            pooled.requires_grad_()  # a mean of fixed regions has no gradient by itself
        logits.append(model.classify(pooled))
        targets = batch.targets[:count]
        ends = pair_ends(
            batch,
            torch.cat([logits[0], -logits[0]], dim=1),
            torch.cat([targets, 1 - targets], dim=1),
            {"regions": leaf, "pooled": pooled},
            wanted,
            {"regions"},
        )
    if count < len(regions):
        logits.append(model.classify(model.pool(regions[count:], batch.mask[count:])))
    return Step(torch.cat(logits), batch.targets, batch.row_weight, batch.rows, ends, batch.end_rows, batch.epoch)
