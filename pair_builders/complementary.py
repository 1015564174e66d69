"""VQA v2's complementary pairs: one question, two similar images, chosen by people so that the answers differ.

Goyal et al., *Making the V in VQA Matter*, CVPR 2017: `v2_mscoco_train2014_complementary_pairs.json`, a list of pairs
of question ids. A VQA-CP training set holds both ends of only some of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from vqa_gs.pair_builders._nearest import Metric
from vqa_gs.pair_builders._regions import Progress, image_distances, require_images
from vqa_gs.pair_builders.base import Alignment, PairSources, made_with, pair_builder
from vqa_gs.pair_builders.table import PairTable

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.pair_lists import read_pair_list

KIND = "complementary"


@dataclass(frozen=True)
class Settings(Alignment):
    """Which list.

    Args:
        pairs: the list; it has to be given. Several (train and val) are named with blanks between them.
        metric: how far apart two images are, by their mean region, standardised: `cosine` or `euclidean`.
    """

    pairs: list[Path] | None = None
    metric: Metric = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alignment == "identity":
            raise UsageError("two photographs have no common order of regions", mend="choose matched or sparse")


@pair_builder(KIND, Settings, needs=("store",))
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """The official complementary pairs of which both questions are at hand.

    Args:
        sources: questions with annotations, and the region store.
        settings: see :class:`Settings`.
        seed: not used, nothing here is random.
        progress: called with images.

    Returns:
        The pairs in the lists' order, their regions not matched yet. Pairs with an end that is not at hand, with equal
        answers, and repeated ones (in either order) are left out and counted under ``dropped``.

    Raises:
        UsageError: no list is named.
        DataError: a list is damaged, or none of its pairs is at hand.
    """
    if not settings.pairs:
        raise UsageError("complementary pairs need their list", mend="name it with --complementary.pairs")
    store, ends = sources.require_store(), sources.ends
    dropped: Counter[str] = Counter({"not at hand": 0, "equal answers": 0, "repeated": 0})
    seen: set[tuple[int, int]] = set()
    kept: list[tuple[int, int]] = []
    files: dict[str, str] = {}
    codes = ends.answers[1]
    for path in settings.pairs:
        listed, files[str(path)] = read_pair_list(path)
        rows = [(ends.rows.get(a, -1), ends.rows.get(b, -1)) for a, b in listed]
        if listed and all(min(pair) < 0 for pair in rows):
            ends.require(listed[0][0], path, "row 0")
            ends.require(listed[0][1], path, "row 0")
            raise DataError(f"no pair has both ends in {ends.file}", file=path, mend="take the list of the same split")
        for a, b in rows:
            pair = (min(a, b), max(a, b))
            if pair[0] < 0:
                dropped["not at hand"] += 1
            elif pair in seen:
                dropped["repeated"] += 1
            elif codes[a] == codes[b]:
                dropped["equal answers"] += 1
            else:
                kept.append((a, b))
            seen.add(pair)
    ids = sources.ends.questions
    question_a, question_b = [ids[a].question_id for a, _ in kept], [ids[b].question_id for _, b in kept]
    images_a, images_b = [ids[a].image_id for a, _ in kept], [ids[b].image_id for _, b in kept]
    require_images(store, images_a + images_b, question_a + question_b)
    return PairTable.of_one_kind(
        KIND,
        question_a,
        question_b,
        alignment=settings.alignment,
        weight=settings.weight,
        distance=image_distances(store, images_a, images_b, settings.metric, progress) if kept else np.zeros(0),
        settings=made_with(settings, seed, dropped),
        sources={**sources.files(), **files},
    )
