"""Pairs of one question about two similar images with different answers.

"What colour is the bus?" - red in one image, blue in another: what differs between the images has to explain
the answers, and the less differs, the better it explains them. So the most similar images come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pair_builders._nearest import Edges, Metric, at_most, nearest_partners, split_groups, unique_edges
from pair_builders._regions import aligned_rows, pooled_features, require_images, standardised
from pair_builders.alignment import BOX_WEIGHT
from pair_builders.base import (
    PairSources,
    Progress,
    answer_of,
    check_alignment_settings,
    made_with,
    pair_builder,
)
from pair_builders.table import PairTable
from vqa_gs.common.errors import UsageError
from vqa_gs.data.normalize import normalize_answer, normalize_question, strip_answer
from vqa_gs.data.questions import Annotation, Question

KIND = "same-question"

# How many times its number of partners a question proposes. The nearest are often taken: an image near the
# middle of all is the nearest of very many. On real questions, more proposals find hardly any more pairs.
_PROPOSALS = 4


@dataclass(frozen=True)
class Settings:
    """How questions find their partners.

    Args:
        partners: the most pairs one question is in.
        metric: how similar two images are, by their mean region, standardised: `cosine` or `euclidean`.
        alignment: `matched`: every region of one image has its counterpart in the other; `sparse`: only the
            `sparse_regions` counterparts that differ most say in which direction the answer lies.
        sparse_regions: counterparts kept by the alignment `sparse`.
        box_weight: what the place of a region counts in matching, appearance counting 1.
        min_agreement: the least share of annotators behind a question's answer, 0 to 1.
        max_group: larger groups of one question are dealt out at random into parts of this size at most,
            since the time a group takes grows with its square.
        weight: the weight of every pair.
    """

    partners: int = 3
    metric: Metric = "cosine"
    alignment: Literal["matched", "sparse"] = "matched"
    sparse_regions: int = 1
    box_weight: float = BOX_WEIGHT
    min_agreement: float = 0.0
    max_group: int = 8192
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_alignment_settings(self.sparse_regions, self.box_weight, self.weight)
        if self.partners < 1:
            raise UsageError(f"partners is {self.partners}", mend="choose 1 or more")
        if self.max_group < 2:
            raise UsageError(f"max_group is {self.max_group}", mend="choose 2 or more")
        if not 0 <= self.min_agreement <= 1:
            raise UsageError(f"min_agreement is {self.min_agreement}", mend="give a share between 0 and 1")


Accept = Callable[[Edges], NDArray[np.bool_]]
"""Says which candidate pairs may be taken; the place for choosing pairs by what their answers speak of."""


@pair_builder(KIND, Settings, needs=("store",))
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """Same question, similar images, different answers.

    Two questions are the same if :func:`vqa_gs.data.normalize.normalize_question` says so, and answers differ
    if their normalised majority answers do. Images are read twice: for their mean region, and for matching.

    Args:
        sources: questions with annotations, and the region store.
        settings: see :class:`Settings`.
        seed: of the dealing of groups above ``max_group``; nothing else is random.
        progress: called with images, then with pairs.

    Returns:
        The pairs; end a is the question with the lower id.

    Raises:
        DataError: an image is not in the store.
    """
    store, questions = sources.require_store(), sources.questions
    annotations = questions.annotations or []
    least = settings.min_agreement
    agreed = [row for row, given in enumerate(annotations) if not least or _agreement(given) >= least]
    rows, keys, answers = _groups(questions.questions, annotations, agreed)
    asked = [questions.questions[row] for row in rows]
    image_ids = list(dict.fromkeys(question.image_id for question in asked))
    require_images(store, [question.image_id for question in asked], [question.question_id for question in asked])
    place = {image_id: at for at, image_id in enumerate(image_ids)}
    images = np.array([place[question.image_id] for question in asked], np.int64)

    vectors = standardised(pooled_features(store, image_ids, progress))
    edges = find_pairs(vectors, images, keys, answers, settings, seed)
    # By question, not by distance: neighbouring pairs then share images, which are read once.
    order = np.lexsort((edges.b, edges.a))
    a, b = ([asked[at] for at in end[order].tolist()] for end in (edges.a, edges.b))
    matched = aligned_rows(
        store,
        [question.image_id for question in a],
        [question.image_id for question in b],
        box_weight=settings.box_weight,
        sparse_regions=[settings.sparse_regions] * len(a) if settings.alignment == "sparse" else None,
        progress=progress,
    )
    return PairTable.of_one_kind(
        KIND,
        [question.question_id for question in a],
        [question.question_id for question in b],
        alignment=settings.alignment,
        rows=matched,
        weight=settings.weight,
        distance=edges.distance[order],
        settings=made_with(settings, seed, {"questions with too little agreement": len(questions) - len(agreed)}),
        sources=sources.files(),
    )


def find_pairs(
    vectors: NDArray[np.float32],
    images: NDArray[np.int64],
    keys: NDArray[np.int64],
    answers: NDArray[np.int64],
    settings: Settings,
    seed: int = 0,
    accept: Accept | None = None,
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
        accept: says which proposals may be taken; None: all.

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
    if accept is not None:
        edges = edges.take(accept(edges))
    return edges.take(at_most(edges, len(keys), settings.partners))


def _groups(
    questions: list[Question], annotations: list[Annotation], rows: list[int]
) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
    """Puts the questions that can have a partner in order of their text and, within it, of their id.

    Returns:
        Their rows, the codes of their texts (rising) and the codes of their answers.
    """
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(normalize_question(questions[row].question), []).append(row)
    answer_codes: dict[str, int] = {}
    chosen: list[int] = []
    keys: list[int] = []
    answers: list[int] = []
    for text in sorted(groups):
        members = groups[text]
        codes = [answer_codes.setdefault(answer_of(annotations[row]), len(answer_codes)) for row in members]
        if len(set(codes)) < 2 or len({questions[row].image_id for row in members}) < 2:
            continue  # so that images which are asked nothing of use are not read
        code = keys[-1] + 1 if keys else 0
        for row, answer in sorted(zip(members, codes, strict=True), key=lambda pair: _by_id(questions[pair[0]])):
            chosen.append(row)
            keys.append(code)
            answers.append(answer)
    return chosen, np.array(keys, np.int64), np.array(answers, np.int64)


def _by_id(question: Question) -> tuple[bool, int, str]:
    id = question.question_id
    return (True, 0, id) if isinstance(id, str) else (False, id, "")


def _agreement(annotation: Annotation) -> float:
    """Returns the share of annotators whose normalised answer is the majority's."""
    majority = answer_of(annotation)
    same = sum(normalize_answer(strip_answer(answer.answer)) == majority for answer in annotation.answers)
    return same / len(annotation.answers)
