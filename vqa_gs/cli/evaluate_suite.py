"""`vqa-gs evaluate --suite`: a run, or results of any system, on every test of a suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import Namespace

from vqa_gs.cli.parsing import Parser, require_count
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.eval.breakdown import ordered_breakdowns, shown
from vqa_gs.eval.results import read_rows
from vqa_gs.eval.suite.answers import Answered, answered, read_restricted, result_file
from vqa_gs.eval.suite.evaluate import Outcome, Settings, evaluate_suite
from vqa_gs.eval.suite.loaded import LoadedTest
from vqa_gs.eval.suite.spec import Suite, read_suite

ANSWERS = ("as-written", "free-form")
_DEFAULTS = {"device": "auto", "batch_size": 512}
_OF_SUITES = ("run", "data_dir", "features", "allow_other_features")
# What belongs to the test of one set; a suite says it in its file.
_OF_ONE = [
    "questions",
    "annotations",
    "scoring",
    "split",
    "subset",
    "keep_best",
    "test",
    "i_know_this_is_test_selection",
    "controls",
    "pairs",
    "train_annotations",
    "in_domain",
    "counterexamples",
    "hard",
    "edited_kind",
    "edited_questions",
    "edited_annotations",
    "edited_results",
    "grounding",
    "hints",
    "relevant_boxes",
]


def add_suite_arguments(parser: Parser) -> None:
    """Adds the options of suites."""
    add = parser.add_argument
    add("--suite", type=str, default=None, help="a suite file, such as configs/suites/vqa-v2.yaml")
    add("--run", type=str, default=None, help="the run that answers; else --results FOLDER")
    add("--data-dir", type=str, default=None, help="folder of its files; else VQA_DATA")
    add("--features", type=str, default=None, help="region store, if not the run's own")
    add("--allow-other-features", action="store_true", help="accept features made otherwise than the run's")
    add("--device", type=str, default=_DEFAULTS["device"], help="auto, cpu, cuda or cuda:n")
    add("--batch-size", type=int, default=_DEFAULTS["batch_size"], help="questions at once")
    parser.titled("a suite of tests", "suite", *_OF_SUITES, "device", "batch_size")


def refuse_suite_options(given: Namespace) -> None:
    """Refuses options that mean nothing without a suite."""
    for name in (*_OF_SUITES, *_DEFAULTS):
        if (given[name] or None) != _DEFAULTS.get(name):
            raise UsageError(f"--{name.replace('_', '-')} goes with --suite", mend="give --suite, or leave it out")


def run_suite(given: Namespace) -> None:
    """Evaluates a suite as the options say."""
    odd = [name for name in _OF_ONE if given[name]]
    if odd:
        raise UsageError(f"--{odd[0].replace('_', '-')} is told by the suite file", mend="leave it out, or --suite")
    if (given.run is None) == (not given.results):
        raise UsageError("a suite is put to a run, or to a folder of results", mend="give --run or --results")
    if len(given.results) > 1:
        raise UsageError("several folders of results", mend="evaluate one after the other")
    if given.run is not None and given.answers != ANSWERS[0]:
        raise UsageError("--answers free-form is for texts of other systems", mend="give --results")
    require_count("--batch-size", given.batch_size)
    suite = read_suite(given.suite, given.data_dir)
    settings = Settings(given.allow_missing, given.bootstrap, given.seed, given.answers == "free-form")
    if given.run is not None:
        how = given.batch_size, given.features, given.allow_other_features
        evaluate_run(suite, given.run, Path(given.out or given.run), given.device, *how, settings=settings)
        return
    if given.out is None:
        raise UsageError("--out is missing", mend="name a folder for metrics and predictions")
    folder = Path(given.results[0])
    if not folder.is_dir():
        raise DataError("is no folder", file=folder, mend="--results of a suite is a folder with a file for each test")

    def ask_folder(test: LoadedTest) -> Answered | None:
        file = result_file(folder, test.name)
        if file is None:
            return None
        found = answered(
            read_rows(file),
            test.asked,
            file,
            free_form=settings.free_form,
            allow_missing=given.allow_missing,
            allow_extra=given.allow_extra,
        )
        return replace(found, restricted=read_restricted(folder, test.name, test.asked))

    tell(evaluate_suite(suite, ask_folder, Path(given.out), settings))


def evaluate_run(
    suite: Suite,
    run: StrPath,
    out: Path,
    device: str = "auto",
    batch_size: int = 512,
    features: str | None = None,
    allow_other_features: bool = False,
    *,
    settings: Settings | None = None,
) -> None:
    """Puts a suite to a finished run and tells what came out."""
    from vqa_gs.tasks.vqa.suite import RunAnswers
    from vqa_gs.tasks.vqa.trained import TrainedModel
    from vqa_gs.training.opened import load

    model = load(run, device)
    if not isinstance(model, TrainedModel):
        raise UsageError(f"{run} learnt the task {model.settings.task}; suites are of visual questions")
    ask = RunAnswers(model, batch_size, features, allow_other_features, keep_in=out)
    outcome = evaluate_suite(suite, ask, out, settings)
    if ask.taken:
        print(f"answers of before are taken, nothing they depend on has changed: {', '.join(ask.taken)}")
    tell(outcome)


def tell(outcome: Outcome) -> None:
    """Prints a line a score, the rule beside each, and a line for whatever was left out."""
    record = outcome.record
    print(record.title)
    for test in record.tests:
        for split in test.splits:
            metrics = outcome.metrics[split]
            rule, count = metrics.scoring, f"{metrics.questions:,} questions"
            side = "in-domain" if test.side == "in" else "OOD"
            print(f"  {test.title}, {side}: {shown(metrics.overall).strip()} % of {count} ({rule})")
            for name, part in metrics.subsets.items():
                print(f"    {name}: {shown(part.overall).strip()} % of {part.questions:,} questions ({rule})")
            for kind in ordered_breakdowns():
                section = metrics.breakdown(kind)
                if section is not None and section.on_card():
                    for line in section.lines(rule):
                        print(f"    {line}")
            for note in metrics.notes:
                print(f"    note: {note}")
    for note in record.notes:
        print(f"note: {note}")
    for reason in record.left_out:
        print(f"left out: {reason}")
    print(f"{outcome.folder}: metrics of {len(outcome.metrics)} splits; vqa-gs report --card {outcome.folder}")
