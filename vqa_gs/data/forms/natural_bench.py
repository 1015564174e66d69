"""`natural-bench`: NaturalBench (Li et al., NeurIPS 2024), rows of two questions about two images each.

Columns as on Hugging Face: ``Index``, ``Question_0``, ``Question_1``, the four answers ``Image_0_Question_0`` ... and
``Question_Type`` (``yes_no`` or ``multiple_choice``), as JSON, JSON lines, CSV or Parquet. The question of row 12 is
``12_q0`` or ``12_q1``, the image ``12_i0`` or ``12_i1``.
"""

from __future__ import annotations

from collections.abc import Mapping

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form, own_id
from vqa_gs.data.groups import Groups, Quad
from vqa_gs.data.questions import Annotation, Answer, ImageId, Question, QuestionId, QuestionSet
from vqa_gs.data.table_rows import cell_id, cell_text, read_table_rows

_ANSWERS = {(question, image): f"Image_{image}_Question_{question}" for question in (0, 1) for image in (0, 1)}
_TYPE = ("Question_Type", "Question Type")
_COLUMNS = ("Index", "Question_0", "Question_1", *_ANSWERS.values(), *_TYPE)


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    file = files["questions"]
    rows, digest = read_table_rows(file, _COLUMNS, "rows of NaturalBench")
    questions, annotations, quads = [], [], []
    keys: dict[tuple[QuestionId, ImageId], QuestionId] = {}
    for number, row in enumerate(rows):
        index = cell_id(row, number, "Index")
        kind = cell_text(row, file, number, *_TYPE)
        members = []
        for (question, image), column in _ANSWERS.items():
            text, answer = cell_text(row, file, number, f"Question_{question}"), cell_text(row, file, number, column)
            asked, about = f"{index}_q{question}", f"{index}_i{image}"
            own = own_id(asked, about)
            if (asked, about) in keys:
                raise DataError(f"the index {index!r} stands in two rows", file=file, record=f"row {number}")
            keys[asked, about] = own
            members.append(own)
            questions.append(Question(own, about, text))
            annotations.append(Annotation(own, about, (Answer(answer, "", 1),), "", kind, answer))
        quads.append(Quad(*members))
    return AskedSet(QuestionSet(questions, annotations, {str(file): digest}), Groups(quads=quads), keys)


FORMS.register("natural-bench")(Form(_read, ("questions",), scoring="two-way"))
