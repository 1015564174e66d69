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
_BESIDE_GAP = 5.0  # between an object and the one left of it
_RADII = (11.5, 16.0)


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


def _scatter(
    count: int, rng: np.random.Generator, left: tuple[int, int] | None
) -> list[tuple[float, float, float]]:
    """Returns centre x, y and radius of ``count`` objects that keep clear of each other.

    Args:
        count: how many.
        rng: the source of chance.
        left: two objects (a, b) such that a is beside b on its left, and all others are on b's right.
    """
    shrink = 1.0
    while True:
        placed = _try_scatter(count, rng, left, shrink)
        if placed is not None:
            return placed
        shrink *= 0.97  # a crowded scene gets slightly smaller objects rather than an endless search


def _try_scatter(
    count: int, rng: np.random.Generator, left: tuple[int, int] | None, shrink: float
) -> list[tuple[float, float, float]] | None:
    radii = [float(radius) for radius in rng.uniform(*_RADII, count) * shrink]
    placed: dict[int, tuple[float, float, float]] = {}
    order = list(range(count))
    if left is not None:
        order = [left[1], left[0], *(index for index in order if index not in left)]
    for index in order:
        radius = radii[index]
        low_x = low_y = radius + _MARGIN
        high_x = high_y = IMAGE_SIZE - radius - _MARGIN
        if left is not None:
            if index == left[1]:
                low_x = _MARGIN + 2 * radii[left[0]] + _BESIDE_GAP + radius
                # The more objects stand on the right of it, the more room they need.
                high_x = high_x if count == 2 else IMAGE_SIZE * (0.6 if count == 3 else 0.5)
            else:
                x, y, beside = placed[left[1]]
                if index == left[0]:
                    high_x = x - beside - radius - _BESIDE_GAP
                    low_y, high_y = max(low_y, y - 0.9 * beside), min(high_y, y + 0.9 * beside)
                else:
                    low_x = x + 0.5 * beside + radius
        if low_x > high_x or low_y > high_y:
            return None
        for _ in range(30):
            x, y = float(rng.uniform(low_x, high_x)), float(rng.uniform(low_y, high_y))
            if all(max(abs(x - px), abs(y - py)) >= radius + pr + _GAP for px, py, pr in placed.values()):
                placed[index] = (x, y, radius)
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
    things = [
        Thing(shape, color, round(x, 2), round(y, 2), round(radius, 2), int(rng.integers(2**31)))
        for (shape, color), (x, y, radius) in zip(kinds, _scatter(count, rng, left), strict=True)
    ]
    order = rng.permutation(count)
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
    """Returns the index of the object left of the query's subject.

    Raises:
        ValueError: none, or more than one, has its centre left of the subject's: the question is ambiguous.
    """
    subject = scene.things[subject_index(scene, query)]
    matches = [index for index, thing in enumerate(scene.things) if thing.visible and thing.x < subject.x]
    if len(matches) != 1:
        raise ValueError(f"{query} has {len(matches)} objects on the left in the scene")
    return matches[0]


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


def whole_pixel_box(thing: Thing) -> tuple[int, int, int, int]:
    """Returns the smallest box of whole pixels (x1, y1, x2, y2) that holds everything drawn of ``thing``."""
    return (
        int(np.floor(thing.x - thing.radius)),
        int(np.floor(thing.y - thing.radius)),
        int(np.ceil(thing.x + thing.radius)),
        int(np.ceil(thing.y + thing.radius)),
    )
