"""`vqa-gs evaluate`: score predicted answers, of one set or of a whole suite, and say what the score is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vqa_gs.cli.evaluate_suite import ANSWERS, add_suite_arguments, refuse_suite_options, run_suite
from vqa_gs.cli.evidence import add_evidence_arguments, named_files, read_evidence
from vqa_gs.cli.parsing import new_parser, require_count
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import sha256_file
from vqa_gs.common.phases import phase
from vqa_gs.data.gqa import is_gqa, read_gqa
from vqa_gs.data.questions import read_question_set
from vqa_gs.eval.analysis import analyse
from vqa_gs.eval.free_form import short_answer
from vqa_gs.eval.metrics_file import write_metrics
from vqa_gs.eval.metrics_text import summary_lines
from vqa_gs.eval.model_selection import keep_best, names_a_test, require_selectable
from vqa_gs.eval.results import read_id_list, read_result_file
from vqa_gs.eval.rules import DEFAULT_RULE, RULES
from vqa_gs.eval.runs import Source
from vqa_gs.eval.statistics import REPLICATES

_EXAMPLE = """
vqa-gs evaluate --questions Q.json --annotations A.json --results answers.json --out metrics.json
vqa-gs evaluate --suite configs/suites/vqa-v2.yaml --run runs/gs
vqa-gs evaluate --suite configs/suites/vqa-v2.yaml --results llava --answers free-form --out runs/llava
"""


def run(words: Sequence[str]) -> None:
    """Scores results files and writes metrics.json, or a suite's into a run's folder."""
    parser = new_parser("evaluate", "Score predicted answers under a named rule.", _EXAMPLE)
    add = parser.add_argument
    add("--questions", type=str, default=None, help="questions JSON; GQA's form holds the answers too")
    add("--annotations", type=str, default=None, help="annotations JSON")
    answers_in = "list of {question_id, answer}; of a suite a folder"
    add("--results", type=str, nargs="+", default=[], help=answers_in)
    add("--out", type=str, default=None, help="the metrics file to write; of a suite a folder")
    add("--answers", type=str, default=ANSWERS[0], help="free-form takes short answers out of texts")
    add("--scoring", type=str, default=None, help=f"{', '.join(RULES)}; {DEFAULT_RULE}, exact for GQA")
    add("--split", type=str, default=None, help="the split's name, for reports")
    add("--subset", action="append", default=[], help="name=ids.json, may be repeated")
    add("--allow-missing", action="store_true", help="score missing answers as zero")
    add("--allow-extra", action="store_true", help="leave out answers to other questions")
    add("--bootstrap", type=int, default=REPLICATES, help="resamplings of the intervals; 0 for none")
    add("--seed", type=int, default=0, help="of the resampling")
    add("--keep-best", action="store_true", help="of several results keep the most accurate")
    add("--test", action="store_true", help="this is a test split, whatever its name says")
    add("--i-know-this-is-test-selection", action="store_true", help="keep the best on a test split all the same")
    add("--controls", action="store_true", help="also what tricks on answers' statistics reach")
    add_evidence_arguments(parser)
    add_suite_arguments(parser)
    given = parser.parse_args(list(words))
    require_count("--bootstrap", given.bootstrap, least=0)
    if given.answers not in ANSWERS:
        raise UsageError(f"--answers {given.answers} is not known", mend=f"choose {' or '.join(ANSWERS)}")
    if given.suite is not None:
        run_suite(given)
        return
    for name in ("questions", "results", "out"):
        if not given[name]:
            raise UsageError(f"--{name} is missing", mend="give it, or --suite with --run or --results")
    refuse_suite_options(given)

    if len(given.results) > 1 and not given.keep_best:
        raise UsageError(f"{len(given.results)} results files", mend="give one, or --keep-best to choose among them")
    if given.controls and not given.train_annotations:
        raise UsageError("--controls needs the statistics of training", mend="give --train-annotations")
    is_test = given.test or names_a_test(given.split, given.questions)
    if given.keep_best:
        require_selectable(is_test, given.results, given.i_know_this_is_test_selection)
    gqa = read_gqa(given.questions) if is_gqa(given.questions) else None
    if gqa is None and given.annotations is None:
        raise UsageError("there are no answers to score against", mend="give --annotations")
    with phase("reading the questions"):
        questions = gqa.questions if gqa else read_question_set(given.questions, given.annotations)
        evidence = read_evidence(given, gqa)
    subsets = {name: read_id_list(file) for name, file in named_files("--subset", given.subset).items()}
    scored = {}
    for file in given.results:
        results = read_result_file(
            file, questions.question_ids, allow_missing=given.allow_missing, allow_extra=given.allow_extra
        )
        if given.controls and results.top is None:
            raise DataError(
                "holds no other answers than the best, which --controls choose among",
                file=file,
                mend="make it with `vqa-gs predict --scores --top-k 20`",
            )
        answers, raw = results.answers, None
        if given.answers == "free-form":
            texts = {question.question_id: question.question for question in questions.questions}
            raw, answers = answers, {key: short_answer(text, texts[key]) for key, text in answers.items()}
        metrics = analyse(
            questions,
            answers,
            ("exact" if gqa else DEFAULT_RULE) if given.scoring is None else RULES.canonical(given.scoring),
            given.split,
            subsets,
            evidence=replace(
                evidence, confidence=results.confidence, top=results.top if given.controls else None, raw=raw
            ),
            allow_missing=given.allow_missing,
            replicates=given.bootstrap,
            seed=given.seed,
        )
        metrics.sources["results"] = Source(file, sha256_file(file))
        if gqa and gqa.unbalanced:
            metrics.notes.append(f"{gqa.unbalanced:,} questions that are not balanced are left out, as GQA does")
        if evidence.restricted is not None and "fpvg" not in metrics.breakdowns:
            metrics.notes.append("no FPVG: no question has answers with relevant and with irrelevant regions")
        scored[file] = metrics
    metrics = keep_best(scored, is_test) if given.keep_best else scored[given.results[0]]
    write_metrics(given.out, metrics)
    print("\n".join(summary_lines(metrics)))
