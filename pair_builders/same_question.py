"""Pairs of one question about two similar images with different answers.

"What colour is the bus?" - red in one image, blue in another: what differs between the images has to explain
the answers, and the less differs, the better it explains them. So the most similar images come first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pair_builders._nearest import Edges, Metric, at_most, nearest_partners, split_groups, unique_edges
from pair_builders._regions import Progress, pooled_features, require_images, standardised
from pair_builders.base import Alignment, PairSources, made_with, pair_builder
from pair_builders.table import PairTable
from vqa_gs.common.errors import UsageError
from vqa_gs.data.normalize import normalize_question
from vqa_gs.data.questions import Question

KIND = "same-question"

# How many times its number of partners a question proposes. The nearest are often taken: an image near the
# middle of all is the nearest of very many. On real questions, more proposals find hardly any more pairs.
_PROPOSALS = 4


@dataclass(frozen=True)
class Settings(Alignment):
    """How questions find their partners.

    Args:
        partners: the most pairs one question is in; selections choose among them.
        metric: how similar two images are, by their mean region, standardised: `cosine` or `euclidean`.
        max_group: larger groups of one question are dealt out at random into parts of this size at most,
            since the time a group takes grows with its square.
    """

    partners: int = 3
    metric: Metric = "cosine"
    max_group: int = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alignment == "identity":
            raise UsageError("two photographs have no common order of regions", mend="choose matched or sparse")
        if self.partners < 1:
            raise UsageError(f"partners is {self.partners}", mend="choose 1 or more")
        if self.max_group < 2:
            raise UsageError(f"max_group is {self.max_group}", mend="choose 2 or more")


@pair_builder(KIND, Settings, needs=("store",))
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """Same question, similar images, different answers.

    Two questions are the same if :func:`vqa_gs.data.normalize.normalize_question` says so, and answers differ
    if their normalised majority answers do. Images are read for their mean region, and again for matching.

    Args:
        sources: questions with annotations, and the region store.
        settings: see :class:`Settings`.
        seed: of the dealing of groups above ``max_group``; nothing else is random.
        progress: called with images.

    Returns:
        The pairs, their regions not matched yet; end a is the question with the lower id.

    Raises:
        DataError: an image is not in the store.
    """
    store, questions = sources.require_store(), sources.questions
    rows, keys, answers = _groups(questions.questions, sources.ends.answers[1])
    asked = [questions.questions[row] for row in rows]
    image_ids = list(dict.fromkeys(question.image_id for question in asked))
    require_images(store, [question.image_id for question in asked], [question.question_id for question in asked])
    place = {image_id: at for at, image_id in enumerate(image_ids)}
    images = np.array([place[question.image_id] for question in asked], np.int64)

    vectors = standardised(pooled_features(store, image_ids, progress))
    edges = find_pairs(vectors, images, keys, answers, settings, seed)
    # By question, not by distance: neighbouring pairs then share images, which are read once.
    order = np.lexsort((edges.b, edges.a))
    return PairTable.of_one_kind(
        KIND,
        [asked[at].question_id for at in edges.a[order].tolist()],
        [asked[at].question_id for at in edges.b[order].tolist()],
        alignment=settings.alignment,
        weight=settings.weight,
        distance=edges.distance[order],
        settings=made_with(settings, seed, {}),
        sources=sources.files(),
    )


def find_pairs(
    vectors: NDArray[np.float32],
    images: NDArray[np.int64],
    keys: NDArray[np.int64],
    answers: NDArray[np.int64],
    settings: Settings,
    seed: int = 0,
) -> Edges:
    """Pairs up the questions of each group.

    Every question proposes its nearest partners; of the proposals the nearest are taken first, as long as
    neither question has ``settings.partners`` yet. Without that limit, the image in the middle of a frequent
    question is in dozens of pairs, and its answer would be learned instead of what makes it.

    Args:
        vectors: (M, D) standardised images.
        images: (n,) rows of ``vectors``.
        keys: (n,) sorted codes of the questions' texts.
        answers: (n,) codes of the answers.
        settings: see :class:`Settings`.
        seed: of the dealing of large groups.

    Returns:
        The pairs, as positions in ``keys``, nearest first.
    """
    generator = np.random.default_rng(seed)
    proposals = _PROPOSALS * settings.partners
    sides, others, distances = [], [], []
    for members in split_groups(keys, settings.max_group, generator):
        if (answers[members] == answers[members[0]]).all():
            continue
        found, distance = nearest_partners(
            vectors, images[members], answers[members], min(proposals, len(members)), settings.metric
        )
        side, rank = np.nonzero(found >= 0)
        sides.append(members[side])
        others.append(members[found[side, rank]])
        distances.append(distance[side, rank])
    if not sides:
        return Edges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    edges = unique_edges(np.concatenate(sides), np.concatenate(others), np.concatenate(distances))
    return edges.take(at_most(edges, len(keys), settings.partners))


def _groups(
    questions: list[Question], codes: NDArray[np.int64]
) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
    """Puts the questions that can have a partner in order of their text and, within it, of their id.

    Args:
        questions: n questions.
        codes: the codes of their answers, (n,) or more.

    Returns:
        Their rows, the codes of their texts (rising) and the codes of their answers.
    """
    groups: dict[str, list[int]] = {}
    for row, question in enumerate(questions):
        groups.setdefault(normalize_question(question.question), []).append(row)
    chosen: list[int] = []
    keys: list[int] = []
    for text in sorted(groups):
        members = groups[text]
        if len(members) < 2 or (codes[members] == codes[members[0]]).all():
            continue
        if len({questions[row].image_id for row in members}) < 2:
            continue  # so that images which are asked nothing of use are not read
        code = keys[-1] + 1 if keys else 0
        chosen += sorted(members, key=lambda row: _by_id(questions[row]))
        keys += [code] * len(members)
    return chosen, np.array(keys, np.int64), codes[chosen]


def _by_id(question: Question) -> tuple[bool, int, str]:
    id = question.question_id
    return (True, 0, id) if isinstance(id, str) else (False, id, "")
