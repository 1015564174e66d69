"""A suite put to a run and to results of other systems, through the command line."""

import json
import shutil
from pathlib import Path

import h5py
import pytest
import yaml
from vqa_gs.eval.metrics_file import read_metrics
from vqa_gs.eval.suite.spec import read_suite
from vqa_gs.eval.suite_record import read_record

from tests.fuzz.seeds import settings, write_questions, write_store
from vqa_gs.cli import main

SUITES = sorted((Path(__file__).resolve().parents[3] / "configs" / "suites").glob("*.yaml"))
FILES = {"questions": "questions.json", "annotations": "annotations.json"}
SUITE = {
    "title": "small",
    "notes": ["Mind the gap."],
    "tests": {
        "inside": {**FILES, "side": "in", "title": "inside"},
        "ood": {
            **FILES,
            "side": "ood",
            "rules": ["official", "min-n-over-3"],
            "subsets": {"first": "first.json", "second": "second.json", "absent": ["no.json", "nor.json"]},
            "means": {"mean of two": ["first", "second"], "mean of three": ["first", "absent"]},
            "pairs": {"complementary": "pairs.json"},
            "counterexamples": "first.json",
            "hard": "hard.json",
            "relevant_boxes": "boxes.json",
            "published": "vqa-cp-v2",
        },
        "twins": {**FILES, "side": "ood", "twins": True, "of": "ood"},
        "gone": {"questions": "gone.json", "annotations": "gone.json", "side": "ood"},
    },
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Twelve questions of two answers with regions, lists of some, a suite of them, and a run trained for one epoch."""
    folder = tmp_path_factory.mktemp("world")
    write_questions(folder)
    write_store(folder / "store.h5")
    lists = {"first": [0, 1, 2, 3], "second": [4, 5, 6], "hard": [9], "pairs": [[0, 1], [2, 3]]}
    # The regions of every image are its boxes (0, 0, 9, 9): relevant to the first six, irrelevant to the others.
    boxes = [[[0, 0, 9, 9]]] * 6 + [[[15, 15, 19, 19]]] * 6
    lists["boxes"] = [{"question_id": key, "boxes": some} for key, some in enumerate(boxes)]
    for name, content in lists.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE, sort_keys=False))
    config = settings(folder)
    config["data"]["tests"] = {}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["train", "--config", str(folder / "config.yaml"), "--out", str(folder / "run")]
    assert main([*words, "--suite", str(folder / "suite.yaml"), "--data-dir", str(folder)]) == 0
    return folder


def evaluate(world, *words):
    return main(
        ["evaluate", "--suite", str(world / "suite.yaml"), "--data-dir", str(world), "--bootstrap", "200", *words]
    )


def test_training_takes_the_suite_for_its_tests(world):
    record = read_record(world / "run/suites/suite.json")
    assert [(test.title, test.side, test.splits) for test in record.tests] == [
        ("inside", "in", ["inside"]),
        ("ood", "ood", ["ood", "ood_min-n-over-3"]),
        ("twins", "ood", ["twins"]),
    ]
    assert record.left_out == [
        f"the subset absent of ood: {world / 'no.json'} (nor nor.json) is not there",
        "ood: no mean of three, for lack of absent",
        f"gone: {world / 'gone.json'} is not there",
    ]
    metrics = read_metrics(world / "run/metrics/ood.json")
    assert (metrics.domain, metrics.form, metrics.scoring) == ("ood", "vqa", "official")
    assert set(metrics.subsets) == {"first", "second"}
    assert {"subset_means", "vqa_ce", "pair_consistency"} <= set(metrics.breakdowns)
    means = metrics.breakdowns["subset_means"].means
    both = [metrics.subsets[name].overall for name in ("first", "second")]
    assert list(means) == ["mean of two"]
    assert means["mean of two"].accuracy == pytest.approx(sum(both) / 2)
    assert read_metrics(world / "run/metrics/ood_min-n-over-3.json").scoring == "min-n-over-3"
    # No image has regions of both kinds: nothing can be said of grounding, and nothing is.
    assert "fpvg" not in metrics.breakdowns
    twins = read_metrics(world / "run/metrics/twins.json").breakdowns["rad"]
    assert (twins.twins, twins.rad) == (12, 100.0)  # the same questions again


@pytest.fixture
def asked(monkeypatch):
    """How many questions a run is asked, call by call."""
    from vqa_gs.tasks.vqa.trained import TrainedModel

    counts = []
    results = TrainedModel.results
    monkeypatch.setattr(
        TrainedModel,
        "results",
        lambda self, questions, *rest, **named: (
            counts.append(len(questions)) or results(self, questions, *rest, **named)
        ),
    )
    return counts


def contents(folder):
    return {file.name: file.read_bytes() for part in ("metrics", "predictions") for file in (folder / part).iterdir()}


def test_a_run_is_asked_once_for_each_set(world, asked, capsys):
    assert evaluate(world, "--run", str(world / "run"), "--batch-size", "7") == 0
    assert asked == [12, 12, 6, 6, 12]  # with both kinds of regions once more, where boxes tell them
    said = capsys.readouterr().out
    assert "ood, OOD: 50.00 % of 12 questions (official)" in said
    assert "ood, OOD: 50.00 % of 12 questions (min-n-over-3)" in said
    assert "note: Mind the gap." in said
    assert f"left out: gone: {world / 'gone.json'} is not there" in said
    # What training wrote beside is kept: the same answers are scored.
    assert read_metrics(world / "run/metrics/ood.json").overall == 50.0


TAKEN = "answers of before are taken, nothing they depend on has changed: "


def test_answers_whose_inputs_are_the_same_are_taken(world, tmp_path, asked, capsys):
    run = tmp_path / "run"
    shutil.copytree(world / "run", run)
    shutil.rmtree(run / "suites")
    for file in ("questions.json", "annotations.json", "store.h5", "boxes.json", "suite.yaml", "first.json"):
        shutil.copy(world / file, tmp_path)
    for file in ("second.json", "hard.json", "pairs.json"):
        shutil.copy(world / file, tmp_path)

    def again():
        asked.clear()
        capsys.readouterr()
        assert evaluate(tmp_path, "--run", str(run), "--features", str(tmp_path / "store.h5")) == 0
        told = [line for line in capsys.readouterr().out.splitlines() if line.startswith(TAKEN)]
        return list(asked), told

    assert again() == ([12, 12, 6, 6, 12], [])
    before = contents(run)
    assert again() == ([], [f"{TAKEN}inside, ood, twins"])
    assert contents(run) == before
    # One question less is another set of questions for all tests; boxes matter to one of them.
    boxes = json.loads((tmp_path / "boxes.json").read_text())
    (tmp_path / "boxes.json").write_text(json.dumps(boxes[:-1]))
    assert again() == ([12, 6, 5], [f"{TAKEN}inside, twins"])
    # What is damaged is computed again.
    kept = run / "suites/answers/twins.json"
    kept.write_bytes(kept.read_bytes()[:-20])
    assert again() == ([12], [f"{TAKEN}inside, ood"])
    # The same features under another hash.
    with h5py.File(tmp_path / "store.h5", "r+") as file:
        file.attrs["content_hash"] = "0" * 64
    assert again()[0] == [12, 12, 6, 5, 12]
    # The same answers, but another way of asking; a record of the run that changed.
    assert evaluate(tmp_path, "--run", str(run), "--features", str(tmp_path / "store.h5"), "--batch-size", "5") == 0
    assert again()[0] == [12, 12, 6, 5, 12]
    assert again()[0] == []
    words = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**words, "seed": 99}))
    assert again()[0] == [12, 12, 6, 5, 12]
    # Another text of a question.
    questions = (tmp_path / "questions.json").read_text()
    (tmp_path / "questions.json").write_text(questions.replace("car", "bus"))
    shutil.rmtree(run / "metrics")
    assert again()[0] == [12, 12, 6, 5, 12]


def test_an_interrupted_evaluation_goes_on(world, tmp_path, asked, monkeypatch, capsys):
    from vqa_gs.eval.suite import evaluate as module

    score, out = module.score_test, tmp_path / "out"

    def stopping(test, *rest):
        if test.name == "ood":
            raise KeyboardInterrupt
        return score(test, *rest)

    monkeypatch.setattr(module, "score_test", stopping)
    words = ["--run", str(world / "run"), "--out", str(out)]
    assert evaluate(world, *words) == 130
    assert asked == [12, 12, 6, 6]
    monkeypatch.setattr(module, "score_test", score)
    assert evaluate(world, *words) == 0
    assert asked[4:] == [12]
    assert f"{TAKEN}inside, ood" in capsys.readouterr().out


def test_results_of_another_system(world, tmp_path, capsys):
    results = tmp_path / "results"
    results.mkdir()
    truths = [("red", "green")[row % 2] for row in range(12)]
    rows = [{"question_id": row, "text": f"The color of the car is **{truth}**."} for row, truth in enumerate(truths)]
    (results / "ood.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "llava"
    assert evaluate(world, "--results", str(results), "--answers", "free-form", "--out", str(out)) == 0
    assert "left out: inside: there are no answers to it" in capsys.readouterr().out
    metrics = read_metrics(out / "metrics/ood.json")
    section = metrics.breakdowns["free_form"]
    assert (metrics.overall, section.raw, section.raw_exact, section.changed) == (100.0, 0.0, 0.0, 100.0)
    assert metrics.sources["results"].path == str(results / "ood.jsonl")
    assert read_record(out / "suites/suite.json").answers == "free-form"
    assert json.loads((out / "predictions/ood.json").read_text())[0] == {"question_id": 0, "answer": "red"}
    # As written, nothing is right.
    assert evaluate(world, "--results", str(results), "--out", str(tmp_path / "raw")) == 0
    assert read_metrics(tmp_path / "raw/metrics/ood.json").overall == 0.0
    card = tmp_path / "card.html"
    assert (
        main(["report", "--card", str(out), str(world / "run"), "--out", str(card), "--markdown", "--csv", "--latex"])
        == 0
    )
    for ending in ("html", "md", "csv", "tex"):
        text = card.with_suffix(f".{ending}").read_text()
        assert "mean of two" in text
        assert "raw exact" in text


def test_answers_from_regions_of_one_kind(world, tmp_path, capsys):
    words = ["predict", "--run", str(world / "run"), "--questions", str(world / "questions.json")]
    words += ["--features", str(world / "store.h5"), "--relevant-boxes", str(world / "boxes.json")]
    for kind, ids in (("relevant", range(6)), ("irrelevant", range(6, 12))):
        out = tmp_path / f"{kind}.json"
        assert main([*words, "--regions", kind, "--out", str(out)]) == 0
        assert [row["question_id"] for row in json.loads(out.read_text())] == list(ids)
        assert f"note: 6 questions have no {kind} region and are left out" in capsys.readouterr().out
    # With all regions relevant the answers are those with all regions.
    assert main([*words[:-2], "--out", str(tmp_path / "all.json")]) == 0
    whole = json.loads((tmp_path / "all.json").read_text())
    assert json.loads((tmp_path / "relevant.json").read_text()) == whole[:6]
    scored = [
        "evaluate",
        "--questions",
        str(world / "questions.json"),
        "--annotations",
        str(world / "annotations.json"),
    ]
    scored += ["--results", str(tmp_path / "all.json"), "--out", str(tmp_path / "metrics.json")]
    for kind in ("relevant", "irrelevant"):
        scored += [f"--{kind}-results", str(tmp_path / f"{kind}.json")]
    assert main(scored) == 0
    told = "note: no FPVG: no question has answers with relevant and with irrelevant regions"
    assert told in capsys.readouterr().out
    assert main([*words[:-2], "--regions", "relevant", "--out", str(tmp_path / "x.json")]) == 2
    assert "--regions relevant or irrelevant and --relevant-boxes go together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tests": {}}, "the suite has no tests"),
        ({"tests": {"a": {**FILES, "side": "left"}}}, "tests.a.side: not a suite: invalid enum value 'left'"),
        ({"tests": {"a": {**FILES, "side": "in", "colour": 1}}}, "not a suite: object contains unknown field `colour`"),
        ({"tests": {"a": {**FILES, "side": "in", "rules": ["offical"]}}}, "offical"),
        (
            {"tests": {"a": {**FILES, "side": "in", "rules": ["exact", "exact"]}}},
            "tests.a: the rule exact stands twice",
        ),
        ({"tests": {"a": {**FILES, "side": "in", "questions": "q" * 5000}}}, "none of the tests can be scored"),
        ({"tests": {"a": {**FILES, "side": "in", "form": "vqaa"}}}, "vqaa"),
        ({"tests": {"a": {**FILES, "side": "in", "published": "x"}}}, "no published results called 'x'"),
        (
            {"tests": {"a": {**FILES, "side": "in", "means": {"m": ["b"]}}}},
            "a mean names 'b', which is no subset of it",
        ),
        ({"tests": {"a": {**FILES, "side": "in", "hard": "x"}}}, "counterexamples and hard go together"),
        ({"tests": {"a": {**FILES, "side": "in", "twins": True}}}, "`of` goes with edits or twins"),
        (
            {"tests": {"a": {**FILES, "side": "in", "edits": "iv", "of": "b"}}},
            "`of` names 'b', which is no earlier test",
        ),
        ({"tests": {"a/b": {**FILES, "side": "in"}}}, "'a/b' cannot be the name of a file"),
        (
            {"tests": {"a": {"questions": "no.json", "annotations": "no.json", "side": "in"}}},
            "none of the tests can be scored",
        ),
    ],
)
def test_suites_that_make_no_sense(world, tmp_path, capsys, change, message):
    file = tmp_path / "suite.yaml"
    file.write_text(yaml.safe_dump({**SUITE, **change}, sort_keys=False))
    words = [
        "evaluate",
        "--suite",
        str(file),
        "--data-dir",
        str(world),
        "--results",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_options_that_do_not_go_together(world, tmp_path, capsys, monkeypatch):
    for words, message in (
        ([], "a suite is put to a run, or to a folder of results (give --run or --results)"),
        (["--run", "x", "--results", "y"], "a suite is put to a run, or to a folder of results"),
        (["--run", "x", "--answers", "free-form"], "--answers free-form is for texts of other systems"),
        (["--run", "x", "--questions", "q.json"], "--questions is told by the suite file"),
        (["--results", str(tmp_path)], "--out is missing"),
        (["--results", str(tmp_path / "no"), "--out", "o"], "no: is no folder"),
    ):
        assert evaluate(world, *words) == 2
        assert message in capsys.readouterr().err
    for option in ("--run", "--device", "--features"):
        assert main(["evaluate", option, "x", "--questions", "q", "--results", "r", "--out", "o"]) == 2
        assert f"{option} goes with --suite" in capsys.readouterr().err
    monkeypatch.delenv("VQA_DATA", raising=False)
    assert main(["evaluate", "--suite", str(world / "suite.yaml"), "--run", "x"]) == 2
    assert (
        "set the environment variable VQA_DATA to the folder of the data, or give --data-dir" in capsys.readouterr().err
    )


def test_metrics_of_other_questions_are_not_written_over(world, tmp_path, capsys):
    (tmp_path / "ood.json").write_text(json.dumps([{"question_id": row, "answer": "red"} for row in range(12)]))
    out = tmp_path / "out"
    assert evaluate(world, "--results", str(tmp_path), "--out", str(out)) == 0
    file = out / "metrics/ood.json"
    content = json.loads(file.read_text())
    content["sources"]["questions"]["sha256"] = "0" * 64
    file.write_text(json.dumps(content))
    capsys.readouterr()
    assert evaluate(world, "--results", str(tmp_path), "--out", str(out)) == 2
    assert "ood.json is of other questions than the suite's test ood" in capsys.readouterr().err


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_the_suites_that_come_with_it(file, tmp_path):
    suite = read_suite(file, str(tmp_path))
    assert suite.spec.title
    assert all(suite.find(test.questions) is None for test in suite.spec.tests.values())
