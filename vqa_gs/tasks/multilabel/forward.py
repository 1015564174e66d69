"""The forward pass over images."""

from __future__ import annotations

import torch

from vqa_gs.contracts import Outputs, gradient_by
from vqa_gs.models.label_model import LabelModel
from vqa_gs.pipeline.pair_ends import pair_ends
from vqa_gs.tasks.multilabel.batches import LabelBatch


def forward(model: LabelModel, batch: LabelBatch, requirements: frozenset[str]) -> Outputs:
    """Classifies a batch.

    What the ends of a pair say of one class are two answers, "it is there" and "it is not", with the logits z and -z.
    So the decision at either end is that class's logit, with the sign of its own label, and supervising its gradient
    makes the logit rise from the image without the class to the one with it.
    """
    count = len(batch.labels)
    regions = model.prepare_regions(batch.features, batch.mask)
    # Only the pair ends are differentiated by their regions, so only they go through a graph that allows it.
    leaf = regions[:count].detach().requires_grad_(gradient_by("regions") in requirements)
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
            requirements,
            {"regions"},
        )
    if count < len(regions):
        logits.append(model.classify(model.pool(regions[count:], batch.mask[count:])))
    return Outputs(batch, torch.cat(logits), batch.targets, batch.row_weight, ends)
