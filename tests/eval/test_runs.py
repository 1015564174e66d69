import json

import pytest
from vqa_gs.eval.metrics_file import read_metrics, write_metrics
from vqa_gs.eval.run_files import load_run
from vqa_gs.eval.runs import flatten, split_domain

from vqa_gs.common.errors import DataError

from .test_report_fixtures import metrics_of, write_run


def test_load_run_reads_everything(tmp_path):
    run = load_run(write_run(tmp_path / "gs-seed3", name="gs", seed=3))
    assert (run.name, run.arm, run.seed, run.complete) == ("gs-seed3", "gs", 3, True)
    assert run.config["training"]["epochs"] == 14
    assert "training" in run.config_text
    assert run.provenance["git_revision"].startswith("4f1c0d92ab")
    ood = run.metrics["ood_test"]
    assert ood.scoring == "official"
    assert ood.side == "ood"
    assert ood.per_question_type["how many"] > 0
    assert ood.pair_accuracy["same_question"].pairs == 1204
    assert ood.subsets["answerable"].questions == 522
    assert run.curves is not None
    assert run.curves.epochs == tuple(map(float, range(1, 15)))
    assert len(run.curves.points("gs_alignment")) == 14
    assert run.curves.points("nothing") == []


def test_only_metrics_are_needed(tmp_path):
    (tmp_path / "bare" / "metrics").mkdir(parents=True)
    (tmp_path / "bare/metrics/ood_test.json").write_text(json.dumps(metrics_of("ood_test", 0, 0)))
    run = load_run(tmp_path / "bare")
    assert (run.config, run.provenance, run.curves, run.seed, run.complete) == ({}, {}, None, None, False)


@pytest.mark.parametrize(
    ("folder", "name", "arm", "shown"),
    [
        ("gs-seed12", None, "gs", "gs-seed12"),
        ("gs_seed12", "", "gs", "gs_seed12"),
        ("gs/seed12", None, "gs", "gs/seed12"),
        ("gs/seed_12", None, "gs", "gs/seed_12"),
        ("gs-seed12", "chosen", "chosen", "gs-seed12"),
        ("reseed12", None, "reseed12", "reseed12"),
        ("gs-seed", None, "gs-seed", "gs-seed"),
    ],
)
def test_names(tmp_path, folder, name, arm, shown):
    run = load_run(write_run(tmp_path / folder, name=name, seed=12))
    assert (run.arm, run.name) == (arm, shown)


def test_seed_from_the_folder_where_nothing_else_tells(tmp_path):
    folder = write_run(tmp_path / "gs-seed7", name="gs")
    (folder / "run.json").unlink()
    (folder / "config.yaml").unlink()
    assert load_run(folder).seed == 7


def message(call, *arguments) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_no_such_folder_and_no_metrics(tmp_path):
    assert "no such run folder" in message(load_run, tmp_path / "absent")
    (tmp_path / "file").touch()
    assert "expected a run folder" in message(load_run, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "no metrics" in message(load_run, tmp_path / "empty")
    (tmp_path / "empty" / "metrics").mkdir()
    assert "vqa-gs evaluate" in message(load_run, tmp_path / "empty")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"format": "vqa-gs-met', "not valid JSON"),
        ("", "is empty"),
        ("[1]", "format is None"),
        ('{"format": "other"}', "'other'"),
        ('{"format": "vqa-gs-metrics"}', "scoring"),
        ('{"format": "vqa-gs-metrics", "scoring": "official", "split": "x", "overall": "much"}', "$.overall"),
        ('{"format": "vqa-gs-metrics", "scoring": "official", "split": "x", "overall": 101}', "$.overall"),
        ('{"format": "vqa-gs-metrics", "scoring": "official", "split": "x", "overall": NaN}', "not valid JSON"),
    ],
)
def test_damaged_metrics(tmp_path, content, expected):
    folder = write_run(tmp_path / "run")
    (folder / "metrics/ood_test.json").write_text(content)
    text = message(load_run, folder)
    assert expected in text
    assert "ood_test.json" in text


def test_metrics_that_are_not_text(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    assert "not valid JSON" in message(read_metrics, tmp_path / "x.json")
    assert "no such metrics file" in message(read_metrics, tmp_path / "y.json")


def test_two_files_of_one_split(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "metrics/copy.json").write_text((folder / "metrics/ood_test.json").read_text())
    assert "a second file for the split 'ood_test'" in message(load_run, folder)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("config.yaml", "a: [1", "not readable YAML"),
        ("config.yaml", "- 1\n- 2\n", "not a mapping"),
        ("config.yaml", "a: &a\n  b: *a\n", "contains itself"),
        ("config.yaml", "a: !!python/object/apply:os.system [true]\n", "not readable YAML"),
        ("run.json", "{", "not valid JSON"),
        ("run.json", "[]", "not a run's record"),
        ("epochs.csv", "epoch,loss\n1,2,3\n", "row 1"),
    ],
)
def test_damaged_neighbours(tmp_path, file, content, expected):
    folder = write_run(tmp_path / "run")
    (folder / file).write_text(content)
    text = message(load_run, folder)
    assert expected in text
    assert file in text


def test_curves_of_a_resumed_and_killed_run(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "epochs.csv").write_text("epoch,loss,when\n1,5.0,noon\n2,4.0,one\n2,3.5,two\n3,nan,three\n4\n")
    curves = load_run(folder).curves
    assert curves.epochs == (1, 2, 3, 4)
    assert curves.columns == {"loss": (5.0, 3.5, None, None)}
    (folder / "epochs.csv").write_text("")
    assert load_run(folder).curves is None


@pytest.mark.parametrize(
    ("split", "side"),
    [
        ("iid_val", "in"),
        ("val", "in"),
        ("IID", "in"),
        ("ood_test", "ood"),
        ("test", "ood"),
        ("ood_val", "ood"),
        ("train", None),
        ("vqa-ce", None),
    ],
)
def test_split_domain(split, side):
    assert split_domain(split) == side


def test_a_metrics_file_names_its_own_side(tmp_path):
    scores = {"vqa-ce": metrics_of("vqa-ce", 0, 0) | {"domain": "ood"}}
    assert load_run(write_run(tmp_path / "run", metrics=scores)).metrics["vqa-ce"].side == "ood"


def test_flatten():
    assert flatten({"a": {"b": [1, {"c": 2}]}, "d": {}}) == {"a.b.0": 1, "a.b.1.c": 2, "d": {}}


def test_metrics_written_by_evaluate_are_read(tmp_path):
    from vqa_gs.eval.evaluate import evaluate

    from vqa_gs.data.questions import read_question_set

    questions = [{"question_id": i, "image_id": 1, "question": "is it?", "coco_split": "val2014"} for i in (1, 2)]
    annotations = [
        {
            "question_id": i,
            "image_id": 1,
            "question_type": "is it",
            "answer_type": "yes/no",
            "multiple_choice_answer": "yes",
            "answers": [{"answer": "yes", "answer_confidence": "yes", "answer_id": j} for j in range(1, 11)],
        }
        for i in (1, 2)
    ]
    (tmp_path / "q.json").write_text(json.dumps(questions))
    (tmp_path / "a.json").write_text(json.dumps(annotations))
    loaded = read_question_set(tmp_path / "q.json", tmp_path / "a.json")
    scores = evaluate(loaded, {1: "yes", 2: "no"}, split="ood_test", subsets={"first": [1]})
    write_metrics(tmp_path / "metrics.json", scores)
    metrics = read_metrics(tmp_path / "metrics.json")
    assert metrics == scores
    assert (metrics.overall, metrics.questions) == (50.0, 2)
    assert metrics.subsets["first"].overall == 100.0
    assert len(metrics.sources["questions"].sha256) == 64
