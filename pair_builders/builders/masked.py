"""Pairs of an image and itself without the regions that matter, the answer emptied or changed.

What matters comes from people's attention (`hat`), published hints and explanations (`hints`), COCO's instances
(`instances`) or the regions' own classes (`classes`). Where the question is about presence or a number, the new answer
is known: without the dog the answer to "is there a dog" is no, without one of three dogs there are 2. Elsewhere nothing
is known but that the old answer has lost its ground: the answer set is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.builder import pair_builder, plain, table_of
from vqa_gs.pair_builders.classes.questions import as_number, asks_number, asks_presence
from vqa_gs.pair_builders.evidence_source import EVIDENCE, Evidence
from vqa_gs.pair_builders.sources import PairSources, Progress
from vqa_gs.pair_builders.table import PairTable

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.phases import phase

KIND = "masked"
CONTROLS = ("masked-none", "masked-random", "masked-complement")
"""No mask at all, a random mask of equal size, and a mask of everything but what matters."""

EMPTY = ""


@dataclass(frozen=True)
class Settings:
    """What is removed, and what the answer becomes.

    Args:
        evidence: what says which regions matter: `hints`, `hat`, `instances` or `classes`.
        remove: `all` instances of what is named, or `one` of several, drawn by the seed.
        answer: `known` where it is and empty elsewhere; `empty` everywhere; `only-known` leaves the other pairs out.
        controls: make the controls too, as kinds of their own: no mask, a random one of equal size, the complement.
        weight: the weight of every pair.
    """

    evidence: str = "classes"
    remove: Literal["all", "one"] = "all"
    answer: Literal["known", "empty", "only-known"] = "known"
    controls: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise UsageError(f"the weight of the pairs is {self.weight}", mend="give a number of 0 or more")


class _Masked(NamedTuple):
    row: int
    gone: NDArray[np.int64]
    answer: str


@pair_builder(KIND, Settings)
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """One image, the regions that matter removed, the answer emptied or changed.

    The seed draws the instance that is removed, and the random masks.

    Returns:
        The pairs, the same question at both ends; end b has the mask and the answer. ``distance`` is the share of
        regions removed. What was left out is counted under ``dropped``.

    Raises:
        DataError: a file is damaged or does not fit the questions or the store.
    """
    store, source = sources.require_store(), EVIDENCE[settings.evidence]
    of_source = sources.evidence.get(settings.evidence) or source.Settings()
    found, files = source.function(sources, of_source)
    dropped: Counter[str] = Counter()
    generator = np.random.default_rng(seed)
    with phase("finding which regions matter", len(sources.questions), "questions") as far:

        def told(done: int, total: int) -> None:
            far.at(done, total)
            if progress is not None:
                progress(done, total)

        pairs = list(_masked(found, sources, settings, dropped, generator, told))
    every_row = [pair.row for pair in pairs]
    sources.require_images(every_row)
    counts = store.counts(sources.images(every_row)) if pairs else np.zeros(0, np.int64)
    rows: list[int] = []
    answers: list[str] = []
    masks: list[NDArray[np.uint8]] = []
    for pair, count in zip(pairs, counts.tolist(), strict=True):
        if len(pair.gone) and pair.gone[-1] >= count:
            raise DataError(
                f"region {pair.gone[-1]} matters, but the image has {count} regions",
                file=store.path,
                record=f"question {sources.questions.question_ids[pair.row]!r}",
                mend="take the features that belong to the evidence",
            )
        if len(pair.gone) == count:
            dropped["nothing would remain"] += 1
            continue
        rows.append(pair.row)
        answers.append(pair.answer)
        masks.append(np.ones(count, np.uint8))
        masks[-1][pair.gone] = 0
    share = np.array([(mask == 0).mean() for mask in masks], np.float32)
    shares = share
    kinds: tuple[str, ...] = (KIND,)
    if settings.controls:
        kinds += CONTROLS
        shares = np.concatenate([share, np.zeros_like(share), share, 1 - share])
        # An empty mask leaves all regions.
        masks += [
            *(mask[:0] for mask in masks),
            *(generator.permutation(mask) for mask in masks),
            *(1 - mask for mask in masks),
        ]
    rows, answers = rows * len(kinds), answers * len(kinds)
    table = table_of(
        KIND, sources, settings, seed, rows, rows,
        dropped=dropped, files=files, distance=shares, masks=masks, answer_b=answers,
    )  # fmt: skip
    table.settings[KIND]["evidence_settings"] = plain(asdict(of_source))
    return replace(table, kind=np.repeat(np.arange(len(kinds)), len(share)).astype(np.uint8), kinds=kinds)


def _masked(
    found: Iterator[Evidence],
    sources: PairSources,
    settings: Settings,
    dropped: Counter[str],
    generator: np.random.Generator,
    progress: Progress,
) -> Iterator[_Masked]:
    """Says what goes, and what the answer becomes."""
    for given in found:
        progress(given.row + 1, len(sources.questions))
        units = [unit for unit in given.units if len(unit)]
        if not units:
            dropped["no region matters"] += 1
            continue
        gone = np.unique(np.concatenate(units))
        left = 0
        if settings.remove == "one" and len(units) > 1:
            one = int(generator.integers(len(units)))
            gone, left = units[one], len(units) - 1
            if any(len(np.intersect1d(unit, gone)) for at, unit in enumerate(units) if at != one):
                dropped["the region shows several instances"] += 1
                continue
        text, old = sources.ends.asked(given.row)
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
