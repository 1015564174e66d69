"""Answer priors per question type and subject, and the plan of which question gets which answer.

In training and in the in-domain split each (question type, subject) has a preferred answer, given with
probability ``prior_strength``; out of distribution it is given with one minus that, and the other answers
share the rest evenly. So the words of a question predict its answer in training, and mislead in the test.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vqa_gs.common.errors import UsageError
from vqa_gs.demo.questions import (
    COUNT,
    LEFT,
    PRESENCE,
    QUESTION_TYPES,
    TYPE_SHARES,
    Query,
    all_queries,
    possible_answers,
)
from vqa_gs.demo.scenes import compatible

PlannedQuestion = tuple[Query, str]


def preferred_answers(rng: np.random.Generator) -> dict[Query, str]:
    """Chooses the answer that training prefers for each query.

    Within a question type the preferred answers differ from subject to subject as much as they can, so that
    the type alone says little.
    """
    preferred: dict[Query, str] = {}
    for kind in QUESTION_TYPES:
        queries = all_queries(kind)
        if kind in (PRESENCE, COUNT):
            answers = list(possible_answers(queries[0])) * len(queries)
            chosen = [answers[index] for index in rng.permutation(len(queries))]
        else:
            options = sorted({answer for query in queries for answer in possible_answers(query)})
            shuffled = [options[index] for index in rng.permutation(len(options))]
            # One rotation of a shuffled circle: nothing is mapped to itself, as no object is left of itself.
            place = {answer: number for number, answer in enumerate(shuffled)}
            if kind == LEFT:
                chosen = [shuffled[(place[query.subject] + 1) % len(shuffled)] for query in queries]
            else:
                chosen = shuffled
        preferred.update(zip(queries, chosen, strict=True))
    return preferred


def _answers_for(query: Query, count: int, preferred: str, share: float, rng: np.random.Generator) -> list[str]:
    """Returns ``count`` answers in random order: a ``share`` are ``preferred``, the rest is even."""
    # Quotas instead of independent draws: small splits then keep their priors, too. Fractions are left
    # to chance.
    common = int(count * share + rng.random())
    others = [answer for answer in possible_answers(query) if answer != preferred]
    answers = [preferred] * common
    while len(answers) < count:
        answers.extend(others[index] for index in rng.permutation(len(others)))
    del answers[count:]
    return [answers[index] for index in rng.permutation(count)]


def _quotas(count: int) -> dict[str, int]:
    """Deals ``count`` questions out to the types by their shares, the rest to the largest fractions."""
    exact = {kind: count * TYPE_SHARES[kind] for kind in QUESTION_TYPES}
    quotas = {kind: int(number) for kind, number in exact.items()}
    by_fraction = sorted(QUESTION_TYPES, key=lambda kind: quotas[kind] - exact[kind])
    for kind in by_fraction[: count - sum(quotas.values())]:
        quotas[kind] += 1
    return quotas


def plan_questions(
    count: int, preferred: Mapping[Query, str], share: float, rng: np.random.Generator
) -> list[PlannedQuestion]:
    """Plans questions that have the types' shares and cover each type's subjects evenly.

    Args:
        count: how many questions.
        preferred: each query's preferred answer.
        share: how often it is given.
        rng: the source of chance.

    Returns:
        Queries with the answers their scenes are to have, in random order.
    """
    planned = []
    for kind, wanted in _quotas(count).items():
        queries = all_queries(kind)
        for place, query in enumerate(queries):
            number = wanted // len(queries) + (place < wanted % len(queries))
            planned += [(query, answer) for answer in _answers_for(query, number, preferred[query], share, rng)]
    return [planned[index] for index in rng.permutation(len(planned))]


def group_by_image(
    planned: list[PlannedQuestion], images: int, rng: np.random.Generator
) -> list[list[PlannedQuestion]]:
    """Deals planned questions out to images, one or two each, such that one scene can answer both.

    Args:
        planned: between ``images`` and twice as many questions.
        images: how many images.
        rng: shuffles the images.

    Returns:
        The questions of each image; every planned question is used once.

    Raises:
        UsageError: there are not enough questions that fit one scene in twos.
    """
    waiting = list(planned)
    alone: list[PlannedQuestion] = []
    groups: list[list[PlannedQuestion]] = []
    while len(groups) < len(planned) - images:
        if not waiting:
            raise UsageError("too few questions fit one scene in twos", mend="lower two_questions")
        first = waiting.pop()
        # Searched from the back, where removing is cheap; nearly every candidate fits.
        partner = next((n for n in range(len(waiting) - 1, -1, -1) if compatible(first, waiting[n])), None)
        if partner is None:
            alone.append(first)
        else:
            groups.append([first, waiting.pop(partner)])
    groups.extend([question] for question in alone + waiting)
    return [groups[index] for index in rng.permutation(len(groups))]
