"""Partners within groups of questions that ask the same: about similar images, with different answers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.alignment.settings import PhotographAlignment
from vqa_gs.pair_builders.nearest.images import pooled_features, standardised
from vqa_gs.pair_builders.nearest.partners import Edges, Metric, at_most, nearest_partners, split_groups, unique_edges
from vqa_gs.pair_builders.sources import PairSources, Progress

from vqa_gs.common.errors import UsageError
from vqa_gs.common.phases import phase
from vqa_gs.data.questions import Question

# How many times its number of partners a question proposes. The nearest are often taken: an image near the
# middle of all is the nearest of very many. On real questions, more proposals find hardly any more pairs.
_PROPOSALS = 4


@dataclass(frozen=True)
class Grouped(PhotographAlignment):
    """How the questions of a group find their partners.

    Args:
        partners: the most pairs one question is in; selections choose among them.
        metric: how similar two images are, by their mean region, standardised: `cosine` or `euclidean`.
        max_group: larger groups of one question are dealt out at random into parts of this size at most,
            since the time a group takes grows with its square.
    """

    # What selects where regions have names and nothing is said: of all that was tried on vqa2-mini, pairs chosen so
    # are the ones that gradient supervision gained most from (docs/pairs.md).
    where_named: ClassVar[tuple[str, ...]] = ("named", "agreed", "cap")

    partners: int = 3
    metric: Metric = "cosine"
    max_group: int = 2048

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.partners < 1:
            raise UsageError(f"partners is {self.partners}", mend="choose 1 or more")
        if self.max_group < 2:
            raise UsageError(f"max_group is {self.max_group}", mend="choose 2 or more")


def grouped_pairs(
    sources: PairSources, texts: NDArray[np.int64], settings: Grouped, seed: int, progress: Progress | None = None
) -> Edges:
    """Pairs up the questions of each group.

    Args:
        sources: n questions with annotations, and the region store.
        texts: (n,) the group of each question.
        settings: see :class:`Grouped`.
        seed: of the dealing of groups above ``max_group``; nothing else is random.
        progress: called with images.

    Returns:
        The pairs, as rows of the questions; a has the lower id. In the order of a, so that neighbours share images.

    Raises:
        DataError: an image is not in the store.
    """
    store, questions = sources.require_store(), sources.questions.questions
    rows, keys, answers = _groups(questions, texts, sources.ends.answers[1])
    asked = [questions[row] for row in rows]
    image_ids = list(dict.fromkeys(question.image_id for question in asked))
    sources.require_images(rows)
    place = {image_id: at for at, image_id in enumerate(image_ids)}
    images = np.array([place[question.image_id] for question in asked], np.int64)
    vectors = standardised(pooled_features(store, image_ids, progress))
    edges = find_pairs(vectors, images, keys, answers, settings, seed)
    order = np.lexsort((edges.b, edges.a))
    row = np.array(rows, np.int64)
    return Edges(row[edges.a[order]], row[edges.b[order]], edges.distance[order])


def find_pairs(
    vectors: NDArray[np.float32],
    images: NDArray[np.int64],
    keys: NDArray[np.int64],
    answers: NDArray[np.int64],
    settings: Grouped,
    seed: int = 0,
) -> Edges:
    """Pairs up the questions of each group.

    Every question proposes its nearest partners; of the proposals the nearest are taken first, as long as
    neither question has ``settings.partners`` yet. Without that limit, the image in the middle of a frequent
    question is in dozens of pairs, and its answer would be learned instead of what makes it.

    Args:
        vectors: (M, D) standardised images.
        images: (n,) rows of ``vectors``.
        keys: (n,) sorted codes of the groups.
        answers: (n,) codes of the answers.
        settings: see :class:`Grouped`.
        seed: of the dealing of large groups.

    Returns:
        The pairs, as positions in ``keys``, nearest first.
    """
    generator = np.random.default_rng(seed)
    proposals = _PROPOSALS * settings.partners
    parts = []
    with phase("finding partners", len(keys), "questions") as far:
        for members in split_groups(keys, settings.max_group, generator):
            far(len(members))
            if (answers[members] == answers[members[0]]).all():
                continue
            found, distance = nearest_partners(
                vectors, images[members], answers[members], min(proposals, len(members)), settings.metric
            )
            side, rank = np.nonzero(found >= 0)
            parts.append(Edges(members[side], members[found[side, rank]], distance[side, rank]))
        edges = unique_edges(parts)
        return edges.take(at_most(edges, len(keys), settings.partners))


def _groups(
    questions: list[Question], texts: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
    """Puts the questions that can have a partner in order of their group and, within it, of their id.

    Args:
        questions: n questions.
        texts: the groups they are in, (n,).
        codes: the codes of their answers, (n,) or more.

    Returns:
        Their rows, the numbers of their groups (rising) and the codes of their answers.
    """
    order = np.argsort(texts, kind="stable")
    bounds = np.flatnonzero(np.diff(texts[order], prepend=-1, append=-1))
    chosen: list[int] = []
    keys: list[int] = []
    for start, end in pairwise(bounds.tolist()):
        members = order[start:end].tolist()
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
