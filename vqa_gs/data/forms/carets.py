"""`carets`: a test of CARETS (Jimenez et al., ACL 2022): questions in pairs.

Rows ``{img_id, sent, question_id, label: {answer: score}, question_type ...}``, flat or as lists of two. In the
authors' files ids tell what belongs together (``carets/dataset.py``): an id of three parts between hyphens is an
original, the same with a fourth part is that question put otherwise. Where no id is so, rows are pairs in order.
The option ``consistency`` says what the two answers have to be: ``invariance`` (equal), ``directional`` (different),
``ontological`` (equal where the first is right).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

import msgspec

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form, with_own_ids
from vqa_gs.data.groups import ContrastKind, Groups
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import UNKNOWN_TYPE, Annotation, Answer, ImageId, Question, QuestionId, QuestionSet

_ORIGINAL = 3  # parts of an original's id
_SHAPE = "a list of {img_id, sent, question_id, label} in pairs"


class _Record(msgspec.Struct):
    img_id: ImageId
    sent: str
    question_id: QuestionId
    label: dict[str, float]
    question_type: str | None = None


def _records(file: StrPath) -> tuple[list[_Record], str]:
    content, digest = read_content(file, "questions of CARETS")
    raws = decode(content, list[msgspec.Raw], file=file, expected=_SHAPE)
    decoder = msgspec.json.Decoder(_Record | tuple[_Record, _Record])
    records: list[_Record] = []
    for row, raw in enumerate(raws):
        try:
            found = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{error}", file=file, record=f"row {row}", mend=f"expected {_SHAPE}") from error
        records += found if isinstance(found, tuple) else (found,)
    return records, digest


def _pairs_by_id(records: list[_Record], file: StrPath) -> list[tuple[int, int]] | None:
    """Returns the rows of each original and of the question made of it, None where ids do not tell.

    Of several that are made of one original the last counts, as one counts in the authors' code.

    Raises:
        DataError: rows belong together neither by ids nor two by two.
    """
    parts = [str(record.question_id).split("-") for record in records]
    row = {tuple(found): at for at, found in enumerate(parts) if len(found) == _ORIGINAL}
    made = {tuple(found[:-1]): at for at, found in enumerate(parts) if len(found) == _ORIGINAL + 1}
    if made:
        paired = row.keys() & made.keys()
        alone = next((at for at, found in enumerate(parts) if tuple(found[:_ORIGINAL]) not in paired), None)
        if alone is not None:
            raise DataError(
                "this question has no partner: ids are a-b-c and a-b-c-d",
                file=file,
                record=f"question {records[alone].question_id!r}",
            )
        return [(row[key], made[key]) for key in row]
    if not records or len(records) % 2:
        raise DataError(f"{len(records)} questions, which are no pairs", file=file, mend=f"expected {_SHAPE}")
    return None


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    kind = options.get("consistency", "")
    if kind not in get_args(ContrastKind):
        raise UsageError(
            f"the consistency of a test of CARETS is {kind or 'not said'}",
            mend=f"set `consistency` to {', '.join(get_args(ContrastKind))}",
        )
    records, digest = _records(files["questions"])
    questions: list[Question] = []
    annotations: list[Annotation] = []
    # A question may stand in several pairs; it is asked once.
    place: dict[tuple[QuestionId, ImageId], int] = {}
    for record in records:
        right = tuple(Answer(answer, "", at) for at, (answer, score) in enumerate(record.label.items(), 1) if score > 0)
        where = f"question {record.question_id!r}"
        if not right:
            raise DataError("this question has no answer that is right", file=files["questions"], record=where)
        best = max(record.label, key=lambda answer: record.label[answer])
        question = Question(record.question_id, record.img_id, record.sent)
        at = place.setdefault((record.question_id, record.img_id), len(questions))
        if at < len(questions):
            if questions[at] != question or annotations[at].answers != right:
                raise DataError(
                    "this question stands twice, each time otherwise", file=files["questions"], record=where
                )
            continue
        questions.append(question)
        annotations.append(
            Annotation(record.question_id, record.img_id, right, record.question_type or UNKNOWN_TYPE, "other", best)
        )
    asked = with_own_ids(QuestionSet(questions, annotations, {str(files["questions"]): digest}))
    ids = asked.questions.question_ids
    ends = [ids[place[record.question_id, record.img_id]] for record in records]
    named = _pairs_by_id(records, files["questions"])
    pairs = list(zip(ends[::2], ends[1::2], strict=True)) if named is None else [(ends[a], ends[b]) for a, b in named]
    groups = Groups(contrasts=pairs, contrast_kind=cast(ContrastKind, kind))
    return AskedSet(asked.questions, groups, asked.keys)


FORMS.register("carets")(Form(_read, ("questions",), options=("consistency",), scoring="one-of"))
