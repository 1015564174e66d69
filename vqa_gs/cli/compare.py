"""`vqa-gs compare A B`: two systems on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from vqa_gs.cli.parsing import new_parser, require_count
from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import write_json
from vqa_gs.common.terminal import page
from vqa_gs.data.gqa import is_gqa, read_gqa
from vqa_gs.data.questions import QuestionSet, read_question_set
from vqa_gs.eval.compare import System, compare
from vqa_gs.eval.compare_text import TOP_TYPES, comparison_lines, comparison_table
from vqa_gs.eval.evaluate import subset_rows
from vqa_gs.eval.results import read_id_list, read_result_file
from vqa_gs.eval.rules import DEFAULT_RULE, RULES
from vqa_gs.eval.run_files import split_files
from vqa_gs.eval.statistics import PERMUTATIONS, REPLICATES


def _members(word: str) -> list[Path]:
    return [Path(part) for part in word.split(",") if part]


def _questions(given: Any, runs: list[Path]) -> tuple[QuestionSet, str]:
    """Reads the questions that are given, or those the runs were tested on; and says which rule they go with."""
    if given.questions:
        if is_gqa(given.questions):
            return read_gqa(given.questions).questions, "exact"
        if not given.annotations:
            raise UsageError("there are no answers to score against", mend="give --annotations")
        return read_question_set(given.questions, given.annotations), DEFAULT_RULE
    folders = [run for run in runs if run.is_dir()]
    if not folders:
        raise UsageError("results files do not say what they answer", mend="give --questions and --annotations")
    files = [split_files(folder, given.split) for folder in folders]
    for folder, other in zip(folders, files, strict=True):
        if other != files[0]:
            raise UsageError(
                f"{folders[0]} and {folder} differ in the files or the rule of {given.split}",
                mend="give --questions, --annotations and --scoring",
            )
    return read_question_set(files[0].questions, files[0].annotations), files[0].scoring


def run(words: Sequence[str]) -> None:
    """Prints differences by type, intervals, tests and the questions that changed most."""
    parser = new_parser("compare", "Compare two systems on the same questions.", "vqa-gs compare runs/gs runs/baseline")
    add = parser.add_argument
    add("a", type=str, help="run directory or results file; several seeds of one arm with commas between")
    add("b", type=str, help="the other, likewise")
    add("--split", type=str, default="ood_test", help="the split, of run directories")
    add("--questions", type=str, default=None, help="questions JSON; those of the runs when left out")
    add("--annotations", type=str, default=None, help="annotations JSON")
    add("--subset", type=str, default=None, help="compare on these question ids alone, a JSON list")
    add("--top-types", type=int, default=TOP_TYPES, help="question types to print, those with most questions")
    add("--scoring", type=str, default=None, help=", ".join(RULES))
    add("--allow-missing", action="store_true", help="score missing answers as zero")
    add("--allow-extra", action="store_true", help="leave out answers to other questions")
    add("--bootstrap", type=int, default=REPLICATES, help="resamplings of the intervals")
    add("--permutations", type=int, default=PERMUTATIONS, help="swaps of the tests")
    add("--seed", type=int, default=0, help="of resamplings and swaps")
    add("--out", type=str, default=None, help="JSON file to write the comparison to")
    given = parser.parse_args(list(words))
    if given.top_types < 1:
        raise UsageError(f"--top-types {given.top_types} prints nothing", mend="give 1 or more")
    require_count("--bootstrap", given.bootstrap)
    require_count("--permutations", given.permutations)
    sides = [_members(given.a), _members(given.b)]
    questions, rule = _questions(given, [*sides[0], *sides[1]])
    asked = questions.question_ids
    if given.subset:
        questions = questions.subset(subset_rows(questions, given.subset, read_id_list(given.subset)))
    wanted, systems = set(questions.question_ids), []
    for word, members in zip((given.a, given.b), sides, strict=True):
        files = [path / "predictions" / f"{given.split}.json" if path.is_dir() else path for path in members]
        read = [
            read_result_file(file, asked, allow_missing=given.allow_missing, allow_extra=given.allow_extra).answers
            for file in files
        ]
        answers = [{key: answer for key, answer in part.items() if key in wanted} for part in read]
        systems.append(System(word, answers))
    a, b = systems
    comparison = compare(
        questions,
        a,
        b,
        rule if given.scoring is None else RULES.canonical(given.scoring),
        replicates=given.bootstrap,
        permutations=given.permutations,
        seed=given.seed,
        allow_missing=given.allow_missing,
    )
    if given.out:
        write_json(given.out, comparison)
    console = page(160)
    console.print(comparison_table(comparison, given.top_types, console.width))
    for line in comparison_lines(comparison):
        console.print(Text(line))
