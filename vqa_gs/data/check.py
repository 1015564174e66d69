"""What a set of questions holds, whether its images have features, and which published set it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from vqa_gs.common.errors import UsageError
from vqa_gs.data.known_sets import recognise
from vqa_gs.data.questions import UNKNOWN_TYPE, Annotation, ImageId, Question, QuestionSet
from vqa_gs.data.targets import soft_targets
from vqa_gs.data.vocabulary import AnswerVocabulary

# The count at which the papers' vocabularies are cut.
PUBLISHED_MIN_QUESTIONS = 9
# The answers to a question that the official score is made for.
_OFFICIAL = 10


@dataclass
class DataCheck:
    """What was found of a set of questions.

    Attributes:
        questions: how many.
        images: how many images they are about.
        answers: how many human answers they have; None without annotations.
        answer_types: percent of the questions by answer type.
        question_types: how many question types there are.
        halves: questions by the half of COCO that their images are in, where the file says so.
        repeated: questions whose id an earlier one has, as those about edited images do; training refuses them.
        without_type: how many questions have an empty question type, or none.
        vocabulary: majority answers of at least ``min_questions`` questions, of the training annotations if given.
        min_questions: the count an answer needs.
        upper_bound: the accuracy that always answering the best answer of the vocabulary would have, in percent, by
            the official table of 0, .3, .6, .9 and 1; None where there are not ten answers to a question.
        missing: images without features, None where no features were given.
        missing_note: what the missing images have in common.
        unused: images with features that no question is about.
        recognised: which published set it is, a sentence.
    """

    questions: int
    images: int
    answers: int | None = None
    answer_types: dict[str, float] = field(default_factory=dict)
    question_types: int | None = None
    halves: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    without_type: int | None = None
    vocabulary: int | None = None
    min_questions: int = PUBLISHED_MIN_QUESTIONS
    upper_bound: float | None = None
    missing: list[ImageId] | None = None
    missing_note: str = ""
    unused: int | None = None
    recognised: str = ""


def check_data(
    questions: QuestionSet,
    stored: Collection[ImageId] | None = None,
    train: Sequence[Annotation] | None = None,
    min_questions: int = PUBLISHED_MIN_QUESTIONS,
) -> DataCheck:
    """Looks a set of questions through.

    Args:
        questions: with or without annotations.
        stored: the images that have features.
        train: the training annotations, where the questions are not training's own: vocabularies come from training.
        min_questions: an answer enters the vocabulary with so many distinct questions.

    Raises:
        DataError: a question has no answers.
    """
    images = set(questions.image_ids)
    found = DataCheck(len(questions), len(images), min_questions=min_questions)
    found.halves = dict(Counter(one.coco_split for one in questions.questions if one.coco_split).most_common())
    found.repeated = len(questions) - len(set(questions.question_ids))
    annotations = questions.annotations
    published: int | None = None
    if annotations is not None:
        total = len(annotations)
        counts = Counter(annotation.answer_type for annotation in annotations)
        found.answers = sum(len(annotation.answers) for annotation in annotations)
        found.answer_types = {name: 100 * count / total for name, count in counts.most_common()}
        found.question_types = len({annotation.question_type for annotation in annotations})
        found.without_type = sum(annotation.question_type.strip() in ("", UNKNOWN_TYPE) for annotation in annotations)
        known = _vocabulary(annotations if train is None else train, min_questions)
        if known is not None:
            found.vocabulary = len(known)
            if all(len(annotation.answers) == _OFFICIAL for annotation in annotations):
                found.upper_bound = upper_bound(annotations, known)
        if train is None and min_questions == PUBLISHED_MIN_QUESTIONS:
            published = found.vocabulary
    if stored is not None:
        found.missing = [image for image in dict.fromkeys(questions.image_ids) if image not in stored]
        found.missing_note = missing_half(questions.questions, set(found.missing))
        found.unused = sum(image not in images for image in stored)
    bound = found.upper_bound if train is not None and min_questions == PUBLISHED_MIN_QUESTIONS else None
    found.recognised = recognise(found.questions, found.answer_types, published, bound, found.images)
    return found


def _vocabulary(annotations: Sequence[Annotation], min_questions: int) -> AnswerVocabulary | None:
    try:
        return AnswerVocabulary.build(annotations, min_questions)
    except UsageError:  # too few questions for any answer
        return None


def upper_bound(annotations: Sequence[Annotation], vocabulary: AnswerVocabulary) -> float:
    """Returns the accuracy that the best known answer of every question would have, in percent."""
    targets = soft_targets(annotations, vocabulary)
    best = np.zeros(len(targets))
    row = np.repeat(np.arange(len(targets)), np.diff(targets.first))
    np.maximum.at(best, row, targets.score)
    return 100 * float(best.mean())


def missing_half(questions: Sequence[Question], missing: Collection[ImageId]) -> str:
    """Says whether a whole half of COCO has no features while the other has; empty where that is not so.

    VQA-CP draws both its splits from train2014 and val2014, so a store of one half serves neither.
    """
    if not missing:
        return ""
    there = {question.coco_split for question in questions if question.image_id not in missing}
    lacking = {question.coco_split for question in questions if question.image_id in missing} - there - {None}
    if len(lacking) != 1 or not there - {None}:
        return ""
    return f"no image of {lacking.pop()} has: extract or convert both halves into one store"
