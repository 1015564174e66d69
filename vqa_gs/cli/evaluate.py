"""`vqa-gs evaluate`: score predicted answers."""

from __future__ import annotations

from collections.abc import Sequence

from eval.evaluate import evaluate
from eval.results import read_id_list, read_pair_list, read_results
from vqa_gs.cli._shared import new_parser
from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import sha256_file, write_json
from vqa_gs.data.questions import read_question_set


def named_files(option: str, values: Sequence[str]) -> dict[str, str]:
    """Splits `name=file` words of a repeated option."""
    named: dict[str, str] = {}
    for value in values:
        name, equals, file = value.partition("=")
        if not equals or not name or not file:
            raise UsageError(f"{option} {value!r} is not name=file")
        named[name] = file
    return named


def run(words: Sequence[str]) -> None:
    """Scores a results file and writes metrics.json."""
    parser = new_parser("evaluate", "Score predicted answers under a named rule.")
    parser.add_argument("--questions", type=str, required=True, help="questions JSON")
    parser.add_argument("--annotations", type=str, required=True, help="annotations JSON")
    parser.add_argument("--results", type=str, required=True, help="list of {question_id, answer}")
    parser.add_argument("--out", type=str, required=True, help="the metrics file to write")
    parser.add_argument("--split", type=str, default=None, help="the split's name, for reports")
    parser.add_argument("--subset", action="append", default=[], help="name=ids.json, may be repeated")
    parser.add_argument("--pairs", action="append", default=[], help="name=pairs.json, may be repeated")
    parser.add_argument("--allow-missing", action="store_true", help="score missing answers as zero")
    given = parser.parse_args(list(words))
    questions = read_question_set(given.questions, given.annotations)
    answers = read_results(given.results, questions.question_ids, allow_missing=given.allow_missing)
    subsets = {name: read_id_list(file) for name, file in named_files("--subset", given.subset).items()}
    pairs = {name: read_pair_list(file) for name, file in named_files("--pairs", given.pairs).items()}
    metrics = evaluate(
        questions,
        answers,
        split=given.split,
        subsets=subsets,
        pairs=pairs,
        allow_missing=given.allow_missing,
    )
    metrics["sources"]["results"] = {"path": given.results, "sha256": sha256_file(given.results)}
    write_json(given.out, metrics)
    print(f"{metrics['scoring']} score: {metrics['overall']:.2f} % of {metrics['questions']:,} questions")
    for name, value in metrics["per_answer_type"].items():
        print(f"  {name:<12} {value:6.2f} %")
