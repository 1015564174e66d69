from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vqa_gs.features.store import RegionStore

from vqa_gs.cli import main


def _row(image_id, features, boxes=((0, 0, 10, 20), (5, 5, 30, 40))):
    fields = [
        str(image_id),
        "40",
        "50",
        str(len(boxes)),
        base64.b64encode(np.array(boxes, "<f4").tobytes()).decode(),
        base64.b64encode(np.asarray(features, "<f4").tobytes()).decode(),
    ]
    return "\t".join(fields) + "\r\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "some.tsv"
    path.write_text("".join(_row(i, np.full((2, 3), i)) for i in (9, 25)), newline="")
    return path


def test_from_a_tsv_to_a_picture_and_back(source, tmp_path, capsys):
    store, out = str(tmp_path / "x.h5"), str(tmp_path / "back.tsv")
    assert main(["features", "convert", str(source), "--out", store, "--dtype", "float32"]) == 0
    assert "2 images, 4 regions of 3 x float32" in capsys.readouterr().out
    assert main(["features", "info", store]) == 0
    assert "3 x float32, contiguous" in capsys.readouterr().out
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps([{"image_id": 9, "question_id": 1, "question": "What?"}]))
    assert main(["features", "check", store, "--questions", str(questions)]) == 0
    assert "in order" in capsys.readouterr().out
    assert main(["features", "export", store, "--format", "tsv", "--out", out]) == 0
    assert Path(out).read_bytes() == source.read_bytes()
    Image.new("RGB", (40, 50)).save(tmp_path / "25.png")
    picture = tmp_path / "drawn.png"
    words = ["--image-dir", str(tmp_path), "--image-id", "25", "--out", str(picture)]
    assert main(["features", "show", store, *words]) == 0
    assert Image.open(picture).format == "PNG"


def test_damage_ends_with_one_line_or_is_left_out(source, tmp_path, capsys):
    store = tmp_path / "x.h5"
    source.write_text(source.read_text() + _row(30, [[np.nan] * 3] * 2) + _row(31, np.ones((2, 3)))[:-9], newline="")
    assert main(["features", "convert", str(source), "--out", str(store)]) == 2
    error = capsys.readouterr().err.strip()
    assert "some.tsv: row 2 (line 3), image 30: region 0 holds NaN" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not store.exists()
    assert main(["features", "convert", str(source), "--out", str(store), "--on-error", "skip"]) == 0
    output = capsys.readouterr()
    assert "2 damaged images were left out" in output.out
    left_out = [line for line in output.err.splitlines() if line.startswith("left out: ")]
    assert ["image 30" in left_out[0], "image 31" in left_out[1], len(left_out)] == [True, True, 2]
    assert RegionStore(store).image_ids == (9, 25)


def test_a_check_that_finds_something_ends_with_2(source, tmp_path, capsys):
    store = str(tmp_path / "x.h5")
    main(["features", "convert", str(source), "--out", store])
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps([{"image_id": 7, "question_id": 1, "question": "What?"}]))
    assert main(["features", "check", store, "--questions", str(questions)]) == 2
    output = capsys.readouterr()
    assert "problem: " in output.out
    assert output.err.strip().splitlines()[-1].startswith(f"vqa-gs: {store}: 1 problem, the first: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convert", "absent.tsv", "--out", "x.h5"], "absent.tsv: no such feature file or folder"),
        (["export", "absent.h5", "--out", "x", "--format", "tsv"], "absent.h5: no such region store"),
        (["show", "absent.h5", "--image-dir", ".", "--image-id", "1", "--out", "x.png"], "absent.h5: no such region"),
        (["check", "absent.h5"], "absent.h5: no such region store"),
        (["draw"], "no command of `vqa-gs features` called 'draw'"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["features", *words]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
