"""Pairs that the data give: an original and its edit.

Edited images (objects removed by inpainting) or edited questions, named by a JSON list of ``[original, edited]``
question ids or of objects with these two keys; or IV-VQA and CV-VQA, whose edits say themselves what they were made
from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.alignment.settings import Alignment
from vqa_gs.pair_builders.builder import pair_builder, table_of
from vqa_gs.pair_builders.ends import Ends
from vqa_gs.pair_builders.sources import PairSources, Progress
from vqa_gs.pair_builders.table import PairTable

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.edited import original_of
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.data.questions import ImageId, QuestionId

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


@pair_builder(KIND, Settings)
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """Originals and their edits, as a list pairs them up or the edits' ids say.

    Without files of edits both ends are looked up in the questions. Without a list the edits have to be read by
    :func:`vqa_gs.data.edited.read_edited_set` from files of IV-VQA's form.

    Returns:
        The pairs in the list's order, their regions not matched yet; end a is the original. What was left out is
        counted under ``dropped`` in the table's settings: equal answers, repetitions, edits whose original is not at
        hand.

    Raises:
        UsageError: there is neither a list nor edits that say where they come from.
        DataError: a question or image is unknown, or identity is asked of images whose numbers of regions
            differ.
    """
    originals = Ends(sources.questions)
    edits = originals if sources.edited is None else Ends(sources.edited)
    first_edit = 0 if sources.edited is None else len(originals)
    codes = sources.ends.answers[1]
    dropped: Counter[str] = Counter({"equal answers": 0, "repeated": 0})
    files: dict[str, str] = {}
    listed = _of_edits(edits, originals, dropped)
    if sources.pair_list is not None:
        pairs, files[str(sources.pair_list)] = read_pair_list(sources.pair_list)
        listed = _of_list(pairs, sources.pair_list, originals, edits)
    seen: set[tuple[int, int]] = set()
    kept: list[tuple[int, int]] = []
    for original, edited in listed:
        pair = originals.rows[original], first_edit + edits.rows[edited]
        if pair in seen:
            dropped["repeated"] += 1
        elif settings.equal_answers == "drop" and codes[pair[0]] == codes[pair[1]]:
            dropped["equal answers"] += 1
        else:
            kept.append(pair)
        seen.add(pair)
    a, b = [a for a, _ in kept], [b for _, b in kept]
    sources.require_images(a + b)
    if settings.alignment == "identity":
        _check_counts(sources.require_store(), sources.images(a), sources.images(b))
    return table_of(KIND, sources, settings, seed, a, b, dropped=dropped, files=files)


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


def _of_list(
    listed: Sequence[tuple[QuestionId, QuestionId]], path: Path, originals: Ends, edits: Ends
) -> Iterator[tuple[QuestionId, QuestionId]]:
    """Yields the pairs of a list, checked."""
    for row, (original, edited) in enumerate(listed):
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
        yield original, edited


def _check_counts(store: RegionStore, images_a: list[ImageId], images_b: list[ImageId]) -> None:
    counts_a, counts_b = store.counts(images_a), store.counts(images_b)
    for at in (counts_a != counts_b).nonzero()[0][:1].tolist():
        raise DataError(
            f"identity alignment needs equal numbers of regions, image {images_a[at]} has {counts_a[at]} and"
            f" image {images_b[at]} has {counts_b[at]}",
            file=store.path,
            mend="extract both with the same boxes, or choose the alignment matched or sparse",
        )
