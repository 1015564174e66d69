"""Answers to a test: rows of a result file brought to the ids of its questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqa_gs.eval.evidence import Restricted
from vqa_gs.eval.free_form import short_answer
from vqa_gs.eval.results import Confidence, Result, check_ids, read_rows

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import AskedSet
from vqa_gs.data.questions import QuestionId

_ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
KINDS = ("relevant", "irrelevant")


@dataclass(frozen=True)
class Answered:
    """Answers by the question ids of a test.

    Attributes:
        answers: the answers that are scored.
        confidence: probability and entropy of each; None unless all have them.
        restricted: answers from relevant and from irrelevant regions alone.
        raw: the texts as written, where short answers were taken out of them.
        source: the file they were read from, None for a run's own.
    """

    answers: Mapping[QuestionId, str]
    confidence: Mapping[QuestionId, Confidence] | None = None
    restricted: Restricted | None = None
    raw: Mapping[QuestionId, str] | None = None
    source: Path | None = None


def result_file(folder: Path, name: str) -> Path | None:
    """Returns the file of a test's results in a folder, None if there is none."""
    return next((file for ending in _ENDINGS if (file := folder / f"{name}{ending}").is_file()), None)


def by_own_id(rows: Sequence[Result], asked: AskedSet, file: StrPath | None = None) -> dict[QuestionId, Result]:
    """Brings rows to the ids of a set.

    Where ids repeat in the set's files, a row names its question by the set's own id, or by question and image; rows
    that name no image belong by place, if their question ids are those of the files, in order.

    Raises:
        DataError: a row belongs to no question, or a question is answered twice.
    """
    ids: list[QuestionId] = [row.question_id for row in rows]
    if asked.keys:
        known = set(asked.questions.question_ids)
        in_files = [question_id for question_id, _ in asked.keys]
        if ids == in_files and all(row.image_id is None for row in rows):
            ids = list(asked.keys.values())
        else:
            for place, row in enumerate(rows):
                if row.question_id not in known and row.image_id is not None:
                    ids[place] = asked.keys.get((row.question_id, row.image_id), row.question_id)
            repeating = set(in_files)
            vague = next((one for one in ids if one not in known and one in repeating), None)
            if vague is not None:
                raise DataError(
                    "this question id repeats in the set, and the row names no image of it",
                    file=file,
                    record=f"question {vague!r}",
                    mend='add "image_id" to each row, as `vqa-gs predict` does',
                )
    found = dict(zip(ids, rows, strict=True))
    if len(found) < len(ids):
        seen: set[QuestionId] = set()
        twice = next(one for one in ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        raise DataError(
            "this question is answered twice",
            file=file,
            record=f"question {twice!r}",
            mend="keep one answer for each question",
        )
    return found


def answered(
    rows: Sequence[Result],
    asked: AskedSet,
    file: Path | None = None,
    *,
    free_form: bool = False,
    allow_missing: bool = False,
    allow_extra: bool = False,
) -> Answered:
    """Returns the answers of some rows.

    Args:
        rows: the rows of a result file.
        asked: the questions.
        file: where the rows came from.
        free_form: take short answers out of the texts, see `vqa_gs.eval.free_form`.
        allow_missing: let questions go unanswered.
        allow_extra: leave out rows that belong to no question.

    Raises:
        DataError: see `by_own_id`; questions have no answer, or answers no question, and that was not allowed.
    """
    found = by_own_id(rows, asked, file)
    ids = asked.questions.question_ids
    check_ids(found, ids, allow_missing=allow_missing, allow_extra=allow_extra, file=file)
    kept = {key: found[key] for key in ids if key in found}
    answers = {key: row.answer for key, row in kept.items()}
    raw = None
    if free_form:
        texts = {question.question_id: question.question for question in asked.questions.questions}
        raw, answers = answers, {key: short_answer(text, texts[key]) for key, text in answers.items()}
    confidence = None
    if kept and all(row.score is not None for row in kept.values()):
        confidence = {key: Confidence(min(row.score or 0.0, 1.0), row.entropy) for key, row in kept.items()}
    return Answered(answers, confidence, raw=raw, source=file)


def read_restricted(folder: Path, name: str, asked: AskedSet) -> Restricted | None:
    """Reads answers from relevant and irrelevant regions alone, ``NAME.relevant.json`` and ``NAME.irrelevant.json``.

    Returns:
        None unless both are there; questions without such regions lack.
    """
    files = [result_file(folder, f"{name}.{kind}") for kind in KINDS]
    if not all(files):
        return None
    relevant, irrelevant = (
        {key: row.answer for key, row in by_own_id(read_rows(file), asked, file).items()} for file in files if file
    )
    return Restricted(relevant, irrelevant)
