from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vqa_gs.demo import questions as q
from vqa_gs.demo.edits import edit_scene, reachable_answers
from vqa_gs.demo.questions import Query
from vqa_gs.demo.scenes import IMAGE_SIZE, Scene, Thing, answer, build_scene, compatible

ReadAnswer = Callable[[str, list[dict[str, Any]]], str]

EVERY = [
    (query, wanted)
    for kind in q.QUESTION_TYPES
    for query in q.all_queries(kind)
    for wanted in q.possible_answers(query)
]


@pytest.mark.parametrize("kind", q.QUESTION_TYPES)
def test_every_answer_of_every_query_can_be_built(kind: str, read_answer: ReadAnswer) -> None:
    rng = np.random.default_rng(0)
    for query, wanted in [one for one in EVERY if one[0].kind == kind]:
        for _ in range(3):
            scene = build_scene([(query, wanted)], rng)
            assert answer(scene, query) == wanted
            assert read_answer(q.phrase(query, rng), scene.to_json()["things"]) == wanted
            assert 2 <= len(scene.things) <= 6


def test_two_questions_share_a_scene() -> None:
    rng = np.random.default_rng(1)
    fits = 0
    for _ in range(400):
        first, second = (EVERY[index] for index in rng.integers(len(EVERY), size=2))
        assert compatible(first, second) == compatible(second, first)
        if compatible(first, second):
            fits += 1
            scene = build_scene([first, second], rng)
            assert [answer(scene, query) for query, _ in (first, second)] == [first[1], second[1]]
    assert fits > 250


def test_incompatible_questions() -> None:
    left = Query(q.LEFT, "star"), "heart"
    assert not compatible(left, left)
    assert not compatible((Query(q.PRESENCE, "star"), "no"), (Query(q.COUNT, "star"), "2"))
    assert not compatible((Query(q.COUNT, "star"), "4"), (Query(q.COUNT, "moon"), "3"))
    assert not compatible((Query(q.COLOR, "star"), "red"), (Query(q.SHAPE, "red"), "moon"))
    assert compatible((Query(q.COLOR, "star"), "red"), (Query(q.SHAPE, "blue"), "moon"))


def test_objects_stay_apart_and_inside() -> None:
    rng = np.random.default_rng(2)
    for index in rng.permutation(len(EVERY)):
        things = build_scene([EVERY[index]], rng).things
        for n, a in enumerate(things):
            assert a.radius > 8
            assert a.radius < min(a.x, a.y)
            assert max(a.x, a.y) < IMAGE_SIZE - a.radius
            for b in things[:n]:
                assert max(abs(a.x - b.x), abs(a.y - b.y)) > a.radius + b.radius


@pytest.mark.parametrize("kind", [q.COLOR, q.SHAPE, q.COUNT, q.PRESENCE])
def test_answer_changes_nothing_else_about_scenes(kind: str) -> None:
    """The number of objects and the distractors are the same whatever the answer is."""
    rng = np.random.default_rng(3)
    query = q.all_queries(kind)[0]
    means = []
    for wanted in q.possible_answers(query)[:2]:
        means.append(np.mean([len(build_scene([(query, wanted)], rng).things) for _ in range(400)]))
    assert abs(means[0] - means[1]) < 0.25


def test_left_needs_its_subject() -> None:
    """Naming the leftmost object, whatever the question is about, fails often."""
    rng = np.random.default_rng(4)
    hits = 0
    asked = [one for one in EVERY if one[0].kind == q.LEFT] * 4
    for query, wanted in asked:
        scene = build_scene([(query, wanted)], rng)
        hits += min(scene.things, key=lambda thing: thing.x).shape == wanted
    assert hits / len(asked) < 0.75


@pytest.mark.parametrize("kind", q.QUESTION_TYPES)
def test_edit_changes_one_object_and_the_answer(kind: str) -> None:
    rng = np.random.default_rng(5)
    for query, wanted in [one for one in EVERY if one[0].kind == kind]:
        scene = build_scene([(query, wanted)], rng)
        options = reachable_answers(scene, query)
        assert options
        assert wanted not in options
        if kind == q.COUNT:
            assert all(abs(int(option) - int(wanted)) == 1 for option in options)
        else:
            assert set(options) == set(q.possible_answers(query)) - {wanted}
        for target in options:
            edited, changed = edit_scene(scene, query, target, rng)
            assert answer(edited, query) == target
            assert edited.texture == scene.texture
            differ = [n for n, (a, b) in enumerate(zip(scene.things, edited.things, strict=True)) if a != b]
            assert differ == [changed]
            before, after = scene.things[changed], edited.things[changed]
            assert (before.x, before.y, before.radius, before.look) == (
                after.x,
                after.y,
                after.radius,
                after.look,
            )


def test_ambiguous_scene_is_refused() -> None:
    star = Thing("star", "red", 30.0, 30.0, 12.0, 1)
    other = Thing("star", "blue", 90.0, 30.0, 12.0, 2)
    with pytest.raises(ValueError, match="2 subjects"):
        answer(Scene((star, other), 0), Query(q.COLOR, "star"))
    with pytest.raises(ValueError, match="no clear answer"):
        answer(Scene((star, Thing("moon", "blue", 90.0, 30.0, 12.0, 2)), 0), Query(q.LEFT, "star"))
    assert answer(Scene((star, Thing("moon", "blue", 90.0, 30.0, 12.0, 2)), 0), Query(q.LEFT, "moon")) == "star"


def test_wordings_start_with_their_type() -> None:
    rng = np.random.default_rng(6)
    for kind in q.QUESTION_TYPES:
        for query in q.all_queries(kind):
            texts = {q.phrase(query, rng) for _ in range(40)}
            assert len(texts) == 3
            assert all(text.lower().startswith(kind + " ") and text.endswith("?") for text in texts)


def test_ten_people_mostly_agree() -> None:
    rng = np.random.default_rng(7)
    agreeing = Counter()
    for query, wanted in EVERY * 3:
        answers = q.human_answers(query, wanted, rng)
        assert [one["answer_id"] for one in answers] == list(range(1, 11))
        assert {one["answer_confidence"] for one in answers} <= {"yes", "maybe"}
        agreeing[sum(one["answer"] == wanted for one in answers)] += 1
    assert min(agreeing) >= 7
    assert len(agreeing) >= 3
