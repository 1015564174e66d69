"""Result files: the answer predicted for each question, in the official form, and lists of ids.

A result file is a JSON list of ``{"question_id": ..., "answer": ...}``, or such rows a line (JSON lines), plain or
gzipped; or in GQA's form of ``{"questionId": ..., "prediction": ...}``, or in LLaVA's of ``{"question_id": ...,
"text": ...}``. A row may also hold ``score``, the probability of its answer in 0..1, ``entropy``, that of the
distribution over all answers in nats, and ``top``, the best answers with their logits; ``image_id`` where question ids
repeat.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple

import msgspec

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, write_bytes
from vqa_gs.data.gqa import is_gqa, read_gqa
from vqa_gs.data.json_files import decode, read_content, record_id
from vqa_gs.data.questions import ImageId, QuestionId

_NAMED = 5

# A sigmoid in float32 may exceed neither end; another program's rounding may, by a little.
_Probability = Annotated[float, msgspec.Meta(ge=0, le=1.000001)]
_Entropy = Annotated[float, msgspec.Meta(ge=0)]

Top = tuple[tuple[str, float], ...]
"""Some answers to a question, the best first, each with the logit whose sigmoid is its probability."""


class Result(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One row of a result file.

    Attributes:
        question_id: the question.
        answer: the predicted answer.
        score: the answer's probability, where the file says.
        entropy: of the distribution over answers, in nats, where the file says.
        image_id: the image, where question ids repeat (edited images).
        top: the best answers, where the file says.
    """

    question_id: QuestionId
    answer: str
    score: _Probability | None = None
    entropy: _Entropy | None = None
    image_id: ImageId | None = None
    top: Annotated[Top, msgspec.Meta(min_length=1)] | None = None


class _GqaResult(msgspec.Struct, frozen=True, gc=False):
    question_id: str = msgspec.field(name="questionId")
    answer: str = msgspec.field(name="prediction")


class _TextResult(msgspec.Struct, frozen=True, gc=False):
    """A row as LLaVA's scripts write it."""

    question_id: QuestionId
    answer: str = msgspec.field(name="text")
    image_id: ImageId | None = None


class Confidence(NamedTuple):
    """How sure a model was of an answer.

    Attributes:
        score: the answer's probability, 0..1.
        entropy: of the distribution over all answers in nats, None where unknown.
    """

    score: float
    entropy: float | None


class Results(NamedTuple):
    """A result file.

    Attributes:
        answers: the predicted answer by question id, in the file's order.
        confidence: by question id; None unless every row has a score.
        top: the best answers by question id; None unless every row has them.
    """

    answers: dict[QuestionId, str]
    confidence: dict[QuestionId, Confidence] | None
    top: dict[QuestionId, Top] | None = None


class _Asked(msgspec.Struct, gc=False):
    question_id: QuestionId


class _IdFile(msgspec.Struct):
    question_ids: list[QuestionId] | dict[str, list[QuestionId]] | None = None
    questions: list[_Asked] | None = None


def name_ids(ids: Iterable[QuestionId]) -> str:
    """Returns the first few ids as text, and how many more there are."""
    listed = list(ids)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(repr(entry) for entry in listed[:_NAMED]) + more


def _other_type(stray: Iterable[QuestionId], known: Collection[QuestionId]) -> str | None:
    by_text = {str(entry): type(entry) for entry in known}
    for entry in stray:
        if by_text.get(str(entry), type(entry)) is not type(entry):
            return "the ids are numbers in one file and strings in the other: write them alike"
    return None


def check_ids(
    answered: Collection[QuestionId],
    question_ids: Collection[QuestionId],
    *,
    allow_missing: bool = False,
    allow_extra: bool = False,
    file: StrPath | None = None,
) -> None:
    """Checks that exactly the questions of a set are answered.

    Args:
        answered: the ids that have an answer.
        question_ids: the ids of the set.
        allow_missing: let questions go unanswered.
        allow_extra: let other questions be answered too.
        file: where the answers came from, for messages.

    Raises:
        DataError: an id is unknown, or a question has no answer; the message names the first few.
    """
    known = set(question_ids)
    unknown = [entry for entry in answered if entry not in known]
    if unknown and not allow_extra:
        raise DataError(
            f"answers {len(unknown)} questions that are not in the set: {name_ids(unknown)}",
            file=file,
            mend=_other_type(unknown, known) or "use the results of the same split, or --allow-extra to leave them out",
        )
    given = set(answered)
    missing = [entry for entry in question_ids if entry not in given]
    if missing and not allow_missing:
        raise DataError(
            f"{len(missing)} of {len(known)} questions have no answer: {name_ids(missing)}",
            file=file,
            mend=_other_type(answered, known) or "answer every question, or --allow-missing to score them 0",
        )


def read_rows(path: StrPath) -> list[Result]:
    """Reads the rows of a result file as they are, in its order.

    Raises:
        DataError: the file is missing, damaged or of another shape; the message names the row or question.
    """
    content, _ = read_content(path, "results")
    begin = content.lstrip().partition(b"\n")[0]
    if begin[:1] == b"{" and (b'"question_id"' in begin or b'"questionId"' in begin):
        raws = [msgspec.Raw(line) for line in content.splitlines() if line.strip()]
    else:
        raws = decode(content, list[msgspec.Raw], file=path, expected="a list of {question_id, answer}")
    first = bytes(raws[0]) if raws else b""
    of_gqa = b'"questionId"' in first
    of_llava = not of_gqa and b'"text"' in first and b'"answer"' not in first
    read_official, read_gqas = msgspec.json.Decoder(Result).decode, msgspec.json.Decoder(_GqaResult).decode
    read_texts = msgspec.json.Decoder(_TextResult).decode
    key, value = ("questionId", "prediction") if of_gqa else ("question_id", "text" if of_llava else "answer")
    rows: list[Result] = []
    for row, raw in enumerate(raws):
        try:
            if of_gqa:
                result = read_gqas(raw)
                rows.append(Result(result.question_id, result.answer))
            elif of_llava:
                text = read_texts(raw)
                rows.append(Result(text.question_id, text.answer, image_id=text.image_id))
            else:
                rows.append(read_official(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            name = record_id(raw, key)
            raise DataError(
                f"{error}",
                file=path,
                record=f"row {row}" if name is None else f"question {name}",
                mend=f'expected {{"{key}": number or string, "{value}": string}}',
            ) from error
    return rows


def read_result_file(
    path: StrPath,
    question_ids: Collection[QuestionId] | None = None,
    *,
    allow_missing: bool = False,
    allow_extra: bool = False,
) -> Results:
    """Reads predicted answers, and how sure the model was of them.

    Args:
        path: the result file.
        question_ids: the questions to be answered; None to take the file as it is.
        allow_missing: let questions go unanswered; `vqa_gs.eval.evaluate` scores them 0.
        allow_extra: leave out answers to other questions.

    Raises:
        DataError: the file is missing, damaged or of another shape, answers a question twice, has scores or best
            answers for some of its rows only, or its ids are not those of ``question_ids``; the message names the ids.
    """
    rows = read_rows(path)
    answers = {row.question_id: row.answer for row in rows}
    if len(answers) < len(rows):
        # The official reader lets the last one win without a word.
        counts = Counter(row.question_id for row in rows)
        twice = [question_id for question_id, count in counts.items() if count > 1]
        raise DataError(
            f"{len(twice)} questions are answered more than once: {name_ids(twice)}",
            file=path,
            mend="keep one answer for each question",
        )
    if question_ids is not None:
        check_ids(answers, question_ids, allow_missing=allow_missing, allow_extra=allow_extra, file=path)
        if allow_extra:
            known = set(question_ids)
            answers = {question_id: answer for question_id, answer in answers.items() if question_id in known}
            rows = [row for row in rows if row.question_id in known]
    _require_all_or_none(path, rows, [row.score is not None for row in rows], "score")
    _require_all_or_none(path, rows, [row.top is not None for row in rows], "`top`")
    confidence = {
        row.question_id: Confidence(min(row.score, 1.0), row.entropy) for row in rows if row.score is not None
    }
    top = {row.question_id: row.top for row in rows if row.top is not None}
    return Results(answers, confidence or None, top or None)


def _require_all_or_none(path: StrPath, rows: Sequence[Result], have: Sequence[bool], what: str) -> None:
    if any(have) and not all(have):
        raise DataError(
            f"this row has no {what}, but others have",
            file=path,
            record=f"question {rows[have.index(False)].question_id!r}",
            mend=f"give a {what} for every answer or for none",
        )


def write_results(path: StrPath, answers: Mapping[QuestionId, str]) -> None:
    """Writes predicted answers in the official form, atomically, in the mapping's order."""
    write_rows(path, [Result(question_id, answer) for question_id, answer in answers.items()])


def write_rows(path: StrPath, rows: Iterable[Result]) -> None:
    """Writes rows atomically; what is None is left out, so that rows of answers alone have the official form.

    Raises:
        DataError: a score or entropy is not finite, as it is where a model has broken down.
    """
    rows = list(rows)
    for row in rows:
        if row.score is None and row.entropy is None and row.top is None:
            continue
        numbers = [row.score, row.entropy, *(logit for _, logit in row.top or ())]
        if not all(math.isfinite(value) for value in numbers if value is not None):
            raise DataError(
                "the score of the answer is not finite", record=f"question {row.question_id!r}", mend="train again"
            )
    write_bytes(path, msgspec.json.encode(rows) + b"\n")


def read_id_list(path: StrPath) -> list[QuestionId]:
    """Reads question ids, such as a subset to score on its own.

    Args:
        path: JSON, plain or gzipped: a list of ids; an object whose ``question_ids`` is one, or holds a list for
            each kind of question, which are then joined; or a question file, whose questions are the subset: VQA's,
            such as VQA-VS's OOD tests, or GQA's, such as GQA-OOD's head and tail.

    Raises:
        DataError: the file is missing, damaged, empty, of another shape, or names an id twice.
    """
    if is_gqa(path):
        return read_gqa(path).questions.question_ids
    content, _ = read_content(path, "id list")
    parsed = decode(
        content,
        list[QuestionId | _Asked] | _IdFile,  # type: ignore[arg-type]
        file=path,
        expected="a list of question ids",
    )
    listed = parsed if isinstance(parsed, list) else parsed.questions or parsed.question_ids
    if isinstance(listed, dict):
        listed = [entry for part in listed.values() for entry in part]
    if listed is None:
        problem = "not a list of question ids: it has neither `question_ids` nor `questions`"
        raise DataError(problem, file=path, mend="give a list of question ids")
    ids = [entry.question_id if isinstance(entry, _Asked) else entry for entry in listed]
    if not ids:
        raise DataError("holds no ids", file=path, mend="give at least one question id")
    twice = [entry for entry, count in Counter(ids).items() if count > 1]
    if twice:
        raise DataError(f"ids appear twice: {name_ids(twice)}", file=path, mend="name each question once")
    return ids


def require_known(ids: Iterable[QuestionId], known: Collection[QuestionId], what: str) -> None:
    """Checks that a list names questions of the set only.

    Args:
        ids: the list.
        known: the ids of the set.
        what: the list's name, for the message.

    Raises:
        UsageError: it names others; the message names the first few.
    """
    strays = [entry for entry in ids if entry not in known]
    if strays:
        raise UsageError(
            f"{what} names {len(strays)} questions that are not in the set: {name_ids(strays)}",
            mend=_other_type(strays, known) or "use the list of the same split",
        )
