"""`mmvp`: MMVP (Tong et al., CVPR 2024), ``Questions.csv`` of 300 questions whose rows 1 and 2, 3 and 4 ... are pairs.

Columns ``Index``, ``Question``, ``Options`` ("(a) Open (b) Closed"), ``Correct Answer`` ("(a)"). Question and image
bear the row's index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form
from vqa_gs.data.groups import Groups
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet
from vqa_gs.data.table_rows import cell_id, cell_text, read_table_rows

_COLUMNS = ("Index", "Question", "Options", "Correct Answer")
_LETTER = re.compile(r"\(?([A-Za-z])\)?")


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    file = files["questions"]
    rows, digest = read_table_rows(file, _COLUMNS, "questions of MMVP")
    questions, annotations = [], []
    for number, row in enumerate(rows):
        index = cell_id(row, number + 1, "Index")
        given = cell_text(row, file, number, "Correct Answer")
        letter = _LETTER.fullmatch(given)
        if not letter:
            raise DataError(f"the answer {given[:40]!r} is no option's letter", file=file, record=f"row {number}")
        text = f"{cell_text(row, file, number, 'Question')} {cell_text(row, file, number, 'Options')}"
        answer = letter.group(1).upper()
        questions.append(Question(index, index, text))
        annotations.append(Annotation(index, index, (Answer(answer, "", 1),), "", "multiple_choice", answer))
    ids = [question.question_id for question in questions]
    if len(set(ids)) < len(ids) or len(ids) % 2:
        problem = "an odd number of rows" if len(ids) % 2 else "an index stands twice"
        raise DataError(problem, file=file, mend="give the released file: its rows are pairs")
    pairs = list(zip(ids[::2], ids[1::2], strict=True))
    return AskedSet(QuestionSet(questions, annotations, {str(file): digest}), Groups(minimal_pairs=pairs))


FORMS.register("mmvp")(Form(_read, ("questions",), scoring="two-way"))
