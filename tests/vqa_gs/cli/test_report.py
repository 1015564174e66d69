import csv
import json

import pytest

from vqa_gs.cli import main

SCORES = {
    "format": "vqa-gs-metrics",
    "scoring": "official",
    "split": "ood_test",
    "overall": 41.5,
    "questions": 20,
    "per_answer_type": {"yes/no": 50.0, "other": 33.0},
}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "gs-seed1" / "metrics").mkdir(parents=True)
    (tmp_path / "gs-seed1" / "metrics" / "ood_test.json").write_text(json.dumps(SCORES))
    return tmp_path / "gs-seed1"


def test_report_writes_the_page_and_its_twins(run, tmp_path, capsys):
    out = tmp_path / "report.html"
    words = ["--title", "A study", "--markdown", "--csv", "--latex", "--published", "vqa-cp-v2"]
    assert main(["report", str(run), "--out", str(out), *words]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(out.with_suffix(suffix)) for suffix in (".html", ".md", ".csv", ".tex")]
    page = out.read_text(encoding="utf-8")
    assert "<title>A study</title>" in page
    assert "Beside published results: VQA-CP v2 test" in page
    with open(out.with_suffix(".csv"), encoding="utf-8") as file:
        rows = {(row["measure"], row["name"]): row["score"] for row in csv.DictReader(file)}
    assert rows["overall", ""] == "41.5"
    assert rows["answer_type", "other"] == "33.0"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "r.pdf"], "end it in .html or .md"),
        (["--out", "r.html", "--published", "vqa-cp-v9"], "choose one of vqa-cp-v1, vqa-cp-v2, vqa-vs"),
        (["--out", "r.html", "--examples", "-1"], "give 0 for none"),
        (["--out", "r.html", "--image-dir", "absent"], "no such folder of images"),
    ],
)
def test_bad_options_end_with_one_line(run, words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(run), *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r.html").exists()
