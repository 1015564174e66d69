"""VQA v2's complementary pairs: one question, two similar images, chosen by people so that the answers differ.

Goyal et al., *Making the V in VQA Matter*, CVPR 2017: `v2_mscoco_train2014_complementary_pairs.json`, a list of pairs
of question ids. A VQA-CP training set holds both ends of only some of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vqa_gs.pair_builders.alignment.settings import PhotographAlignment
from vqa_gs.pair_builders.builder import pair_builder, table_of
from vqa_gs.pair_builders.nearest.images import image_distances
from vqa_gs.pair_builders.nearest.partners import Metric
from vqa_gs.pair_builders.sources import PairSources, Progress
from vqa_gs.pair_builders.table import PairTable

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.pair_lists import read_pair_list

KIND = "complementary"


@dataclass(frozen=True)
class Settings(PhotographAlignment):
    """Which list.

    Args:
        pairs: the list; it has to be given. Several (train and val) are named with blanks between them.
        metric: how far apart two images are, by their mean region, standardised: `cosine` or `euclidean`.
    """

    pairs: list[Path] | None = None
    metric: Metric = "cosine"


@pair_builder(KIND, Settings)
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """The official complementary pairs of which both questions are at hand.

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
    rows_a, rows_b = [a for a, _ in kept], [b for _, b in kept]
    sources.require_images(rows_a + rows_b)
    distance = image_distances(store, sources.images(rows_a), sources.images(rows_b), settings.metric, progress)
    return table_of(KIND, sources, settings, seed, rows_a, rows_b, dropped=dropped, files=files, distance=distance)
