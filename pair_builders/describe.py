"""What is in a pair table, as numbers and as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.ends import Ends, answer_of
from vqa_gs.pair_builders.table import ALIGNMENTS, PairTable

from vqa_gs.data.questions import QuestionSet

_BINS = 10
_LISTED = 15  # names shown as text; the dictionary has them all


def describe(
    table: PairTable, questions: QuestionSet | None = None, edited: QuestionSet | None = None
) -> dict[str, Any]:
    """Counts what a table holds, ready for JSON.

    Args:
        table: the table.
        questions: the questions its ends a are in; None: what needs them is left out.
        edited: further questions its ends b may be in.

    Returns:
        ``pairs``; ``kinds`` and ``alignments``, pairs by name; ``questions``, different ids at either end;
        ``most_pairs_of_a_question``; ``rows``: how many there are on average in a pair that has some, and
        the share with no counterpart; ``masked`` pairs; ``distance``: the bounds and counts of a histogram
        and the number of unknown ones; ``settings`` and ``sources``. With questions also
        ``known_questions`` (how many of theirs are in a pair), ``total_questions``, ``unknown_questions``
        (ids that are in neither set), ``per_question_type`` and ``per_answer_type`` (pairs, by end a), and
        ``frequent_answers`` (ends).
    """
    ids = [*table.question_a.tolist(), *table.question_b.tolist()]
    counts = Counter(ids)
    # A masked pair may have one question at both ends.
    counts.subtract(a for a, b in zip(ids, ids[len(table) :], strict=False) if a == b)
    with_rows = int((np.diff(table.first) > 0).sum())
    summary: dict[str, Any] = {
        "pairs": len(table),
        "kinds": _by_code(table.kind, table.kinds),
        "alignments": _by_code(table.alignment, ALIGNMENTS),
        "questions": len(counts),
        "most_pairs_of_a_question": max(counts.values(), default=0),
        "rows": {
            "mean": len(table.rows) / with_rows if with_rows else 0.0,
            "without_counterpart": float((table.rows < 0).any(axis=1).mean()) if len(table.rows) else 0.0,
        },
        "masked": int((np.diff(table.mask_first) > 0).sum()) if table.mask_first is not None else 0,
        "distance": _histogram(table.distance),
        "settings": table.settings,
        "sources": table.sources,
    }
    if questions is not None:
        summary |= _by_question(table, counts, Ends(questions, edited))
    return summary


def _by_code(codes: NDArray[np.uint8], names: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True))


def _histogram(distance: NDArray[np.float32]) -> dict[str, Any]:
    known = distance[~np.isnan(distance)].astype(np.float64)
    counts, bounds = np.histogram(known, bins=_BINS) if len(known) else (np.zeros(0, int), np.zeros(0))
    return {"bounds": bounds.tolist(), "counts": counts.tolist(), "unknown": len(distance) - len(known)}


def _by_question(table: PairTable, counts: Counter[Any], ends: Ends) -> dict[str, Any]:
    question_types: Counter[str] = Counter()
    answer_types: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    own: list[str | None] = [None] * len(table)
    given = own if table.answer_b is None else table.answer_b.tolist()
    for column, other_answers in ((table.question_a, own), (table.question_b, given)):
        for id, answer in zip(column.tolist(), other_answers, strict=True):
            annotation = ends.annotation(id)
            if annotation is None:
                continue
            answers[answer_of(annotation) if answer is None else answer] += 1
            if column is table.question_a:
                question_types[annotation.question_type] += 1
                answer_types[annotation.answer_type] += 1
    known = sum(id in ends for id in counts)
    return {
        "known_questions": known,
        "total_questions": len(ends),
        "unknown_questions": len(counts) - known,
        "per_question_type": dict(question_types.most_common()),
        "per_answer_type": dict(answer_types.most_common()),
        "frequent_answers": dict(answers.most_common(20)),
    }


def render(summary: dict[str, Any]) -> str:
    """Returns a description as lines of text.

    Args:
        summary: what :func:`describe` returned.
    """
    lines = [f"{summary['pairs']} pairs of {summary['questions']} questions"]
    if "total_questions" in summary:
        known, total = summary["known_questions"], summary["total_questions"]
        lines[0] += f", {known} of {total} given ({_percent(known, total)})"
        if summary["unknown_questions"]:
            lines.append(f"{summary['unknown_questions']} questions are in none of the files given")
    lines.append(f"a question is in at most {summary['most_pairs_of_a_question']}")
    lines += _table("kind", summary["kinds"], summary["pairs"])
    lines += _table("alignment", summary["alignments"], summary["pairs"])
    rows = summary["rows"]
    if rows["mean"]:
        alone = 100 * rows["without_counterpart"]
        lines.append(f"rows a pair: {rows['mean']:.1f}, {alone:.1f} % without a counterpart")
    if summary["masked"]:
        lines.append(f"masked: {summary['masked']}")
    for key, title in (("per_question_type", "question type"), ("per_answer_type", "answer type")):
        lines += _table(title, summary.get(key, {}), summary["pairs"])
    lines += _table("answer (either end)", summary.get("frequent_answers", {}), 2 * summary["pairs"])
    lines += _distances(summary["distance"])
    for kind, made in summary["settings"].items():
        lines.append(f"{kind} made with {made}")
    lines += [f"from {path} (sha256 {digest[:12]})" for path, digest in summary["sources"].items()]
    return "\n".join(lines)


def _table(title: str, counts: dict[str, int], total: int) -> list[str]:
    shown = {name: count for name, count in counts.items() if count}
    if not shown:
        return []
    listed = list(shown.items())[:_LISTED]
    width = max(len(name) for name, _ in listed)
    rows = [f"  {name:<{width}} {count:>8} {_percent(count, total):>7}" for name, count in listed]
    more = [f"  and {len(shown) - _LISTED} more"] if len(shown) > _LISTED else []
    return [f"by {title}:", *rows, *more]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _distances(distance: dict[str, Any]) -> list[str]:
    lines = []
    most = max(distance["counts"], default=0)
    if most:
        lines.append("by distance:")
        for low, high, count in zip(distance["bounds"], distance["bounds"][1:], distance["counts"], strict=False):
            lines.append(f"  {low:8.3f} to {high:8.3f} {count:>8} {'#' * round(30 * count / most)}".rstrip())
    if distance["unknown"]:
        lines.append(f"distance unknown: {distance['unknown']}")
    return lines
