from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vqa_gs.demo.world import World, WorldSettings, write_world

SMALL = WorldSettings(train_images=160, iid_val_images=60, ood_test_images=60, edits=60, seed=3)


class Loaded:
    """A world with its files read, by id."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.splits = ("train", "iid_val", "ood_test", "edited")
        self.questions = {split: self.read(world.questions(split)) for split in self.splits}
        self.annotations = {split: self.read(world.annotations(split)) for split in self.splits}
        self.pairs = self.read(world.edited_pairs)
        self.boxes = {record["image_id"]: record for record in self.read(world.boxes)}
        self.scenes = {record["image_id"]: record for record in self.read(world.scenes)}
        self.by_question = {
            question["question_id"]: (question, annotation)
            for split in self.splits
            for question, annotation in zip(self.questions[split], self.annotations[split], strict=True)
        }

    @staticmethod
    def read(path: Path) -> Any:
        return json.loads(path.read_text("utf-8"))


def _read_answer(question: str, things: list[dict[str, Any]]) -> str:
    """Answers a worded question from the objects of scenes.json; shares no code with the generator."""
    things = [thing for thing in things if thing["visible"]]
    words = re.findall(r"[a-z]+", question.lower())

    def named(attribute: str) -> list[dict[str, Any]]:
        return [
            t for t in things if t[attribute] in words or t[attribute] + "s" in words or t[attribute] + "es" in words
        ]

    if question.startswith("What color is the"):
        (only,) = named("shape")
        return str(only["color"])
    if question.startswith("What shape is the"):
        (only,) = named("color")
        return str(only["shape"])
    if question.startswith("Is there a"):
        return "yes" if named("shape") else "no"
    if question.startswith("How many"):
        return str(len(named("shape")))
    assert question.startswith("What is left of the")
    (only,) = named("shape")
    assert all(t is only or abs(t["x"] - only["x"]) >= 5 for t in things), "neither left nor right"
    left = sorted(
        (t for t in things if t["x"] < only["x"]),
        key=lambda t: (t["x"] - only["x"]) ** 2 + (t["y"] - only["y"]) ** 2,
    )
    nearest, *farther = left
    assert nearest["x"] + nearest["radius"] + 4.9 < only["x"] - only["radius"], "beside, with a gap"
    assert abs(nearest["y"] - only["y"]) <= only["radius"], "in the same row"
    for other in farther:
        assert abs(other["y"] - only["y"]) > other["radius"] + only["radius"], "nothing else in the row"
    return str(nearest["shape"])


@pytest.fixture(scope="session")
def read_answer() -> Callable[[str, list[dict[str, Any]]], str]:
    return _read_answer


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"), SMALL)


@pytest.fixture(scope="session")
def small(small_world: World) -> Loaded:
    return Loaded(small_world)
