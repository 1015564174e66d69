"""Counterfactual edits: one object changed so that the answer to a question changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vqa_gs.demo.questions import (
    COLOR,
    COUNT,
    PRESENCE,
    QUESTION_TYPES,
    SHAPE,
    SHAPES,
    Query,
    all_queries,
    possible_answers,
)
from vqa_gs.demo.scenes import MIN_OBJECTS, Scene, left_index, subject_index
from vqa_gs.demo.scenes import answer as answer_in


@dataclass(frozen=True)
class Asked:
    """A question asked about an image of the world.

    Attributes:
        image: position of the image in its split.
        question: position of the question in its split.
        query: what is asked.
    """

    image: int
    question: int
    query: Query


@dataclass(frozen=True)
class Edit:
    """An edited scene and the question whose answer it changes.

    Attributes:
        asked: the question about the original.
        scene: the edited scene.
        changed: index of the changed object; it is the only one that differs.
        answer: the answer in the edited scene.
    """

    asked: Asked
    scene: Scene
    changed: int
    answer: str


def reachable_answers(scene: Scene, query: Query) -> tuple[str, ...]:
    """Returns the other answers to ``query`` that changing one object can give."""
    current = answer_in(scene, query)
    others = tuple(option for option in possible_answers(query) if option != current)
    if query.kind != COUNT:
        return others
    fewer_or_more = {str(int(current) - 1)}
    if any(thing.visible and thing.shape != query.subject for thing in scene.things):
        fewer_or_more.add(str(int(current) + 1))
    return tuple(option for option in others if option in fewer_or_more)


def edit_scene(scene: Scene, query: Query, target: str, rng: np.random.Generator) -> tuple[Scene, int]:
    """Changes one object such that the answer to ``query`` becomes ``target``.

    Colours and shapes are repainted in place; an object that has to go becomes another shape or is removed.

    Args:
        scene: the original.
        query: a question about it.
        target: one of its `reachable_answers`.
        rng: chooses the object, where several would do, and the way to change it.

    Returns:
        The edited scene and the index of the changed object.
    """
    if query.kind == COLOR:
        index = subject_index(scene, query)
        return _changed(scene, index, color=target), index
    if query.kind == SHAPE:
        index = subject_index(scene, query)
        return _changed(scene, index, shape=target), index
    if query.kind not in (PRESENCE, COUNT):
        index = left_index(scene, query)
        return _changed(scene, index, shape=target), index

    is_subject = [thing.shape == query.subject for thing in scene.things]
    grows = target == "yes" if query.kind == PRESENCE else int(target) > sum(is_subject)
    candidates = [n for n, same in enumerate(is_subject) if same != grows]
    index = candidates[rng.integers(len(candidates))]
    if grows:
        return _changed(scene, index, shape=query.subject), index
    if len(scene.things) > MIN_OBJECTS and rng.random() < 0.5:
        return _changed(scene, index, visible=False), index
    shapes = [shape for shape in SHAPES if shape != query.subject]
    return _changed(scene, index, shape=shapes[rng.integers(len(shapes))]), index


def _changed(scene: Scene, index: int, **changes: str | bool) -> Scene:
    things = list(scene.things)
    things[index] = replace(things[index], **changes)  # type: ignore[arg-type]
    return replace(scene, things=tuple(things))


def _in_turn(kind: str, rng: np.random.Generator) -> Iterator[Query]:
    queries = all_queries(kind)
    while True:
        yield from (queries[index] for index in rng.permutation(len(queries)))


def make_edits(count: int, scenes: Sequence[Scene], asked: Sequence[Asked], rng: np.random.Generator) -> list[Edit]:
    """Edits scenes for ``count`` questions, taking question types and subjects in turn.

    The new answers follow no prior: each time it is the one of the reachable answers that was given least
    often so far, to this query and then to its type. The first n edits are the same whatever ``count`` is.

    Args:
        count: how many edits, at most ``len(asked)``.
        scenes: the original scenes, by position.
        asked: the questions that may be chosen.
        rng: the source of chance.

    Returns:
        The edits; no question is edited twice.
    """
    waiting: dict[Query, list[Asked]] = {}
    for one in (asked[index] for index in rng.permutation(len(asked))):
        waiting.setdefault(one.query, []).append(one)
    turns = [_in_turn(kind, rng) for kind in QUESTION_TYPES]
    given: Counter[tuple[Query | str, str]] = Counter()
    edits: list[Edit] = []
    step = 0
    while len(edits) < count and any(waiting.values()):
        query = next(turns[step % len(turns)])
        step += 1
        if not waiting.get(query):
            continue
        one = waiting[query].pop()
        scene = scenes[one.image]
        options = reachable_answers(scene, query)
        order = [options[index] for index in rng.permutation(len(options))]
        usage = [(given[query, option], given[query.kind, option]) for option in order]
        target = order[usage.index(min(usage))]
        given.update([(query, target), (query.kind, target)])
        edited, changed = edit_scene(scene, query, target, rng)
        edits.append(Edit(one, edited, changed, target))
    return edits
