"""Bad data given to features, pairs, evaluate and report: exit code 2, one line, nothing left behind."""

import gc
import resource
import shutil

import pytest

from tests.vqa_gs.cli.conftest import assert_refused, build_pairs, cut, new_cases, predict, read, write, write_fixed36
from vqa_gs.cli import main

CASES, case = new_cases()


# vqa-gs features


@case("nowhere.hdf5", "check the path")
def convert_missing(here):
    return ["features", "convert", str(here.folder / "nowhere.hdf5"), "--out", str(here.out)]


@case("train36.hdf5")
def convert_truncated(here):
    return ["features", "convert", str(cut(write_fixed36(here.folder, [1, 2]))), "--out", str(here.out)]


@case("train36.hdf5", "image 25", "NaN")
def convert_nan(here):
    file = write_fixed36(here.folder, [9, 25, 30], spoil=(1, 2))
    return ["features", "convert", str(file), "--out", str(here.out)]


@case("train36.hdf5", "imgid2idx")
def convert_without_index(here):
    file = write_fixed36(here.folder, [1, 2])
    (here.folder / "train36_imgid2idx.pkl").unlink()
    return ["features", "convert", str(file), "--out", str(here.out)]


@case("run.json/made", "cannot be written", "choose a writable place")
def convert_to_no_folder(here):
    file = write_fixed36(here.folder, [1, 2])
    return ["features", "convert", str(file), "--out", str(here.run / "run.json" / "made")]


@case("store.h5")
def info_truncated(here):
    return ["features", "info", str(cut(here.store))]


@case("questions.json")
def info_of_another_file(here):
    return ["features", "info", str(here.questions)]


# vqa-gs pairs


@case("nowhere.json", "check the path")
def pairs_missing_questions(here):
    here.train_questions = here.folder / "nowhere.json"
    return build_pairs(here)


@case("train_questions.json", "question 0", "no annotation", "same split")
def pairs_other_annotations(here):
    shutil.copy(here.annotations, here.train_annotations)
    return build_pairs(here)


@case("store.h5", "image 999")
def pairs_missing_image(here):
    for file in (here.train_questions, here.train_annotations):
        content = read(file)
        content[5]["image_id"] = 999
        write(file, content)
    return build_pairs(here)


@case("made", "holds no pairs", "looser settings")
def pairs_empty(here):
    content = read(here.train_questions)
    for number, question in enumerate(content):
        question["question"] = f"What is thing {number}?"
    write(here.train_questions, content)
    return build_pairs(here)


@case("pair builder", "nonsense", "same-question")
def pairs_unknown_kind(here):
    return build_pairs(here, "--kind", "nonsense")


@case("pairs.h5", "build it again")
def pairs_info_truncated(here):
    return ["pairs", "info", str(cut(here.pairs))]


@case("store.h5", "is not a pair table", "pairs build")
def pairs_info_of_a_store(here):
    return ["pairs", "info", str(here.store)]


# vqa-gs evaluate


def evaluate(here):
    words = ["evaluate", "--questions", str(here.questions), "--annotations", str(here.annotations)]
    return [*words, "--results", str(here.results), "--out", str(here.out)]


@case("nowhere.json", "check the path")
def evaluate_missing_results(here):
    here.results = here.folder / "nowhere.json"
    return evaluate(here)


@case("results.json", "fetch it again")
def evaluate_truncated_results(here):
    cut(here.results)
    return evaluate(here)


@case("results.json", "2004", "have no answer")
def evaluate_unanswered(here):
    content = [entry for entry in read(here.results) if entry["question_id"] != 2004]
    write(here.results, content)
    return evaluate(here)


@case("annotations.json", "question 2002", "same release")
def evaluate_other_image(here):
    content = read(here.annotations)
    content[2]["image_id"] = 5
    write(here.annotations, content)
    return evaluate(here)


@case("questions.json", "question 2006")
def evaluate_bad_record(here):
    content = read(here.questions)
    content[6]["question"] = 12
    write(here.questions, content)
    return evaluate(here)


@case("run.json/made", "choose a writable place")
def evaluate_into_no_folder(here):
    here.out = here.run / "run.json" / "made"
    return evaluate(here)


# vqa-gs report


def report(here):
    return ["report", str(here.run), "--out", str(here.out.with_suffix(".html"))]


@case("nowhere")
def report_missing_run(here):
    here.run = here.folder / "nowhere"
    return report(here)


@case("run", "metrics")
def report_without_metrics(here):
    shutil.rmtree(here.run / "metrics")
    return report(here)


@case("ood_test.json")
def report_truncated_metrics(here):
    cut(here.run / "metrics" / "ood_test.json")
    return report(here)


@case("run.json/made.html", "choose a writable place")
def report_into_no_folder(here):
    here.out = here.run / "run.json" / "made"
    return report(here)


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(here, capfd, name):
    assert_refused(here, capfd, *CASES[name])


FULL = {
    "convert": lambda here: [
        *["features", "convert", str(write_fixed36(here.folder, range(40))), "--out", str(here.out)],
    ],
    "pairs": build_pairs,
    "predict": predict,
    "evaluate": evaluate,
    "report": report,
}


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("limit", [0, 300, 5000])
@pytest.mark.parametrize("name", FULL)
def test_full_disk_is_one_line_and_leaves_nothing(here, capsys, name, limit):
    words = FULL[name](here)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        code = main(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    if code == 0:
        assert limit > 0  # small enough to fit
        return
    assert code == 2
    assert error.count("\n") == 1
    assert f"{here.out}" in error
    assert "cannot be written" in error
    assert list(here.out.parent.iterdir()) == []
    gc.collect()
