import json

import numpy as np
import pytest
from vqa_gs.eval.breakdown import BREAKDOWNS
from vqa_gs.eval.evidence import Evidence, Scored
from vqa_gs.eval.rules import score_questions

from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet


@pytest.fixture
def scored():
    """Returns a maker of scored answers from rows (id, question type, answer type, truth, prediction)."""

    def make(rows, rule="official", **evidence):
        questions = [Question(row[0], row[0] // 10, f"{row[1]} thing?") for row in rows]
        annotations = [
            Annotation(row[0], row[0] // 10, tuple(Answer(row[3], "yes", n) for n in range(1, 11)), *row[1:4])
            for row in rows
        ]
        predictions = [row[4] for row in rows]
        scores = np.zeros(len(rows))
        known = [at for at, text in enumerate(predictions) if text is not None]
        scores[known] = score_questions([annotations[at] for at in known], [predictions[at] for at in known], rule)
        return Scored(QuestionSet(questions, annotations, {}), predictions, scores, rule, Evidence(**evidence))

    return make


def annotated(kind, truth, key=0):
    return Annotation(key, 1, (Answer(truth),), kind, "other", truth)


@pytest.fixture
def training():
    """Returns a maker of training annotations from (question type, answer, how many)."""

    def make(*counts):
        return [annotated(kind, answer) for kind, answer, count in counts for _ in range(count)]

    return make


@pytest.fixture(scope="session")
def section_of():
    """Returns what a breakdown of scored answers stands in the metrics file as, None where the data does not allow it.

    It is read back on the way, so that what is read is what was written.
    """

    def section(name, scored):
        found = BREAKDOWNS[name].of(scored)
        if found is None:
            return None
        content = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert BREAKDOWNS[name].from_json(content) == found
        return content

    return section
