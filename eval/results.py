"""Result files: the answer predicted for each question, in the official form, and lists of ids.

A result file is a JSON list of ``{"question_id": ..., "answer": ...}``, plain or gzipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, write_json
from vqa_gs.data.json_files import decode, read_content, record_id
from vqa_gs.data.questions import QuestionId

_NAMED = 5


class _Result(msgspec.Struct, frozen=True, gc=False):
    question_id: QuestionId
    answer: str


class _IdFile(msgspec.Struct):
    question_ids: list[QuestionId] | dict[str, list[QuestionId]]


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
    file: StrPath | None = None,
) -> None:
    """Checks that exactly the questions of a set are answered.

    Args:
        answered: the ids that have an answer.
        question_ids: the ids of the set.
        allow_missing: let questions go unanswered.
        file: where the answers came from, for messages.

    Raises:
        DataError: an id is unknown, or a question has no answer; the message names the first few.
    """
    known = set(question_ids)
    unknown = [entry for entry in answered if entry not in known]
    if unknown:
        raise DataError(
            f"answers {len(unknown)} questions that are not in the set: {name_ids(unknown)}",
            file=file,
            mend=_other_type(unknown, known) or "use the results of the same split",
        )
    given = set(answered)
    missing = [entry for entry in question_ids if entry not in given]
    if missing and not allow_missing:
        raise DataError(
            f"{len(missing)} of {len(known)} questions have no answer: {name_ids(missing)}",
            file=file,
            mend="answer every question, or allow missing answers, which score 0",
        )


def read_results(
    path: StrPath, question_ids: Collection[QuestionId] | None = None, *, allow_missing: bool = False
) -> dict[QuestionId, str]:
    """Reads predicted answers by question id, in the file's order.

    Args:
        path: the result file.
        question_ids: the questions to be answered; None to take the file as it is.
        allow_missing: let questions go unanswered; `eval.evaluate` scores them 0.

    Raises:
        DataError: the file is missing, damaged or of another shape, answers a question twice, or its ids are
            not those of ``question_ids``; the message names the ids.
    """
    content, _ = read_content(path, "results")
    rows = decode(content, list[msgspec.Raw], file=path, expected="a list of {question_id, answer}")
    read = msgspec.json.Decoder(_Result).decode
    answers: dict[QuestionId, str] = {}
    twice: dict[QuestionId, None] = {}
    for row, raw in enumerate(rows):
        try:
            result = read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            name = record_id(raw, "question_id")
            raise DataError(
                f"{error}",
                file=path,
                record=f"row {row}" if name is None else f"question {name}",
                mend='expected {"question_id": number or string, "answer": string}',
            ) from error
        if result.question_id in answers:
            twice[result.question_id] = None
        answers[result.question_id] = result.answer
    if twice:
        # The official reader lets the last one win without a word.
        raise DataError(
            f"{len(twice)} questions are answered more than once: {name_ids(twice)}",
            file=path,
            mend="keep one answer for each question",
        )
    if question_ids is not None:
        check_ids(answers, question_ids, allow_missing=allow_missing, file=path)
    return answers


def write_results(path: StrPath, answers: Mapping[QuestionId, str]) -> None:
    """Writes predicted answers in the official form, atomically, in the mapping's order."""
    rows = [{"question_id": question_id, "answer": answer} for question_id, answer in answers.items()]
    write_json(path, rows, indent=None)


def read_id_list(path: StrPath) -> list[QuestionId]:
    """Reads question ids, such as a subset to score on its own.

    Args:
        path: JSON, plain or gzipped: a list of ids, an object whose ``question_ids`` is one, or one whose
            ``question_ids`` holds a list for each kind of question; the kinds are then joined.

    Raises:
        DataError: the file is missing, damaged, empty, of another shape, or names an id twice.
    """
    content, _ = read_content(path, "id list")
    parsed = decode(
        content,
        list[QuestionId] | _IdFile,  # type: ignore[arg-type]
        file=path,
        expected="a list of question ids",
    )
    if isinstance(parsed, list):
        ids = parsed
    elif isinstance(parsed.question_ids, list):
        ids = parsed.question_ids
    else:
        ids = [entry for listed in parsed.question_ids.values() for entry in listed]
    if not ids:
        raise DataError("holds no ids", file=path, mend="give at least one question id")
    twice = [entry for entry, count in Counter(ids).items() if count > 1]
    if twice:
        raise DataError(f"ids appear twice: {name_ids(twice)}", file=path, mend="name each question once")
    return ids


def read_pair_list(path: StrPath) -> list[tuple[QuestionId, QuestionId]]:
    """Reads a JSON list of pairs of question ids, such as VQA v2's complementary pairs.

    Raises:
        DataError: the file is missing, damaged, empty, of another shape, or pairs a question with itself.
    """
    content, _ = read_content(path, "pair list")
    pairs: list[tuple[QuestionId, QuestionId]] = decode(
        content,
        list[tuple[QuestionId, QuestionId]],
        file=path,
        expected="a list of pairs of question ids",
    )
    if not pairs:
        raise DataError("holds no pairs", file=path, mend="give at least one pair of question ids")
    for row, (one, other) in enumerate(pairs):
        if one == other:
            raise DataError(
                f"question {one!r} is paired with itself", file=path, record=f"row {row}", mend="drop the row"
            )
    return pairs


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
