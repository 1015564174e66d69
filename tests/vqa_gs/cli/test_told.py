"""Commands that take long on large files tell each of their stages; here every stage is one that takes long."""

import pytest

from tests.vqa_gs.cli.conftest import build_pairs, predict, write, write_fixed36
from vqa_gs.cli import main
from vqa_gs.common import phases


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    # A phase tells at its end how long it took, if that was longer than this.
    monkeypatch.setattr(phases, "_FIRST", 1e-6)


def told(words, capsys):
    assert main([str(word) for word in words]) == 0
    return [line.rpartition(": ")[0] for line in capsys.readouterr().err.splitlines()]


def pairs_words(here, kind):
    words = build_pairs(here)
    words[words.index("same-question")] = kind
    return words


GROUPED = ["reading the mean region of each image", "finding partners"]
MATCHED = "matching the regions of pairs"


@pytest.mark.parametrize(
    ("kind", "more", "stages"),
    [
        ("same-question", ["--select", "cap"], [*GROUPED, "choosing among", MATCHED]),
        (
            "near-duplicate",
            ["--near_duplicate.any_images", "true"],
            ["comparing 80 images", "searching the nearest of 80 images", "grouping near-duplicate questions"]
            + ["comparing the questions of similar images", *GROUPED, MATCHED],
        ),
        ("complementary", ["--complementary.pairs", "LISTS"], [GROUPED[0], MATCHED]),
        ("masked", ["--masked.evidence", "hints", "--hints.file", "HINTS"], ["finding which regions matter"]),
        ("edited", ["--pair-list", "LIST"], []),
        ("shuffled", ["--shuffled.of", "PAIRS"], [MATCHED]),
    ],
)
def test_pairs_build(kind, more, stages, here, tmp_path, capsys):
    from vqa_gs.features.store import RegionStore
    from vqa_gs.pair_builders.table import read_pair_table

    table, store = read_pair_table(here.pairs), RegionStore(here.store)
    ends = [[int(a), int(b)] for a, b in zip(table.question_a[:9], table.question_b[:9], strict=True)]
    hints = {str(number): [0.9] + [0.1] * (len(store[number].boxes) - 1) for number in range(9)}
    files = {
        "LIST": write(tmp_path / "list.json", ends),
        "LISTS": f"[{tmp_path / 'list.json'}]",
        "HINTS": write(tmp_path / "hints.json", hints),
        "PAIRS": here.pairs,
    }
    if kind == "edited":
        more = [*more, "--edited.alignment", "matched"]
    lines = told([*pairs_words(here, kind), *(files.get(word, word) for word in more)], capsys)
    for stage in ["reading the questions", *stages, f"making {kind} pairs", "writing the table", "counting"]:
        assert any(line.startswith(stage) for line in lines), (stage, lines)


def test_convert(tmp_path, capsys):
    lines = told(["features", "convert", write_fixed36(tmp_path, range(5)), "--out", tmp_path / "r.h5"], capsys)
    assert "converting" in lines


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        (["check", "STORE"], "reading the store"),
        (["export", "STORE", "--format", "tsv", "--out", "OUT"], "exporting"),
        (["merge", "STORE", "--out", "OUT"], "merging"),
    ],
)
def test_stores(words, stage, here, tmp_path, capsys):
    files = {"STORE": here.store, "OUT": tmp_path / "new"}
    assert stage in told(["features", *(files.get(word, word) for word in words)], capsys)


def test_predict_evaluate_report(here, tmp_path, capsys):
    lines = told(predict(here), capsys)
    assert {"reading the questions", "answering"} <= set(lines)
    words = ["evaluate", "--questions", here.questions, "--annotations", here.annotations, "--results", here.results]
    lines = told([*words, "--out", tmp_path / "metrics.json"], capsys)
    resampling = "resampling images 1,000 times for intervals"
    assert {"reading the questions", "scoring 20 answers", resampling, "breaking the scores down: flips"} <= set(lines)
    lines = told(["report", here.run, "--out", tmp_path / "report.html"], capsys)
    assert {"reading runs", "reading predictions of ood_test", "building the sections"} <= set(lines)


def test_train(here, capsys):
    lines = told(["train", "--config", here.config, "--max-steps", "3", "--out", here.out], capsys)
    stages = {"reading and checking the data", "building the model", "training", "scoring iid_val", "scoring ood_test"}
    assert stages <= set(lines)
    assert "analysing ood_test" in (here.out / "train.log").read_text()
