"""Pairs that the data give: an original and its edit, listed in a file.

Edited images (objects removed by inpainting), edited questions, or VQA v2's complementary pairs: a JSON list
of ``[original, edited]`` question ids, or of objects with these two keys.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from features.store import RegionStore
from pair_builders._pair_list import read_pair_list
from pair_builders._regions import Progress, require_images
from pair_builders.alignment import require_identity
from pair_builders.base import Alignment, PairSources, made_with, pair_builder
from pair_builders.ends import Ends
from pair_builders.table import PairTable, QuestionId
from vqa_gs.common.errors import DataError

KIND = "edited"


@dataclass(frozen=True)
class Settings(Alignment):
    """How the regions of listed pairs correspond; an edit has the regions of its original."""

    alignment: Literal["identity", "matched", "sparse"] = "identity"


@pair_builder(KIND, Settings, needs=("store", "pair_list"))
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """Originals and their edits, as a list pairs them up.

    Pairs whose normalised majority answers are equal teach no difference: they are left out and counted, as
    are repetitions of a pair, under ``dropped`` in the table's settings.

    Args:
        sources: questions with annotations, the region store, the pair list, and the edited questions where
            they are in files of their own; without these, both ends are looked up in ``sources.questions``.
        settings: see :class:`Settings`.
        seed: not used, nothing here is random.
        progress: called with pairs.

    Returns:
        The pairs in the list's order; end a is the original.

    Raises:
        DataError: a question or image is unknown, or identity is asked of images whose numbers of regions
            differ.
    """
    store, path = sources.require_store(), sources.pair_list
    assert path is not None
    originals = Ends(sources.questions)
    edits = originals if sources.edited is None else Ends(sources.edited)
    listed, digest = read_pair_list(path)
    dropped: Counter[str] = Counter({"equal answers": 0, "repeated": 0})
    seen: set[tuple[QuestionId, QuestionId]] = set()
    kept: list[tuple[QuestionId, QuestionId]] = []
    for row, (original, edited) in enumerate(listed):
        _check_row(originals, edits, original, edited, path, row)
        if (original, edited) in seen:
            dropped["repeated"] += 1
        elif originals.answer(original) == edits.answer(edited):
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
        sources={**sources.files(), str(path): digest},
    )


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
