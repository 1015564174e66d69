"""Where a trained model looks: attention and gradient of every region, alignment with the directions of pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import QuestionSet
from vqa_gs.eval.grounding_file import GroundingFile
from vqa_gs.features.store import RegionStore
from vqa_gs.objectives.gradient_supervision import cosine, decision
from vqa_gs.pair_builders.directions import alignment_index, directions, remaining_regions
from vqa_gs.pair_builders.table import PairTable
from vqa_gs.tasks.vqa.examples import Examples, make_examples, require_images
from vqa_gs.tasks.vqa.grounding import head_of_leaf, look_at_regions
from vqa_gs.training.inference import TrainedModel, require_dim

_PAIRS = 64


def ground(
    trained: TrainedModel,
    questions: QuestionSet,
    store: RegionStore,
    batch_size: int = 512,
    table: PairTable | None = None,
    partners: QuestionSet | None = None,
) -> GroundingFile:
    """Computes attention and gradient by region, and with a pair table the gradient's alignment with the pairs.

    Args:
        trained: the run.
        questions: the questions; with annotations where there is a pair table.
        store: the regions of their images, and of the partners'.
        batch_size: questions at once.
        table: pairs, of which those with both ends among the questions and partners count.
        partners: questions that occur only as ends of pairs (edited images), with annotations.

    Returns:
        The content of a grounding file. The gradient of a region is the length of the gradient, by that region's
        vector as the head sees it, of the predicted answer's logit. The cosines are of the decision function the
        run supervises, or would.

    Raises:
        DataError: an image is not in the store, the store's regions have another dimension, or the pairs are of
            other features.
        UsageError: answers are missing for the pairs, question ids repeat, or no pair has both ends.
    """
    require_dim(store, trained.model.region_dim)
    for part in (questions, *([partners] if partners else [])):
        require_images(part, store)
    if len(set(questions.question_ids)) < len(questions):
        raise UsageError("grounding is told by question id, but ids repeat", mend="give the originals' questions")
    examples = make_examples(questions, trained.words, None, trained.config.data.question_length)
    file = look_at_regions(trained.model, examples, store, questions.question_ids, batch_size)
    if table is None:
        return file
    pairs, cosines = _pairs(trained, questions, partners, store, table)
    function = trained.config.objectives.gradient_supervision.variant
    return replace(file, pairs=pairs, cosine=cosines, function=function)


def _pairs(
    trained: TrainedModel, questions: QuestionSet, partners: QuestionSet | None, store: RegionStore, table: PairTable
) -> tuple[list[tuple[int | str, int | str]], NDArray[np.float32]]:
    everything = questions
    if questions.annotations is None or (partners is not None and partners.annotations is None):
        raise UsageError("the direction of a pair needs the answers", mend="give the annotations too")
    if partners is not None:
        assert partners.annotations is not None
        everything = QuestionSet(
            questions.questions + partners.questions, questions.annotations + partners.annotations, questions.sources
        )
    row_of = {question_id: row for row, question_id in enumerate(everything.question_ids)}
    ends = list(zip(table.question_a.tolist(), table.question_b.tolist(), strict=True))
    chosen = np.array([at for at, (a, b) in enumerate(ends) if a in row_of and b in row_of], np.int64)
    if not len(chosen):
        raise UsageError(
            "no pair of the table has both questions here", mend="give the questions the pairs were built from"
        )
    rows = np.array([(row_of[ends[at][0]], row_of[ends[at][1]]) for at in chosen], np.int64)
    examples = make_examples(everything, trained.words, trained.answers, trained.config.data.question_length)
    cosines = [
        _cosines(trained, examples, store, table, chosen[start : start + _PAIRS], rows[start : start + _PAIRS])
        for start in range(0, len(chosen), _PAIRS)
    ]
    return [ends[at] for at in chosen], np.concatenate(cosines)


def _cosines(
    trained: TrainedModel,
    examples: Examples,
    store: RegionStore,
    table: PairTable,
    pairs: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Returns the cosine at both ends of some pairs, (P, 2), NaN where it means nothing."""
    count, ends = len(pairs), rows.T.reshape(-1)
    regions = store.read_batch(list(examples.image_ids[ends]))
    counts, mask = regions.counts.numpy(), regions.mask.clone()
    width = mask.shape[1]
    index = alignment_index(table, pairs, counts[:count], counts[count:], width_a=width, width_b=width)
    mask[count:] &= torch.from_numpy(remaining_regions(table, pairs, counts[count:], width_b=width))
    regions.features.masked_fill_(~mask.unsqueeze(-1), 0)
    leaf, logits, _ = head_of_leaf(trained.model, regions, mask, examples.tokens[torch.from_numpy(ends)])
    labels = torch.from_numpy(examples.best[ends])
    assert examples.targets is not None
    targets = torch.from_numpy(np.ascontiguousarray(examples.targets.dense(ends)))
    for at, pair in enumerate(pairs):
        answer = None if table.answer_b is None else table.answer_b[pair]
        if answer is not None:
            labels[count + at] = label = trained.answers.index.get(answer, -1)
            targets[count + at] = 0
            if label >= 0:
                targets[count + at, label] = 1
    device = leaf.device
    labels, targets = labels.to(device), targets.to(device)
    variant = trained.config.objectives.gradient_supervision.variant
    score, valid = decision(logits, labels, labels.roll(count), targets, variant)
    (gradient,) = torch.autograd.grad(score.sum(), leaf)
    seen = leaf.detach()
    way = torch.cat(directions(seen[:count], seen[count:], *index.to(device)))
    cosines, moves = cosine(gradient, way)
    known = torch.where(valid & moves, cosines.float(), torch.full_like(cosines.float(), float("nan")))
    return known.cpu().numpy().reshape(2, count).T.copy()
