import json
from pathlib import Path

import pytest

from vqa_gs.cli import main

MINI = Path(__file__).parents[4] / "shared" / "data" / "vqa2-mini"


@pytest.mark.skipif(not MINI.exists(), reason="needs vqa2-mini beside the project")
def test_vqa2_mini_is_named(capsys):
    words = ["--questions", str(MINI / "ood_test_questions.json.gz")]
    words += ["--annotations", str(MINI / "ood_test_annotations.json.gz")]
    assert main(["data", "check", *words, "--train-annotations", str(MINI / "train_annotations.json.gz")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("recognised this is vqa2-mini ood_test")
    assert "yes/no 34.49 %, other 33.30 %, number 32.22 %" in said


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
    assert "40 of 80 images have no features; they are all of val2014" in error


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--min-questions", "0"], "at least 1"), (["--train-annotations", "a"], "needs --annotations")],
)
def test_bad_words(more, message, capsys):
    assert main(["data", "check", "--questions", "q.json", *more]) == 2
    assert message in capsys.readouterr().err
