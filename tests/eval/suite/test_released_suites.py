"""The suites that come with the project, on small made-up files under the released names, scored from result files."""

import json
import random
from pathlib import Path

import pytest
from vqa_gs.eval.metrics_file import read_metrics
from vqa_gs.eval.results import Result
from vqa_gs.eval.suite.answers import answered
from vqa_gs.eval.suite.loaded import Reader
from vqa_gs.eval.suite.spec import read_suite
from vqa_gs.eval.suite_record import read_record

from vqa_gs.cli import main
from vqa_gs.common.errors import DataError

SUITES = Path(__file__).resolve().parents[3] / "configs" / "suites"
WORDS = ["yes", "no", "2", "3", "red"]
HEAD = {"info": {}, "task_type": "Open-Ended", "data_type": "mscoco", "license": {}, "data_subtype": "val2014"}


def annotation(key, image, answer, **more):
    answers = [{"answer": answer, "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]
    kinds = {"question_type": "what", "answer_type": "other", "multiple_choice_answer": answer}
    return {"question_id": key, "image_id": image, "answers": answers, **kinds, **more}


def write_set(folder, names, rows, head=HEAD):
    """Writes (id, image, answer, more) under two names, with the official head or as bare lists."""
    kinds = ("questions", [{"question_id": k, "image_id": i, "question": "What?", **m} for k, i, _, m in rows])
    for name, (kind, content) in zip(
        names, (kinds, ("annotations", [annotation(k, i, a) for k, i, a, _ in rows])), strict=True
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({**head, kind: content} if head is not None else content))


def write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def evaluate(name, data, results, out, *more):
    words = ["evaluate", "--suite", str(SUITES / f"{name}.yaml"), "--data-dir", str(data), "--results", str(results)]
    assert main([*words, "--out", str(out), "--bootstrap", "100", *more]) == 0
    record = read_record(out / f"suites/{name}.json")
    return {
        split: read_metrics(out / f"metrics/{split}.json") for test in record.tests for split in test.splits
    }, record


@pytest.fixture
def vqa_v2(tmp_path):
    """Validation questions 10, 20 ..., rephrasings of the first two, edits of some, under the released names."""
    data, dice = tmp_path / "data", random.Random(0)
    val = [(n * 10, n, dice.choice(WORDS), {}) for n in range(1, 9)]
    write_set(data, ("v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"), val)
    write(data / "v2_mscoco_val2014_complementary_pairs.json", [[10, 20], [30, 40]])
    write(data / "vqa_ce/counterexamples.json", [10, 20])
    write(data / "vqa_ce/hard.json", [30])
    said = [
        (k * 10 + n if n else k, i, a, {"rephrasing_of": k} if n else {}) for k, i, a, _ in val[:2] for n in range(4)
    ]
    names = (
        "v2_OpenEnded_mscoco_valrep2014_humans_og_questions.json",
        "v2_mscoco_valrep2014_humans_og_annotations.json",
    )
    write_set(data, [f"vqa_rephrasings/{name}" for name in names], said)
    edits = {}
    for kind in ("iv", "cv"):
        truth = {key: answer for key, _, answer, _ in val}
        lowered = {"2": "1", "3": "2"} if kind == "cv" else {}
        rows = [
            (key, f"{image:012d}_{at:012d}", lowered.get(truth[key], truth[key]), {})
            for key, image, *_ in val[:4]
            for at in range(2)
        ]
        edits[kind] = rows
        names = ("v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json")
        write_set(data, [f"{kind}-vqa/{name}" for name in names], rows, head={})
    return data, val, said, edits


def slow_flips(kind, before, truth, rows, after):
    """Counts flips edit by edit."""
    counts = {"pos_neg": 0, "neg_pos": 0, "neg_neg": 0}
    for (key, _, answer, _), said in zip(rows, after, strict=True):
        was, now = before[key] == truth[key], said == answer
        digits = before[key].isdigit() and said.isdigit()
        flipped = before[key] != said if kind == "iv" else not (digits and int(said) == int(before[key]) - 1)
        if flipped and not (was and now):
            counts[f"{'pos' if was else 'neg'}_{'pos' if now else 'neg'}"] += 1
    return {name: 100 * count / len(rows) for name, count in counts.items()}


@pytest.mark.parametrize("how", ["image ids", "own ids", "places"])
def test_vqa_v2_and_what_stands_on_it(vqa_v2, tmp_path, how):
    data, val, said, edits = vqa_v2
    results, dice = tmp_path / "results", random.Random(1)
    before = {key: dice.choice([answer, *WORDS]) for key, _, answer, _ in val}
    write(results / "val.json", [{"question_id": key, "answer": text} for key, text in before.items()])
    again = [dice.choice([answer, "no"]) for _, _, answer, _ in said]
    write(
        results / "rephrasings.json",
        [{"question_id": row[0], "answer": text} for row, text in zip(said, again, strict=True)],
    )
    after = {}
    for kind, rows in edits.items():
        after[kind] = [dice.choice([answer, *WORDS]) for _, _, answer, _ in rows]
        found = [
            {"question_id": key, "image_id": image, "answer": text}
            for (key, image, *_), text in zip(rows, after[kind], strict=True)
        ]
        if how == "own ids":
            found = [
                {"question_id": f"{row['question_id']}@{row['image_id']}", "answer": row["answer"]} for row in found
            ]
        elif how == "places":
            found = [{"question_id": row["question_id"], "answer": row["answer"]} for row in found]
        write(results / f"{kind}_vqa.json", found)
    metrics, record = evaluate("vqa-v2", data, results, tmp_path / "out")
    assert set(metrics) == {"val", "rephrasings", "iv_vqa", "cv_vqa"}
    assert any(line.startswith("advqa: ") for line in record.left_out)
    truth = {key: answer for key, _, answer, _ in val}
    assert metrics["val"].overall == pytest.approx(100 * sum(before[key] == truth[key] for key in truth) / len(truth))
    assert metrics["val"].breakdowns["vqa_ce"].counterexamples.questions == 2
    assert metrics["val"].breakdowns["pair_consistency"].lists["complementary"].pairs == 2
    right = [text == row[2] for row, text in zip(said, again, strict=True)]
    groups = [right[:4], right[4:]]
    assert metrics["rephrasings"].breakdowns["consensus"].cs["4"] == 100 * sum(map(all, groups)) / 2
    for kind, rows in edits.items():
        flips = metrics[f"{kind}_vqa"].breakdowns["flips"]
        assert (flips.kind, flips.edits, flips.questions) == (kind, 8, 4)
        for name, value in slow_flips(kind, before, truth, rows, after[kind]).items():
            assert getattr(flips, name) == pytest.approx(value)


def test_rows_that_do_not_say_which_image(vqa_v2):
    data, *_ = vqa_v2
    suite = read_suite(SUITES / "vqa-v2.yaml", str(data))
    test = next(test for test in Reader(suite) if test.name == "iv_vqa")
    rows = [Result(key, "yes") for key, _ in test.asked.keys]
    assert len(answered(rows, test.asked).answers) == 8  # in the files' order they need not
    with pytest.raises(DataError, match="question 20: this question id repeats in the set, and the row names no image"):
        answered(rows[::-1][4:], test.asked)
    own = [Result(own, "yes") for own in test.asked.questions.question_ids]
    with pytest.raises(DataError, match="question '10@000000000001_000000000000': this question is answered twice"):
        answered([*own, own[0]], test.asked)
    with pytest.raises(DataError, match="1 of 8 questions have no answer"):
        answered(own[1:], test.asked)
    assert len(answered(own[1:], test.asked, allow_missing=True).answers) == 7


NINE = ["QT", "KW", "KWP", "QT+KW", "KO", "KOP", "QT+KO", "KW+KO", "QT+KW+KO"]


def test_vqa_vs(tmp_path):
    data, results, dice = tmp_path / "data", tmp_path / "results", random.Random(2)
    test = [(n, n // 2, dice.choice(WORDS), {}) for n in range(40)]
    write_set(data, ("IID-Test/IID-Test-Ques.json", "test_annotations.json"), test, head=None)
    write_set(data, ("Val/Val-Ques.json", "Val/Val-Ans.json"), [(n + 100, n, "red", {}) for n in range(4)], head=None)
    parts = {name: sorted(dice.sample(range(40), 5 + at)) for at, name in enumerate(NINE)}
    for name, ids in parts.items():
        rows = [{"image_id": n // 2, "question": "What?", "question_id": n} for n in ids]
        write(data / f"OOD-Test/{name}/OOD-Test-{name}-Ques.json", rows)
    said = {key: dice.choice([answer, "no"]) for key, _, answer, _ in test}
    write(results / "iid_test.json", [{"question_id": key, "answer": text} for key, text in said.items()])
    metrics, record = evaluate("vqa-vs", data, results, tmp_path / "out")
    assert set(metrics) == {"iid_test", "iid_test_official"}
    assert metrics["iid_test"].scoring == "min-n-over-3"
    assert record.left_out == ["val: there are no answers to it"]
    right = {key: said[key] == answer for key, _, answer, _ in test}
    each = [100 * sum(right[n] for n in ids) / len(ids) for ids in parts.values()]
    (mean,) = metrics["iid_test"].breakdowns["subset_means"].means.values()
    assert mean.accuracy == pytest.approx(sum(each) / 9)
    assert mean.questions == sum(map(len, parts.values()))
    suite = read_suite(SUITES / "vqa-vs.yaml", str(data))
    assert suite.find(suite.spec.selection.questions) == data / "Val/Val-Ques.json"


def test_gqa_and_its_ood_parts(tmp_path):
    data, results = tmp_path / "data", tmp_path / "results"
    types = {"structural": "query", "semantic": "obj", "detailed": "x"}
    groups = {"global": "animal", "local": "l"}
    records = {
        f"0{n}": {
            "question": "What?",
            "imageId": f"n{n}",
            "answer": ("dog", "cat")[n % 2],
            "isBalanced": n != 5,
            "types": types,
            "groups": groups,
        }
        for n in range(6)
    }
    write(data / "testdev_balanced_questions.json", records)
    write(data / "gqa-ood/ood_testdev_all.json", records)
    for name, ids in (("head", ("00", "01", "02")), ("tail", ("03", "04"))):
        write(data / f"gqa-ood/ood_testdev_{name}.json", {key: records[key] for key in ids})
    rows = [{"questionId": key, "prediction": "dog"} for key in list(records)[:5]]
    for name in ("gqa_testdev", "gqa_ood_testdev"):
        write(results / f"{name}.json", rows)
    metrics, record = evaluate("gqa", data, results, tmp_path / "out")
    ood = metrics["gqa_ood_testdev"]
    assert (ood.scoring, ood.overall, ood.subsets["head"].overall, ood.subsets["tail"].overall) == (
        "exact",
        60,
        pytest.approx(200 / 3),
        50,
    )
    # Dogs 3 of 3, cats 0 of 2, where 5 are dogs: (5 - 3)^2 / 3 + (0 - 2)^2 / 2, over 100.
    assert ood.breakdowns["gqa_answers"].distribution == (4 / 3 + 4 / 2) / 100
    assert "1 questions that are not balanced are left out, as GQA does" in ood.notes
    assert any(line.startswith("gqa_val: ") for line in record.left_out)


def test_benchmarks_of_vision_language_models(tmp_path):
    data, results = tmp_path / "data", tmp_path / "results"
    data.mkdir()
    natural = {"Index": 0, "Question_0": "Is it red?", "Question_1": "Is it blue?", "Question_Type": "yes_no"}
    natural |= {f"Image_{i}_Question_{q}": "Yes" if i == q else "No" for i in (0, 1) for q in (0, 1)}
    (data / "natural_bench.jsonl").write_text(json.dumps(natural))
    write(results / "natural_bench.json", [
        {"question_id": f"0_q{q}", "image_id": f"0_i{i}", "answer": "Yes, it is." if q == 0 else "no"}
        for q in (0, 1) for i in (0, 1)
    ])  # fmt: skip
    metrics, _ = evaluate("natural-bench", data, results, tmp_path / "natural")
    section = metrics["natural_bench"].breakdowns["natural_bench"]
    # Right: question 0 about image 0, question 1 about image 0.
    assert (section.accuracy, section.question, section.image, section.group) == (50, 0, 50, 0)
    lines = "Index,Question,Options,Correct Answer\n1,Open?,(a) Yes (b) No,(a)\n2,Open?,(a) Yes (b) No,(b)\n"
    (data / "Questions.csv").write_text(lines)
    write(
        results / "mmvp.json",
        [{"question_id": 1, "answer": "(a) Yes"}, {"question_id": 2, "answer": "It is closed: no."}],
    )
    for more, both in (((), 0), (("--answers", "free-form"), 100)):
        metrics, _ = evaluate("mmvp", data, results, tmp_path / f"mmvp{both}", *more)
        assert metrics["mmvp"].breakdowns["minimal_pairs"].both_right == both
    vilp = {"question": "Cars have wheels. How many?", "answer1": "four", "answer2": "three", "answer3": "six"}
    write(data / "ViLP.json", [vilp])
    for name in ("vilp_f", "vilp_p"):
        write(
            results / f"{name}.json",
            [{"question_id": 0, "image_id": f"0_{n}", "answer": "4" if n < 3 else "6"} for n in (1, 2, 3)],
        )
    metrics, _ = evaluate("vilp", data, results, tmp_path / "vilp")
    section = metrics["vilp_p"].breakdowns["vilp"]
    assert (section.mode, section.prior, section.score) == ("prior", 100, 50)
    carets = {"img_id": "n1", "sent": "Is it?", "label": {"yes": 1.0}}
    write(
        data / "negation_consistency.json",
        [{**carets, "question_id": 1}, {**carets, "question_id": 2, "label": {"no": 1}}],
    )
    write(
        results / "negation_consistency.json",
        [{"question_id": 1, "answer": "yes"}, {"question_id": 2, "answer": "maybe"}],
    )
    metrics, record = evaluate("carets", data, results, tmp_path / "carets")
    section = metrics["negation_consistency"].breakdowns["carets"]
    assert (section.consistent, section.comprehensive, metrics["negation_consistency"].overall) == (100, 100, 50)
    assert len(record.left_out) == 5
