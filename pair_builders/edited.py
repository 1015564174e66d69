"""Pairs that the data give: an original and its edit.

Edited images (objects removed by inpainting) or edited questions, named by a JSON list of ``[original, edited]``
question ids or of objects with these two keys; or IV-VQA and CV-VQA, whose edits say themselves what they were made
from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders._regions import Progress, require_images
from vqa_gs.pair_builders.alignment import require_identity
from vqa_gs.pair_builders.base import Alignment, PairSources, made_with, pair_builder
from vqa_gs.pair_builders.ends import Ends
from vqa_gs.pair_builders.table import PairTable, QuestionId

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.edited import original_of
from vqa_gs.data.pair_lists import read_pair_list

KIND = "edited"


@dataclass(frozen=True)
class Settings(Alignment):
    """How the regions of listed pairs correspond; an edit has the regions of its original.

    Args:
        equal_answers: `drop` pairs whose answers are equal: they teach no difference; `keep` them without a direction,
            as examples only (IV-VQA: what was removed has nothing to do with the question).
    """

    alignment: Literal["identity", "matched", "sparse"] = "identity"
    equal_answers: Literal["drop", "keep"] = "drop"


@pair_builder(KIND, Settings, needs=("store",))
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """Originals and their edits, as a list pairs them up or the edits' ids say.

    Args:
        sources: questions with annotations, the region store, the pair list, and the edited questions where
            they are in files of their own; without these, both ends are looked up in ``sources.questions``. Without a
            list, the edits have to be read by :func:`vqa_gs.data.edited.read_edited_set` from files of IV-VQA's form.
        settings: see :class:`Settings`.
        seed: not used, nothing here is random.
        progress: not used.

    Returns:
        The pairs in the list's order, their regions not matched yet; end a is the original. What was left out is
        counted under ``dropped`` in the table's settings: equal answers, repetitions, edits whose original is not at
        hand.

    Raises:
        UsageError: there is neither a list nor edits that say where they come from.
        DataError: a question or image is unknown, or identity is asked of images whose numbers of regions
            differ.
    """
    store = sources.require_store()
    originals = Ends(sources.questions)
    edits = originals if sources.edited is None else Ends(sources.edited)
    dropped: Counter[str] = Counter({"equal answers": 0, "repeated": 0})
    files: dict[str, str] = {}
    seen: set[tuple[QuestionId, QuestionId]] = set()
    kept: list[tuple[QuestionId, QuestionId]] = []
    listed = _of_edits(edits, originals, dropped)
    if sources.pair_list is not None:
        listed, files[str(sources.pair_list)] = _of_list(sources.pair_list, originals, edits)
    for original, edited in listed:
        if (original, edited) in seen:
            dropped["repeated"] += 1
        elif settings.equal_answers == "drop" and originals.answer(original) == edits.answer(edited):
            dropped["equal answers"] += 1
        else:
            kept.append((original, edited))
        seen.add((original, edited))
    question_a, question_b = [pair[0] for pair in kept], [pair[1] for pair in kept]
    images_a, images_b = [originals.image(id) for id in question_a], [edits.image(id) for id in question_b]
    require_images(store, images_a + images_b, question_a + question_b)
    if settings.alignment == "identity":
        _check_counts(store, images_a, images_b)
    return PairTable.of_one_kind(
        KIND,
        question_a,
        question_b,
        alignment=settings.alignment,
        weight=settings.weight,
        settings=made_with(settings, seed, dropped),
        sources={**sources.files(), **files},
    )


def _of_edits(edits: Ends, originals: Ends, dropped: Counter[str]) -> Iterator[tuple[QuestionId, QuestionId]]:
    """Yields what edits in IV-VQA's form were made from, and each of them."""
    named = [(original_of(question.question_id), question.question_id) for question in edits.questions]
    if not any(original is not None for original, _ in named):
        raise UsageError("edited pairs need a list of the pairs", mend="name it with --pair-list")
    for original, edited in named:
        if original is None or original not in originals:
            dropped["the original is not at hand"] += 1
        else:
            yield original, edited


def _of_list(path: Path, originals: Ends, edits: Ends) -> tuple[Iterator[tuple[QuestionId, QuestionId]], str]:
    listed, digest = read_pair_list(path)

    def checked() -> Iterator[tuple[QuestionId, QuestionId]]:
        for row, (original, edited) in enumerate(listed):
            _check_row(originals, edits, original, edited, path, row)
            yield original, edited

    return checked(), digest


def _check_row(originals: Ends, edits: Ends, original: QuestionId, edited: QuestionId, path: Path, row: int) -> None:
    swapped = None
    if edits is not originals and original in edits and edited in originals:
        swapped = "the original comes first: is the pair the wrong way round?"
    originals.require(original, path, f"row {row}", swapped)
    edits.require(edited, path, f"row {row}", swapped)
    if edits is not originals and edited in originals:
        # A table names its ends by id alone, so whoever reads it could not tell the two apart.
        raise DataError(
            f"the edited question {edited!r} has the id of an original one",
            file=path,
            record=f"row {row}",
            mend="give the edited questions ids of their own",
        )


def _check_counts(store: RegionStore, images_a: list[QuestionId], images_b: list[QuestionId]) -> None:
    counts_a, counts_b = store.counts(images_a), store.counts(images_b)
    for at in (counts_a != counts_b).nonzero()[0][:1].tolist():
        require_identity(int(counts_a[at]), int(counts_b[at]), images_a[at], images_b[at], store.path)
