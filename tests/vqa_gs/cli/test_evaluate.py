import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from vqa_gs.eval.metrics_file import read_metrics
from vqa_gs.pair_builders.table import PairTable, write_pair_table

from vqa_gs.cli import main

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is absent")


def ten(answer, other="no", votes=9):
    return [
        {"answer": answer if n <= votes else other, "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)
    ]


ROWS = [  # id, image, question, type, answer type, answers, prediction
    (1, 1, "Is it red?", "is it", "yes/no", ten("yes"), "yes"),
    (2, 2, "Is it red?", "is it", "yes/no", ten("no", "yes"), "yes"),
    (3, 3, "How many dogs?", "how many", "number", ten("2", "3"), "2"),
    (4, 4, "How many dogs?", "how many", "number", ten("1", "2", 8), "2"),
]


@pytest.fixture
def files(tmp_path):
    def write(name, content):
        (tmp_path / name).write_text(json.dumps(content))
        return str(tmp_path / name)

    questions = [{"question_id": r[0], "image_id": r[1], "question": r[2], "coco_split": "val2014"} for r in ROWS]
    annotations = [
        {"question_id": r[0], "image_id": r[1], "question_type": r[3], "answer_type": r[4], "answers": r[5],
         "multiple_choice_answer": r[5][0]["answer"], "coco_split": "val2014"}
        for r in ROWS
    ]  # fmt: skip
    results = [{"question_id": r[0], "answer": r[6]} for r in ROWS]
    found = {
        "questions": write("questions.json", questions),
        "annotations": write("annotations.json", annotations),
        "results": write("results.json", results),
    }
    return {**found, "write": write, "out": str(tmp_path / "metrics.json")}


def evaluate(files, *more, **replaced):
    given = {**files, **replaced}
    words = ["evaluate", "--questions", given["questions"], "--annotations", given["annotations"]]
    words += ["--results", *([given["results"]] if isinstance(given["results"], str) else given["results"])]
    code = main([*words, "--out", given["out"], "--bootstrap", "200", *more])
    return code, json.loads(Path(given["out"]).read_text()) if code == 0 else None


def test_the_rule_is_stored_and_printed_beside_every_number(files, capsys):
    code, metrics = evaluate(files, "--scoring", "min-n-over-3", "--split", "iid_val")
    assert code == 0
    assert metrics["scoring"] == "min-n-over-3"
    # Votes for the predictions: 9, 1, 9, 2 of ten.
    assert metrics["overall"] == pytest.approx(100 * (1 + 1 / 3 + 1 + 2 / 3) / 4)
    for line in capsys.readouterr().out.splitlines():
        if "%" in line and "interval over" not in line:
            assert "min-n-over-3" in line
    assert read_metrics(files["out"]).scoring == "min-n-over-3"


def test_everything_the_data_allows(files, capsys):
    write = files["write"]
    code, _ = evaluate(files, "--split", "iid_val")
    Path(files["out"]).rename(files["out"] + ".iid")
    table = Path(files["out"]).with_name("pairs.h5")
    write_pair_table(table, PairTable.of_one_kind("same-question", [1, 3], [2, 4]))
    scored = [{"question_id": r[0], "answer": r[6], "score": 0.5, "entropy": 1.0} for r in ROWS]
    code, metrics = evaluate(
        files,
        "--train-annotations", files["annotations"],
        "--in-domain", files["out"] + ".iid",
        "--counterexamples", write("ce.json", [2, 4]),
        "--hard", write("hard.json", [3]),
        "--pairs", f"listed={write('pairs.json', [[1, 2]])}",
        "--pairs", f"table={table}",
        "--subset", f"first={write('first.json', {'question_ids': {'a': [1], 'b': [2]}})}",
        results=write("scored.json", scored),
    )  # fmt: skip
    assert code == 0
    assert set(metrics["breakdowns"]) == {"calibration", "gap", "head_tail", "pair_consistency", "prior", "vqa_ce"}
    assert metrics["breakdowns"]["pair_consistency"]["table"] == {
        "pairs": 2, "outside_the_set": 0, "both_right": 0.0, "one_right": 100.0, "none_right": 0.0,
        "same_answer": 100.0,
    }  # fmt: skip
    assert metrics["breakdowns"]["gap"]["overall"]["gap"] == 0
    assert metrics["breakdowns"]["vqa_ce"]["easy"] == {"accuracy": 100.0, "questions": 1}
    assert metrics["subsets"]["first"]["questions"] == 2
    low, high = metrics["intervals"]["subsets"]["first"]
    assert low <= metrics["subsets"]["first"]["overall"] <= high
    assert metrics["intervals"]["per_question_type"].keys() == metrics["per_question_type"].keys()
    text = capsys.readouterr().out
    told = ("VQA-CE", "calibration error", "of the type is predicted", "pairs table: both right", "in-domain (iid_val)")
    for words in told:
        assert words in text


def test_controls_of_a_file_with_the_best_answers(files, capsys):
    top = [[[r[6], 1.0], ["no" if r[4] == "yes/no" else "1", 0.5]] for r in ROWS]
    rows = [{"question_id": r[0], "answer": r[6], "top": found} for r, found in zip(ROWS, top, strict=True)]
    given = {"results": files["write"]("top.json", rows)}
    code, metrics = evaluate(files, "--controls", "--train-annotations", files["annotations"], **given)
    assert code == 0
    assert metrics["breakdowns"]["controls"]["top_k"] == 2
    # All four types and answers are seen, for training is the test: nothing is left where these are forbidden.
    assert metrics["breakdowns"]["controls"]["without"] == {"seen_forbidden": 100.0}
    assert metrics["breakdowns"]["controls"]["supported"] == 100.0
    assert (
        "controls, choosing among the best 2 answers (official): seen answers forbidden 0.00 %"
        in capsys.readouterr().out
    )
    assert "controls" not in evaluate(files, "--train-annotations", files["annotations"], **given)[1]["breakdowns"]


def test_controls_need_training_and_other_answers(files, capsys):
    assert evaluate(files, "--controls")[0] == 2
    assert "--controls needs the statistics of training (give --train-annotations)" in capsys.readouterr().err
    assert evaluate(files, "--controls", "--train-annotations", files["annotations"])[0] == 2
    error = capsys.readouterr().err
    assert "results.json: holds no other answers than the best" in error
    assert "--top-k" in error


def test_missing_answers(files, capsys):
    results = files["write"]("few.json", [{"question_id": 1, "answer": "yes"}])
    assert evaluate(files, results=results)[0] == 2
    assert "3 of 4 questions have no answer: 2, 3, 4" in capsys.readouterr().err
    code, metrics = evaluate(files, "--allow-missing", results=results)
    assert (code, metrics["overall"], metrics["missing"]) == (0, 25.0, 3)
    assert "note: 3 of 4 questions have no answer and count as 0" in capsys.readouterr().out


def test_extra_answers(files, capsys):
    rows = [{"question_id": r[0], "answer": r[6]} for r in ROWS] + [{"question_id": 9, "answer": "x"}]
    results = files["write"]("more.json", rows)
    assert evaluate(files, results=results)[0] == 2
    assert "answers 1 questions that are not in the set: 9" in capsys.readouterr().err
    assert evaluate(files, "--allow-extra", results=results)[0] == 0


def test_single_answers_are_pointed_to_exact_match(files, capsys):
    annotations = json.loads(Path(files["annotations"]).read_text())
    for annotation in annotations:
        annotation["answers"] = annotation["answers"][:1]
    single = files["write"]("single.json", annotations)
    assert evaluate(files, annotations=single)[0] == 2
    error = capsys.readouterr().err
    assert "question 1: " in error
    assert "--scoring exact" in error
    assert len(error.splitlines()) == 1
    code, metrics = evaluate(files, "--scoring", "exact", annotations=single)
    assert (code, metrics["overall"], metrics["scoring"]) == (0, 50.0, "exact")


def test_other_numbers_of_answers_are_told(files, capsys):
    annotations = json.loads(Path(files["annotations"]).read_text())
    annotations[0]["answers"] = annotations[0]["answers"][:3]
    evaluate(files, annotations=files["write"]("three.json", annotations))
    assert "note: 1 questions have 3 to 10 answers instead of ten" in capsys.readouterr().out


def test_missing_answer_ids(files, capsys):
    annotations = json.loads(Path(files["annotations"]).read_text())
    del annotations[2]["answers"][4]["answer_id"]
    assert evaluate(files, annotations=files["write"]("noid.json", annotations))[0] == 2
    assert "question 3: an answer has no answer_id" in capsys.readouterr().err


def test_lacking_question_types_are_assigned(files):
    annotations = json.loads(Path(files["annotations"]).read_text())
    for annotation in annotations:
        del annotation["question_type"]
    _, metrics = evaluate(files, annotations=files["write"]("untyped.json", annotations))
    assert set(metrics["per_question_type"]) == {"is it", "how many"}
    assert metrics["notes"] == ["4 question types are assigned by the questions' first words"]


def test_gqa_ood_files(files, capsys):
    def record(answer, semantic, balanced=True):
        types = {"detailed": "categoryThis", "structural": "query", "semantic": semantic}
        groups = {"global": None, "local": "g"}
        shared = {"question": "What is it?", "imageId": "n1", "groups": groups, "types": types}
        return {**shared, "isBalanced": balanced, "answer": answer}

    every = {"a": record("cat", "obj"), "b": record("Dog", "obj"), "c": record("x", "rel", balanced=False)}
    head = {"a": every["a"]}
    results = [{"questionId": key, "prediction": text} for key, text in (("a", "cat"), ("b", "dog"), ("z", "more"))]
    words = ["evaluate", "--questions", files["write"]("ood_testdev_all.json", every), "--allow-extra"]
    words += ["--results", files["write"]("gqa.json", results), "--out", files["out"], "--bootstrap", "0"]
    assert main([*words, "--subset", f"head={files['write']('ood_testdev_head.json', head)}"]) == 0
    metrics = json.loads(Path(files["out"]).read_text())
    assert (metrics["scoring"], metrics["overall"]) == ("exact", 50.0)
    assert metrics["subsets"]["head"]["overall"] == 100.0
    assert metrics["breakdowns"]["gqa"] == {
        "binary": None,
        "open": 50.0,
        "per_semantic_type": {"obj": {"accuracy": 50.0, "questions": 2}},
    }
    assert metrics["breakdowns"]["head_tail"]["groups"] == "local"
    assert "1 questions that are not balanced are left out" in capsys.readouterr().out


def test_keeping_the_best_on_a_test_split(files, capsys):
    worse = files["write"]("worse.json", [{"question_id": r[0], "answer": "none"} for r in ROWS])
    results = [worse, files["results"]]
    assert evaluate(files, results=results)[0] == 2
    assert "--keep-best" in capsys.readouterr().err
    assert evaluate(files, "--keep-best", "--split", "ood_test", results=results)[0] == 2
    assert "--i-know-this-is-test-selection" in capsys.readouterr().err
    assert not Path(files["out"]).exists()
    assert evaluate(files, "--keep-best", "--test", "--split", "val", results=results)[0] == 2
    _, metrics = evaluate(files, "--keep-best", "--split", "val", results=results)
    assert metrics["selection"]["kept"] == files["results"]
    assert not metrics["selection"]["on_test"]
    _, metrics = evaluate(
        files, "--keep-best", "--split", "ood_test", "--i-know-this-is-test-selection", results=results
    )
    assert metrics["selection"]["on_test"]
    assert "kept by its accuracy on this very test split" in capsys.readouterr().out


def test_edited_images(files):
    edits = [{"question_id": 3, "image_id": f"{3:012d}_{n:012d}", "question": "How many dogs?"} for n in (1, 2)]
    annotations = [
        {"question_id": 3, "image_id": edit["image_id"], "question_type": "how many", "answer_type": "number",
         "answers": ten("1", "1"), "multiple_choice_answer": "2"}
        for edit in edits
    ]  # fmt: skip
    rows = [{"question_id": 3, "image_id": e["image_id"], "answer": a} for e, a in zip(edits, "12", strict=True)]
    write = files["write"]
    _, metrics = evaluate(
        files,
        "--edited-kind", "cv",
        "--edited-questions", write("eq.json", {"questions": edits}),
        "--edited-annotations", write("ea.json", {"annotations": annotations}),
        "--edited-results", write("er.json", rows),
    )  # fmt: skip
    section = metrics["breakdowns"]["flips"]
    assert (section["edits"], section["consistent"], section["pos_neg"]) == (2, 50.0, 50.0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--scoring", "best"], "no scoring rule called 'best'"),
        (["--counterexamples", "x.json"], "--counterexamples and --hard go together"),
        (["--edited-kind", "iv"], "go together"),
        (["--hints", "x.json"], "give --grounding too"),
        (["--hints", "x.json", "--relevant-boxes", "y.json"], "give one of them"),
        (["--subset", "x"], "is not name=file"),
        (["--pairs", "x=absent.json"], "no such pair list file"),
        (["--in-domain", "absent.json"], "no such metrics file"),
    ],
)
def test_refused(files, capsys, more, message):
    assert evaluate(files, *more)[0] == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@needs_data
def test_every_section_that_applies_to_vqa2_mini(tmp_path):
    mini = DATA / "vqa2-mini"
    rng = np.random.default_rng(0)
    annotations = json.loads(gzip.decompress((mini / "ood_test_annotations.json.gz").read_bytes()))
    rows = [
        {"question_id": a["question_id"], "answer": a["answers"][rng.integers(10)]["answer"], "score": float(s)}
        for a, s in zip(annotations, rng.random(len(annotations)), strict=True)
    ]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    words = ["evaluate", "--questions", str(mini / "ood_test_questions.json.gz")]
    words += ["--annotations", str(mini / "ood_test_annotations.json.gz"), "--results", str(tmp_path / "r.json")]
    words += ["--train-annotations", str(mini / "train_annotations.json.gz"), "--split", "ood_test"]
    words += ["--subset", f"answerable={mini / 'ood_test_answerable.json'}", "--out", str(tmp_path / "m.json")]
    assert main(words) == 0
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert set(metrics["breakdowns"]) == {"calibration", "head_tail", "prior"}
    low, high = metrics["intervals"]["overall"]
    assert low < metrics["overall"] < high
    assert high - low < 3
