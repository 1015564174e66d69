"""`vilp`: ViLP (Luo et al., 2025), rows of one question about three images: the first answer is the language's.

Columns ``question``, ``answer1`` to ``answer3``, optionally ``question_id``, as Parquet, JSON, JSON lines or CSV. A
question is a fact and what is asked about the image; the option ``mode`` is ``fact`` (ViLP-F: both) or ``prior``
(ViLP-P: what stands behind the first full stop alone, as the authors' script takes it). The images of question 7 are
``7_1`` to ``7_3``.
"""

from __future__ import annotations

from collections.abc import Mapping

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form, own_id
from vqa_gs.data.from_table import answer_type
from vqa_gs.data.groups import Groups, Triple
from vqa_gs.data.questions import Annotation, Answer, ImageId, Question, QuestionId, QuestionSet
from vqa_gs.data.table_rows import cell_id, cell_text, read_table_rows

_COLUMNS = ("question_id", "question", "answer1", "answer2", "answer3")
MODES = ("fact", "prior")


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    file, mode = files["questions"], options.get("mode", MODES[0])
    if mode not in MODES:
        raise UsageError(f"there is no mode {mode!r} of ViLP", mend=f"choose {' or '.join(MODES)}")
    rows, digest = read_table_rows(file, _COLUMNS, "rows of ViLP")
    questions, annotations, triples = [], [], []
    keys: dict[tuple[QuestionId, ImageId], QuestionId] = {}
    for number, row in enumerate(rows):
        index = cell_id(row, number, "question_id")
        text = cell_text(row, file, number, "question")
        if mode == "prior":
            parts = text.split(".")
            text = parts[1].strip() if len(parts) > 1 else text
        members = []
        for place in (1, 2, 3):
            answer, image = cell_text(row, file, number, f"answer{place}"), f"{index}_{place}"
            own = own_id(index, image)
            if (index, image) in keys:
                raise DataError(f"the question id {index!r} stands in two rows", file=file, record=f"row {number}")
            keys[index, image] = own
            members.append(own)
            questions.append(Question(own, image, text))
            annotations.append(Annotation(own, image, (Answer(answer, "", 1),), "", answer_type(answer), answer))
        triples.append(Triple(*members))
    groups = Groups(triples=triples, mode=mode)
    return AskedSet(QuestionSet(questions, annotations, {str(file): digest}), groups, keys)


FORMS.register("vilp")(Form(_read, ("questions",), options=("mode",), scoring="exact-normalized"))
