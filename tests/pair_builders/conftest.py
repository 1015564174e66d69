"""Small question sets and region stores, made in code."""

import numpy as np
import pytest
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet


def _question_set(rows, name="questions.json"):
    questions, annotations = [], []
    for question_id, image_id, text, given in rows:
        answers = [given] * 10 if isinstance(given, str) else given
        questions.append(Question(question_id, image_id, text))
        annotations.append(
            Annotation(
                question_id,
                image_id,
                tuple(Answer(answer, "yes", number + 1) for number, answer in enumerate(answers)),
                " ".join(text.lower().split()[:2]),
                "yes/no" if answers[0] in ("yes", "no") else "other",
                answers[0],
            )
        )
    return QuestionSet(questions, annotations, {name: "ab" * 32})


@pytest.fixture
def make_questions():
    """Makes a question set of (question id, image id, text, answer or answers, the majority first)."""
    return _question_set


@pytest.fixture
def make_store(tmp_path):
    """Makes a region store of image id -> (R, D) features or (features, boxes)."""

    def make(images, name="store.h5"):
        first = next(iter(images.values()))
        dim = np.shape(first[0] if isinstance(first, tuple) else first)[1]
        with RegionStoreWriter(tmp_path / name, dim=dim, dtype="float32", fingerprint="test") as writer:
            for image_id, given in images.items():
                features, boxes = given if isinstance(given, tuple) else (given, None)
                features = np.asarray(features, np.float32).reshape(-1, dim)
                if boxes is None:
                    boxes = np.tile([0, 0, 100, 50], (len(features), 1))
                writer.add(image_id, features, np.asarray(boxes, np.float32), (100, 50))
        return RegionStore(tmp_path / name)

    return make
