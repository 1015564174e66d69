import json
import re
from pathlib import Path

import pytest

from benchmarks.made_up import write_questions, write_store
from vqa_gs.cli import main

CONFIG = Path(__file__).parents[3] / "configs" / "vqa-cp-v2.yaml"


def said(words, capsys, code=0):
    """Runs `data check`; returns what it printed, in one line, and the error."""
    assert main(["data", "check", *map(str, words)]) == code
    printed = capsys.readouterr()
    return " ".join(printed.out.split()), printed.err.strip()


@pytest.mark.parametrize("split", ["train", "iid_val", "ood_test"])
def test_vqa2_mini_is_named_and_not_taken_for_vqa_cp(split, mini, capsys):
    words = ["--questions", mini / f"{split}_questions.json.gz", "--annotations", mini / f"{split}_annotations.json.gz"]
    text, _ = said(words, capsys)
    assert f"recognised this is vqa2-mini {split}, a part of VQA v2 re-split for this project, not VQA-CP" in text
    assert text.endswith("number of questions, answer types, number of images agree")
    if split == "ood_test":
        assert "yes/no 34.49 %, other 33.30 %, number 32.22 %" in text


def written(folder, name, content):
    (folder / name).write_text(json.dumps(content))
    return folder / name


@pytest.mark.parametrize(("known", "count"), [("testdev head", 1_733), ("testdev tail", 1_063), ("testdev", 2_796)])
def test_gqa_ood_in_its_own_form(known, count, tmp_path, capsys):
    types = {"structural": "query", "semantic": "attr"}
    record = {"question": "What color is it?", "imageId": "n1", "answer": "red", "isBalanced": True, "types": types}
    text, _ = said(["--questions", written(tmp_path, "q.json", {str(n): record for n in range(count)})], capsys)
    assert f"this has as many questions as GQA-OOD {known}; nothing more is known here to compare" in text
    assert "upper bound" not in text  # the official score is made for ten answers


@pytest.mark.parametrize(
    ("known", "count"), [("VQA-CP v1 test", 125_314), ("VQA v2 val", 214_354), ("VQA-VS OOD test QT", 23_816)]
)
def test_other_sets_are_named_by_their_questions(known, count, tmp_path, capsys):
    rows = [{"question_id": n, "image_id": n // 3, "question": "What is it?"} for n in range(count)]
    text, _ = said(["--questions", written(tmp_path, "q.json", rows)], capsys)
    assert f"this has as many questions as {known}; n" in text


@pytest.fixture(scope="module")
def hundredth(tmp_path_factory):
    """A hundredth of VQA-CP v2, made up: a folder, and its questions by split."""
    folder = tmp_path_factory.mktemp("cp")
    return folder, write_questions(folder, 0.01)


def of_split(folder, split, answers=None):
    return ["--questions", folder / f"vqacp_v2_{split}_questions.json",
            "--annotations", folder / f"vqacp_v2_{answers or split}_annotations.json"]  # fmt: skip


def test_what_is_damaged_is_named(hundredth, tmp_path, capsys):
    folder, _ = hundredth
    _, error = said(of_split(folder, "test", "train"), capsys, 2)
    assert "this question has no annotation in" in error
    assert "take both files from the same split and release" in error
    questions = json.loads((folder / "vqacp_v2_train_questions.json").read_text())
    answers = folder / "vqacp_v2_train_annotations.json"
    # Questions are missing: the annotations tell.
    fewer = written(tmp_path, "fewer.json", questions[:-7])
    _, error = said(["--questions", fewer, "--annotations", answers], capsys, 2)
    assert "this annotation has no question in" in error
    twice = written(tmp_path, "twice.json", [*questions, questions[5]])
    _, error = said(["--questions", twice], capsys, 2)
    assert f"question {questions[5]['question_id']}: this question id appears twice" in error
    assert "\n" not in error
    # Two questions of one id about two images may be edits, but training refuses them.
    questions[6]["question_id"] = questions[60]["question_id"]
    text, _ = said(["--questions", written(tmp_path, "other.json", questions)], capsys)
    assert "repeated ids 1 questions: those of edits may be, training refuses them" in text


@pytest.fixture(scope="module")
def one_half(hundredth):
    """A store of train2014 alone, with two of its images missing too."""
    folder, made = hundredth
    images = sorted({one.image_id for one in made["train"].questions if one.coco_split == "train2014"})
    write_store(folder / "half.h5", images[:-2], 4)
    return folder / "half.h5"


@pytest.mark.parametrize("split", ["train", "test"])
def test_features_of_one_half_are_told(split, hundredth, one_half, capsys):
    text, error = said([*of_split(hundredth[0], split), "--features", one_half], capsys, 2)
    assert re.search(r"halves of COCO train2014 [\d,]+ questions, val2014 [\d,]+ questions", text)
    assert re.search(r"\d+ of [\d,]+ images have no features; no image of val2014 has: extract or convert both", error)
    assert "\n" not in error


@pytest.mark.parametrize("images", ["half", "all of training"])
def test_training_tells_it_before_it_begins(images, hundredth, one_half, tmp_path, monkeypatch, capsys):
    folder, made = hundredth
    monkeypatch.setenv("VQA_DATA", str(folder))
    store = one_half
    if images == "all of training":  # and the test split's other images are missing
        store = tmp_path / "train.h5"
        write_store(store, sorted(set(made["train"].image_ids)), 4)
    words = ["--config", str(CONFIG), "--data.features", str(store), "--out", str(tmp_path / "run")]
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "is not in" in error
    if images == "half":
        assert "no image of val2014 has: extract or convert both halves into one store" in error
    else:
        assert "vqacp_v2_test_questions.json" in error
    assert not (tmp_path / "run").exists()


def test_what_was_found_is_written(tiny, tmp_path, capsys):
    train = tiny["data"]["train"]
    words = ["--questions", train["questions"], "--annotations", train["annotations"], "--min-questions", "2"]
    out = tmp_path / "check.json"
    assert main(["data", "check", *words, "--features", tiny["data"]["features"], "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["questions"] == 80
    assert found["missing"] == []
    assert found["unused"] == 40
    assert found["vocabulary"] == 4
    assert set(found["sources"]) == {train["questions"], train["annotations"]}
    assert "80" in capsys.readouterr().out


def test_missing_images_end_with_one_line(tiny, tmp_path, capsys):
    questions = json.loads(Path(tiny["data"]["train"]["questions"]).read_text())
    rows = questions["questions"] if isinstance(questions, dict) else questions
    for at, row in enumerate(rows):
        row["coco_split"] = "val2014" if at % 2 else "train2014"
        row["image_id"] += 10_000 * (at % 2)
    (tmp_path / "q.json").write_text(json.dumps(rows))
    words = ["--questions", str(tmp_path / "q.json"), "--features", tiny["data"]["features"]]
    assert main(["data", "check", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "40 of 80 images have no features; no image of val2014 has" in error


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--min-questions", "0"], "at least 1"), (["--train-annotations", "a"], "needs --annotations")],
)
def test_bad_words(more, message, capsys):
    assert main(["data", "check", "--questions", "q.json", *more]) == 2
    assert message in capsys.readouterr().err
