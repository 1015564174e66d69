"""The content of a world's splits: scenes, regions, questions, before anything is drawn or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vqa_gs.demo.edits import Asked, make_edits
from vqa_gs.demo.folder import image_file
from vqa_gs.demo.priors import group_by_image, plan_questions, preferred_answers
from vqa_gs.demo.questions import Query, annotation_record, question_record
from vqa_gs.demo.regions import Region, lay_regions
from vqa_gs.demo.scenes import IMAGE_SIZE, Scene, build_scene, relevant_objects
from vqa_gs.demo.settings import EDITED, FIRST_ID, SPLITS, WorldSettings

# Every image has its own stream of random numbers, told apart by these and its position.
_PRIORS, _PLAN, _IMAGE, _EDIT_PLAN, _EDIT_ANSWERS = range(5)


@dataclass
class Content:
    """One split, or the edited images.

    Attributes:
        scenes: by image.
        regions: by image.
        questions: records, by question.
        annotations: records, by question.
        asked: what each question asks, by question.
        extra: what ``scenes.json`` says of an image beside its scene, by image.
    """

    scenes: list[Scene] = field(default_factory=list)
    regions: list[list[Region]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    extra: list[dict[str, Any]] = field(default_factory=list)


def _coco_split(image_id: int) -> str:
    # In VQA-CP, too, the images of each split come from both parts of COCO.
    return "val2014" if image_id % 3 == 0 else "train2014"


def training_priors(settings: WorldSettings) -> dict[Query, str]:
    """Returns the answer that training prefers, for each query."""
    return preferred_answers(np.random.default_rng([settings.seed, _PRIORS]))


def build_split(split: str, settings: WorldSettings, preferred: Mapping[Query, str]) -> Content:
    """Builds the scenes and questions of ``train``, ``iid_val`` or ``ood_test``."""
    number = SPLITS.index(split)
    rng = np.random.default_rng([settings.seed, _PLAN, number])
    share = 1 - settings.prior_strength if split == "ood_test" else settings.prior_strength
    planned = plan_questions(settings.questions(split), preferred, share, rng)
    groups = group_by_image(planned, settings.images(split), rng)
    result = Content()
    for position, group in enumerate(groups):
        rng = np.random.default_rng([settings.seed, _IMAGE, number, position])
        image_id = FIRST_ID[split] + position
        scene = build_scene(group, rng)
        result.scenes.append(scene)
        result.regions.append(lay_regions(scene, rng))
        result.extra.append({})
        for place, (query, answer) in enumerate(group):
            question = question_record(
                query,
                image_id=image_id,
                question_id=image_id * 1000 + place,
                coco_split=_coco_split(image_id),
                rng=rng,
            )
            result.asked.append(Asked(position, len(result.questions), query))
            result.questions.append(question)
            result.annotations.append(annotation_record(query, answer, question=question, rng=rng))
    return result


def build_edits(settings: WorldSettings, train: Content) -> tuple[Content, list[list[int]]]:
    """Builds the edited images of training questions.

    Args:
        settings: the world's settings.
        train: the training split.

    Returns:
        The edited images with one question each, and the pairs [original question id, edited question id].
    """
    rng = np.random.default_rng([settings.seed, _EDIT_PLAN])
    result = Content()
    pairs: list[list[int]] = []
    for position, edit in enumerate(make_edits(settings.edits, train.scenes, train.asked, rng)):
        rng = np.random.default_rng([settings.seed, _EDIT_ANSWERS, position])
        image_id = FIRST_ID[EDITED] + position
        original = train.questions[edit.asked.question]
        # The same words: the picture alone makes the difference.
        question = {**original, "image_id": image_id, "question_id": image_id * 1000}
        regions = [
            (box, index if index is not None and edit.scene.things[index].visible else None)
            for box, index in train.regions[edit.asked.image]
        ]
        result.scenes.append(edit.scene)
        result.regions.append(regions)
        result.extra.append(
            {
                "original_image_id": original["image_id"],
                "original_question_id": original["question_id"],
                "changed": edit.changed,
            }
        )
        result.asked.append(Asked(position, position, edit.asked.query))
        result.questions.append(question)
        result.annotations.append(annotation_record(edit.asked.query, edit.answer, question=question, rng=rng))
        pairs.append([original["question_id"], question["question_id"]])
    return result, pairs


def image_records(split: str, built: Content) -> Iterator[tuple[dict[str, Any], dict[str, Any], Scene]]:
    """Yields each image's record of ``boxes.json``, its record of ``scenes.json`` and its scene."""
    for position, scene in enumerate(built.scenes):
        image_id = FIRST_ID[split] + position
        regions = built.regions[position]
        yield (
            {
                "image_id": image_id,
                "file": image_file(image_id),
                "width": IMAGE_SIZE,
                "height": IMAGE_SIZE,
                "boxes": [list(box) for box, _ in regions],
            },
            {
                "image_id": image_id,
                "split": split,
                **built.extra[position],
                **scene.to_json(),
                "regions": [index for _, index in regions],
            },
            scene,
        )


def relevant_boxes(built: Content) -> list[dict[str, Any]]:
    """Returns ``{question_id, boxes}`` of each question whose answer is read from objects: their boxes, in pixels."""
    records = []
    for asked in built.asked:
        objects = set(relevant_objects(built.scenes[asked.image], asked.query))
        boxes = [list(box) for box, index in built.regions[asked.image] if index in objects]
        if boxes:
            records.append({"question_id": built.questions[asked.question]["question_id"], "boxes": boxes})
    return records
