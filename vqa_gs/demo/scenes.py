"""Scenes of two to six coloured shapes, built around the questions they have to answer.

A wanted answer is imposed by construction, not by drawing scenes until one fits: the query and its answer say
which objects must be there and which shapes or colours the rest must avoid, and everything left open is
uniform. So the priors change how often an answer occurs and nothing else about how scenes look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vqa_gs.demo.questions import COLOR, COLORS, COUNT, COUNTS, LEFT, PRESENCE, SHAPE, SHAPES, Query

IMAGE_SIZE = 128
MIN_OBJECTS = 2
MAX_OBJECTS = 6

_MARGIN = 2.0  # between an object and the image's border, in pixels
_GAP = 3.0  # between two objects
_BESIDE_GAPS = (5.0, 30.0)  # between an object and the one left of it
_SIDE_MARGIN = 5.0  # how far right or left of an object's centre another one's has to be, where that matters
_FARTHER = 1.3  # how much farther away than the neighbour another object on its side has to be
_RADII = (11.5, 16.0)


Spot = tuple[float, float, float]  # centre x, y, radius


@dataclass(frozen=True)
class Thing:
    """One object.

    Attributes:
        shape: one of `SHAPES`.
        color: one of `COLORS`.
        x: centre, pixels from the left.
        y: centre, pixels from the top.
        radius: half the side of its box; every shape fills its box in one direction at least.
        look: seed of its tilt, shading and outline, so that an edit keeps them.
        visible: False for an object that an edit has removed.
    """

    shape: str
    color: str
    x: float
    y: float
    radius: float
    look: int
    visible: bool = True


@dataclass(frozen=True)
class Scene:
    """Objects on a background.

    Attributes:
        things: the objects, in no particular order.
        texture: seed of the background.
    """

    things: tuple[Thing, ...]
    texture: int

    def to_json(self) -> dict[str, Any]:
        """Returns the scene as plain values."""
        return {"texture": self.texture, "things": [asdict(thing) for thing in self.things]}


@dataclass
class _Wanted:
    shape: str
    color: str | None = None


@dataclass
class _Demand:
    """What a query and its answer ask of a scene; with ``left``, the first object is left of the second."""

    wanted: list[_Wanted] = field(default_factory=list)
    banned_shapes: set[str] = field(default_factory=set)
    banned_colors: set[str] = field(default_factory=set)
    left: bool = False
    min_objects: int = MIN_OBJECTS


def _demand(query: Query, answer: str) -> _Demand:
    subject = query.subject
    if query.kind == COLOR:
        return _Demand([_Wanted(subject, answer)], banned_shapes={subject})
    if query.kind == PRESENCE:
        wanted = [_Wanted(subject)] if answer == "yes" else []
        return _Demand(wanted, banned_shapes={subject})
    if query.kind == COUNT:
        # As many objects whatever the count is, or the size of the scene would give the answer away.
        wanted = [_Wanted(subject) for _ in range(int(answer))]
        return _Demand(wanted, banned_shapes={subject}, min_objects=int(COUNTS[-1]))
    if query.kind == SHAPE:
        return _Demand([_Wanted(answer, subject)], banned_colors={subject})
    if query.kind == LEFT:
        return _Demand([_Wanted(answer), _Wanted(subject)], banned_shapes={subject}, left=True)
    raise ValueError(f"unknown question type {query.kind!r}")


def compatible(first: tuple[Query, str], second: tuple[Query, str]) -> bool:
    """Says whether one scene can give both queries the answers wanted."""
    a, b = _demand(*first), _demand(*second)
    if first[0] == second[0] or (a.left and b.left) or len(a.wanted) + len(b.wanted) > MAX_OBJECTS:
        return False
    return not any(
        wanted.shape in other.banned_shapes or wanted.color in other.banned_colors
        for demand, other in ((a, b), (b, a))
        for wanted in demand.wanted
    )


def _pick(options: Iterable[str], banned: set[str], rng: np.random.Generator) -> str:
    allowed = [option for option in options if option not in banned]
    return allowed[rng.integers(len(allowed))]


def _no_rival(spot: Spot, subject: Spot, neighbour: Spot) -> bool:
    """Says whether nobody would take ``spot`` for what is left of ``subject``, ``neighbour`` standing there.

    It is on the other side, or else out of the subject's row and clearly farther away than the neighbour. So
    what is left of an object cannot be told without finding that object: the leftmost object need not be the
    answer.
    """
    if spot[0] > subject[0] - _SIDE_MARGIN:
        return spot[0] > subject[0] + _SIDE_MARGIN
    out_of_row = abs(spot[1] - subject[1]) >= spot[2] + subject[2] + _GAP
    return out_of_row and _distance(spot, subject) >= _FARTHER * _distance(neighbour, subject)


def _distance(a: Spot, b: Spot) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _scatter(count: int, rng: np.random.Generator, left: tuple[int, int] | None) -> list[Spot]:
    """Returns the spots of ``count`` objects that keep clear of each other.

    Args:
        count: how many.
        rng: the source of chance.
        left: two objects (a, b) such that a, and no other, is beside b on its left.
    """
    shrink = 1.0
    while True:
        placed = _try_scatter(count, rng, left, shrink)
        if placed is not None:
            return placed
        shrink *= 0.99  # a crowded scene gets slightly smaller objects rather than an endless search


def _try_scatter(
    count: int, rng: np.random.Generator, left: tuple[int, int] | None, shrink: float
) -> list[Spot] | None:
    radii = [float(radius) for radius in rng.uniform(*_RADII, count) * shrink]
    placed: dict[int, Spot] = {}
    order = list(range(count))
    if left is not None:
        order = [left[1], left[0], *(index for index in order if index not in left)]
    for index in order:
        radius = radii[index]
        low_x = low_y = radius + _MARGIN
        high_x = high_y = IMAGE_SIZE - radius - _MARGIN
        if left is not None and index == left[1]:
            low_x += 2 * radii[left[0]] + _BESIDE_GAPS[0]
        elif left is not None and index == left[0]:
            x, y, beside = placed[left[1]]
            low_x = max(low_x, x - beside - radius - _BESIDE_GAPS[1])
            high_x = x - beside - radius - _BESIDE_GAPS[0]
            low_y, high_y = max(low_y, y - 0.5 * beside), min(high_y, y + 0.5 * beside)
        for _ in range(30):
            spot = (float(rng.uniform(low_x, high_x)), float(rng.uniform(low_y, high_y)), radius)
            clear = all(
                max(abs(spot[0] - x), abs(spot[1] - y)) >= radius + other + _GAP for x, y, other in placed.values()
            )
            rival = left is not None and len(placed) > 1 and not _no_rival(spot, placed[left[1]], placed[left[0]])
            if clear and not rival:
                placed[index] = spot
                break
        else:
            return None
    return [placed[index] for index in range(count)]


def build_scene(questions: Sequence[tuple[Query, str]], rng: np.random.Generator) -> Scene:
    """Builds a scene that gives each query the answer wanted.

    Args:
        questions: queries with their answers, one or several `compatible` ones.
        rng: the source of everything the questions leave open.

    Returns:
        A scene of two to six objects.
    """
    demands = [_demand(query, answer) for query, answer in questions]
    wanted = [one for demand in demands for one in demand.wanted]
    banned_shapes = {shape for demand in demands for shape in demand.banned_shapes}
    banned_colors = {color for demand in demands for color in demand.banned_colors}
    least = max([len(wanted), *(demand.min_objects for demand in demands)])
    count = int(rng.integers(least, MAX_OBJECTS + 1))
    kinds = [(one.shape, one.color or _pick(COLORS, banned_colors, rng)) for one in wanted]
    while len(kinds) < count:
        kinds.append((_pick(SHAPES, banned_shapes, rng), _pick(COLORS, banned_colors, rng)))
    left = None
    first = 0
    for demand in demands:
        if demand.left:
            left = (first, first + 1)
        first += len(demand.wanted)
    return assemble(kinds, rng, left)


def assemble(kinds: Sequence[tuple[str, str]], rng: np.random.Generator, left: tuple[int, int] | None = None) -> Scene:
    """Places objects on a background, in random order.

    Args:
        kinds: shape and colour of each object.
        rng: the source of chance.
        left: two objects (a, b) such that a, and no other, is beside b on its left.
    """
    things = [
        Thing(shape, color, round(x, 2), round(y, 2), round(radius, 2), int(rng.integers(2**31)))
        for (shape, color), (x, y, radius) in zip(kinds, _scatter(len(kinds), rng, left), strict=True)
    ]
    order = rng.permutation(len(kinds))
    return Scene(tuple(things[index] for index in order), int(rng.integers(2**31)))


def subject_index(scene: Scene, query: Query) -> int:
    """Returns the index of the one visible object the query is about.

    Raises:
        ValueError: there is none, or there are several: the question is ambiguous in this scene.
    """
    matches = [
        index
        for index, thing in enumerate(scene.things)
        if thing.visible and query.subject == (thing.color if query.kind == SHAPE else thing.shape)
    ]
    if len(matches) != 1:
        raise ValueError(f"{query} has {len(matches)} subjects in the scene")
    return matches[0]


def left_index(scene: Scene, query: Query) -> int:
    """Returns the index of the object left of the query's subject: the nearest one on that side, in its row.

    Raises:
        ValueError: nothing is, or not one and the same object is nearest and alone in the row.
    """
    subject = scene.things[subject_index(scene, query)]
    place = (subject.x, subject.y, subject.radius)
    left = [index for index, thing in enumerate(scene.things) if thing.visible and thing.x < subject.x]
    row = [n for n in left if abs(scene.things[n].y - subject.y) < scene.things[n].radius + subject.radius]
    nearest = min(
        left,
        key=lambda n: _distance((scene.things[n].x, scene.things[n].y, scene.things[n].radius), place),
        default=None,
    )
    if nearest is None or row != [nearest]:
        raise ValueError(f"{query} has no clear answer in the scene")
    return nearest


def answer(scene: Scene, query: Query) -> str:
    """Reads the answer to ``query`` off the scene.

    Raises:
        ValueError: the question is ambiguous in this scene.
    """
    if query.kind == COLOR:
        return scene.things[subject_index(scene, query)].color
    if query.kind == SHAPE:
        return scene.things[subject_index(scene, query)].shape
    if query.kind == LEFT:
        return scene.things[left_index(scene, query)].shape
    count = sum(thing.visible and thing.shape == query.subject for thing in scene.things)
    if query.kind == COUNT:
        return str(count)
    return "yes" if count else "no"


def relevant_objects(scene: Scene, query: Query) -> list[int]:
    """Returns the indices of the objects that the answer is read from; none where the answer is that there is none."""
    if query.kind in (COLOR, SHAPE):
        return [subject_index(scene, query)]
    if query.kind == LEFT:
        return sorted([subject_index(scene, query), left_index(scene, query)])
    return [index for index, thing in enumerate(scene.things) if thing.visible and thing.shape == query.subject]


def whole_pixel_box(thing: Thing) -> tuple[int, int, int, int]:
    """Returns the smallest box of whole pixels (x1, y1, x2, y2) that holds everything drawn of ``thing``."""
    return (
        int(np.floor(thing.x - thing.radius)),
        int(np.floor(thing.y - thing.radius)),
        int(np.ceil(thing.x + thing.radius)),
        int(np.ceil(thing.y + thing.radius)),
    )
