"""Pairs of an image and itself without the regions that matter, the answer emptied or changed.

What matters comes from people's attention (`hat`), published hints and explanations (`hints`), COCO's instances
(`instances`) or the regions' own classes (`classes`). Where the question is about presence or a number, the new answer
is known: without the dog the answer to "is there a dog" is no, without one of three dogs there are 2. Elsewhere nothing
is known but that the old answer has lost its ground: the answer set is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders._asked import as_number, asks_number, asks_presence
from vqa_gs.pair_builders._regions import Progress, require_images
from vqa_gs.pair_builders.base import PairSources, made_with, pair_builder
from vqa_gs.pair_builders.evidence import EVIDENCE, Evidence
from vqa_gs.pair_builders.table import PairTable

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.normalize import normalize_question

KIND = "masked"
CONTROLS = ("masked-none", "masked-random", "masked-complement")
"""No mask at all, a random mask of equal size, and a mask of everything but what matters."""

EMPTY = ""


@dataclass(frozen=True)
class Settings:
    """What is removed, and what the answer becomes.

    Args:
        evidence: what says which regions matter: `hints`, `hat`, `instances` or `classes`.
        hints: hint file of HINT, SCR or CSS, or explanations of VQA-X.
        hat: folder of VQA-HAT's maps.
        hat_questions: the VQA v1 questions whose ids the maps bear.
        instances: COCO instances JSON.
        least: the least score of a region that matters, for `hints` and `hat`.
        most: the most regions that matter, the highest scores first, for `hints` and `hat`; 0: all.
        overlap: how much of a region's box an instance covers, or both boxes have in common, for `instances`.
        remove: `all` instances of what is named, or `one` of several, drawn by the seed.
        answer: `known` where it is and empty elsewhere; `empty` everywhere; `only-known` leaves the other pairs out.
        controls: make the controls too, as kinds of their own: no mask, a random one of equal size, the complement.
        weight: the weight of every pair.
    """

    evidence: str = "classes"
    hints: Path | None = None
    hat: Path | None = None
    hat_questions: Path | None = None
    instances: Path | None = None
    least: float = 0.6
    most: int = 0
    overlap: float = 0.5
    remove: Literal["all", "one"] = "all"
    answer: Literal["known", "empty", "only-known"] = "known"
    controls: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise UsageError(f"the weight of the pairs is {self.weight}", mend="give a number of 0 or more")
        if not 0 < self.overlap <= 1:
            raise UsageError(f"overlap is {self.overlap}", mend="give a part above 0, at most 1")
        if self.most < 0:
            raise UsageError(f"most is {self.most}", mend="give 1 or more, or 0 for all")


class _Masked(NamedTuple):
    row: int
    gone: NDArray[np.int64]
    answer: str


@pair_builder(KIND, Settings, needs=("store",))
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """One image, the regions that matter removed, the answer emptied or changed.

    Args:
        sources: questions with annotations, and the region store.
        settings: see :class:`Settings`.
        seed: of the instance that is removed and of random masks.
        progress: called with questions.

    Returns:
        The pairs, the same question at both ends; end b has the mask and the answer. ``distance`` is the share of
        regions removed. What was left out is counted under ``dropped``.

    Raises:
        DataError: a file is damaged or does not fit the questions or the store.
    """
    store, questions = sources.require_store(), sources.questions
    found, files = EVIDENCE[settings.evidence](sources, settings)
    dropped: Counter[str] = Counter()
    generator = np.random.default_rng(seed)
    pairs = list(_masked(found, sources, settings, dropped, generator, progress))
    image_ids = [questions.image_ids[pair.row] for pair in pairs]
    question_ids = [questions.question_ids[pair.row] for pair in pairs]
    require_images(store, image_ids, question_ids)
    counts = store.counts(image_ids) if pairs else np.zeros(0, np.int64)
    kept: list[int] = []
    for at, (pair, count) in enumerate(zip(pairs, counts.tolist(), strict=True)):
        if len(pair.gone) and pair.gone[-1] >= count:
            raise DataError(
                f"region {pair.gone[-1]} matters, but the image has {count} regions",
                file=store.path,
                record=f"question {question_ids[at]!r}",
                mend="take the features that belong to the evidence",
            )
        if len(pair.gone) == count:
            dropped["nothing would remain"] += 1
        else:
            kept.append(at)
    ids = [question_ids[at] for at in kept]
    table = PairTable.of_one_kind(
        KIND,
        ids * (1 + len(CONTROLS) * settings.controls),
        ids * (1 + len(CONTROLS) * settings.controls),
        weight=settings.weight,
        distance=np.concatenate(list(_shares(pairs, counts, kept, settings.controls))),
        masks=[mask for kind in _masks(pairs, counts, kept, settings.controls, generator) for mask in kind],
        answer_b=[pairs[at].answer for at in kept] * (1 + len(CONTROLS) * settings.controls),
        settings=made_with(settings, seed, dropped),
        sources={**sources.files(), **files},
    )
    kind = np.repeat(np.arange(len(table) // max(len(kept), 1)), len(kept)).astype(np.uint8)
    return replace(table, kind=kind, kinds=(KIND, *CONTROLS) if settings.controls else (KIND,))


def _masked(
    found: Iterator[Evidence],
    sources: PairSources,
    settings: Settings,
    dropped: Counter[str],
    generator: np.random.Generator,
    progress: Progress | None,
) -> Iterator[_Masked]:
    """Says what goes, and what the answer becomes."""
    known, codes = sources.ends.answers
    for given in found:
        if progress is not None:
            progress(given.row + 1, len(sources.questions))
        units = [unit for unit in given.units if len(unit)]
        if not units:
            dropped["no region matters"] += 1
            continue
        text = normalize_question(sources.questions.questions[given.row].question)
        gone = np.unique(np.concatenate(units))
        left = 0
        if settings.remove == "one" and len(units) > 1:
            one = int(generator.integers(len(units)))
            gone, left = units[one], len(units) - 1
            if any(len(np.intersect1d(unit, gone)) for at, unit in enumerate(units) if at != one):
                dropped["the region shows several instances"] += 1
                continue
        old = known[codes[given.row]]
        new = changed_answer(text, old, given, left) if settings.answer != "empty" else EMPTY
        if new is None or new == old:
            dropped["the answer stays"] += 1
        elif new == EMPTY and settings.answer == "only-known":
            dropped["the answer is not known"] += 1
        else:
            yield _Masked(given.row, gone, new)


def changed_answer(text: str, answer: str, given: Evidence, left: int) -> str | None:
    """Returns the answer once instances are gone.

    Args:
        text: the normalised question.
        answer: the normalised answer so far.
        given: what was there.
        left: how many instances are left.

    Returns:
        The new answer, "" where it is not known, None where the removal changes nothing.
    """
    if given.name is None:
        return EMPTY
    if asks_presence(text):
        return None if left or answer != "yes" else "no" if given.complete else EMPTY
    if asks_number(text) and np.isfinite(as_number(answer)) and given.complete:
        if not left:
            return "0"
        # Only where people counted what the instances are: "how many dogs are brown" counts some of them.
        return str(left) if as_number(answer) == given.instances == left + 1 else EMPTY
    return EMPTY


def _shares(
    pairs: list[_Masked], counts: NDArray[np.int64], kept: list[int], controls: bool
) -> Iterator[NDArray[np.float32]]:
    share = np.array([len(pairs[at].gone) / counts[at] for at in kept], np.float32)
    yield share
    if controls:
        yield np.zeros_like(share)
        yield share
        yield 1 - share


def _masks(
    pairs: list[_Masked], counts: NDArray[np.int64], kept: list[int], controls: bool, generator: np.random.Generator
) -> Iterator[list[NDArray[np.uint8]]]:
    """Yields which regions remain, for each kind of pair; an empty array for all of them."""
    remain = []
    for at in kept:
        mask = np.ones(counts[at], np.uint8)
        mask[pairs[at].gone] = 0
        remain.append(mask)
    yield remain
    if controls:
        yield [mask[:0] for mask in remain]
        yield [generator.permutation(mask) for mask in remain]
        yield [1 - mask for mask in remain]
