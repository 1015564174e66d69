"""Outputs of a forward pass, made by hand."""

import torch

from vqa_gs.contracts import Batch, Outputs, PairEnds, Seen


def make_ends(logits, targets, labels, inputs=None, weight=None):
    """Returns both ends of pairs, with the directions between them in the inputs by name."""
    labels = torch.tensor(labels)
    pairs = len(labels) // 2
    directions = {name: (x - x.roll(pairs, 0)).detach() for name, x in (inputs or {}).items()}
    weight = torch.ones(len(labels)) if weight is None else weight
    return PairEnds(logits, inputs or {}, directions, targets, labels, labels.roll(pairs), weight)


def make_outputs(logits, targets, ends=None, **more):
    """Returns what a term sees of some rows, of which the first are pair ends."""
    rows = len(logits)
    labels = torch.empty(0, dtype=torch.int64) if ends is None else ends.labels
    batch = Batch(
        targets=targets,
        labels=labels,
        alignment=(),
        weight=torch.ones(len(labels)),
        rows=float(rows),
        end_rows=float(len(labels)),
        epoch=1.0,
        seed=0,
    )
    seen = Seen(more.pop("regions"), more.pop("mask")) if "regions" in more else None
    return Outputs(batch, logits, targets, torch.ones(rows), ends, seen=seen, **more)
