"""Pairs of one question about two similar images with different answers.

"What colour is the bus?" - red in one image, blue in another: what differs between the images has to explain
the answers, and the less differs, the better it explains them. So the most similar images come first.
"""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.pair_builders.builder import pair_builder, table_of
from vqa_gs.pair_builders.nearest.groups import Grouped, grouped_pairs
from vqa_gs.pair_builders.nearest.questions import Texts
from vqa_gs.pair_builders.sources import PairSources, Progress
from vqa_gs.pair_builders.table import PairTable

KIND = "same-question"


@dataclass(frozen=True)
class Settings(Grouped):
    """How equal questions find their partners."""


@pair_builder(KIND, Settings)
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """Same question, similar images, different answers.

    Two questions are the same if :func:`vqa_gs.data.normalize.normalize_question` says so, and answers differ
    if their normalised majority answers do. Images are read for their mean region, and again for matching.

    Returns:
        The pairs, their regions not matched yet; end a is the question with the lower id.

    Raises:
        DataError: an image is not in the store.
    """
    texts = Texts([question.question for question in sources.questions.questions]).of
    edges = grouped_pairs(sources, texts, settings, seed, progress)
    return table_of(KIND, sources, settings, seed, edges.a, edges.b, distance=edges.distance)
