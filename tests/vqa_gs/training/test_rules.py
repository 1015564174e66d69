import copy
import json
from pathlib import Path

import numpy as np
import pytest
from vqa_gs.eval.run_files import load_run
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.cli import main
from vqa_gs.common.errors import DataError
from vqa_gs.data.questions import read_annotations
from vqa_gs.data.targets import soft_targets
from vqa_gs.data.vocabulary import AnswerVocabulary
from vqa_gs.training.config import config_from_dict
from vqa_gs.training.loop import train

RAD = Path(__file__).resolve().parents[4] / "shared" / "data" / "vqa-rad"
needs_rad = pytest.mark.skipif(not RAD.is_dir(), reason="shared/data/vqa-rad is absent")


def settings(tiny, **training):
    config = copy.deepcopy({key: value for key, value in tiny.items() if key != "file"})
    config["training"].update(training)
    return config


@pytest.fixture(scope="module")
def rad_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("rad") / "store.h5"
    questions = [
        q for split in ("train", "test") for q in json.loads((RAD / f"{split}_questions.json").read_text())["questions"]
    ]
    rng = np.random.default_rng(0)
    with RegionStoreWriter(path, dim=8, dtype="float32", fingerprint="noise") as writer:
        for image in sorted({question["image_id"] for question in questions}):
            box = np.array([[0, 0, 10, 10]], np.float32)
            writer.add(image, rng.normal(size=(1, 8)).astype(np.float32), box, (10, 10))
    return path


@needs_rad
@pytest.mark.parametrize("rule", ["exact", "exact-normalized"])
def test_single_answers_are_trained_on_and_selected_by(rad_store, tmp_path, rule):
    def files(split):
        return {
            "questions": str(RAD / f"{split}_questions.json"),
            "annotations": str(RAD / f"{split}_annotations.json"),
        }

    config = {
        "scoring": rule,
        "data": {"train": files("train"), "tests": {"test": files("test")}, "features": str(rad_store)},
        "model": {"hidden": 32, "word_dim": 16},
        "training": {"epochs": 3, "batch_size": 128, "lr": 0.01, "device": "cpu"},
    }
    run = load_run(train(config_from_dict(config), tmp_path / "run", quiet=True))
    metrics = run.metrics["test"]
    assert metrics.scoring == run.metrics["iid_val"].scoring == rule
    # The regions are noise, so the most common answer's 23 % (29 % normalised) is about what there is to learn.
    assert metrics.overall > 20
    answers = json.loads((tmp_path / "run" / "answers.json").read_text())
    assert answers["rule"] == rule
    assert ("Yes" in answers["answers"]) == (rule == "exact")
    answered = {row["answer"] for row in json.loads((tmp_path / "run" / "predictions" / "test.json").read_text())}
    assert answered <= set(answers["answers"])


@needs_rad
def test_a_rule_for_ten_answers_is_refused_on_single_ones(rad_store, tmp_path, capsys):
    config = {
        "data": {
            "train": {
                "questions": str(RAD / "train_questions.json"),
                "annotations": str(RAD / "train_annotations.json"),
            },
            "features": str(rad_store),
        },
        "model": {"hidden": 8, "word_dim": 8},
        "training": {"epochs": 1, "max_steps": 1, "device": "cpu"},
    }
    with pytest.raises(DataError, match="--scoring exact"):
        train(config_from_dict(config), tmp_path / "run", quiet=True)


@needs_rad
def test_targets_under_exact_keep_spellings_apart():
    annotations = read_annotations(RAD / "train_annotations.json")
    spelled = AnswerVocabulary.build(annotations, 9, "exact")
    assert {"Yes", "yes"} <= set(spelled.answers)
    assert "Yes" not in AnswerVocabulary.build(annotations, 9, "exact-normalized").answers
    targets = soft_targets(annotations, spelled)
    for row in range(0, len(annotations), 97):
        label = spelled.index.get(annotations[row].answers[0].answer)
        dense = targets.dense([row])[0]
        assert dense.sum() == (label is not None)
        assert label is None or dense[label] == 1


def test_a_saved_vocabulary_keeps_its_rule(tmp_path):
    AnswerVocabulary(["Yes", "yes"], "exact").save(tmp_path / "a.json")
    assert AnswerVocabulary.load(tmp_path / "a.json").rule == "exact"
    (tmp_path / "b.json").write_text('{"format": "vqa-gs-answers", "format_version": 1, "answers": ["yes"]}')
    assert AnswerVocabulary.load(tmp_path / "b.json").rule == "official"


def test_epochs_are_not_chosen_on_a_test_split(tiny, tmp_path):
    config = settings(tiny, epochs=1)
    config["data"]["tests"] = {"ood_test": config["data"]["iid_val"]}
    with pytest.raises(DataError, match=r"question 1000: this question of the test split ood_test is in iid_val too"):
        train(config_from_dict(config), tmp_path / "refused", quiet=True)
    config["data"]["test_selection"] = "acknowledged"
    run = train(config_from_dict(config), tmp_path / "run", quiet=True)
    metrics = json.loads((run / "metrics" / "ood_test.json").read_text())
    assert metrics["selection"] == {"on_test": True}
    assert "epochs were chosen on questions of a test split" in metrics["notes"]


def test_a_runs_metrics_have_intervals_and_priors_and_compare(tiny, tmp_path, capsys):
    runs = []
    for seed in (0, 1):
        config = settings(tiny, epochs=2)
        config["seed"] = seed
        runs.append(train(config_from_dict(config), tmp_path / f"seed{seed}", quiet=True))
    metrics = json.loads((runs[0] / "metrics" / "ood_test.json").read_text())
    assert metrics["intervals"]["overall"] is not None
    assert set(metrics["breakdowns"]) == {"controls", "head_tail", "prior"}
    assert main(["compare", str(runs[0]), str(runs[1]), "--out", str(tmp_path / "c.json")]) == 0
    comparison = json.loads((tmp_path / "c.json").read_text())
    assert comparison["rows"][0]["a"] == pytest.approx(metrics["overall"])
    out = capsys.readouterr().out
    assert "% under official" in out
    assert main(["compare", f"{runs[0]},{runs[1]}", f"{runs[1]},{runs[0]}", "--split", "iid_val"]) == 0
    assert "2 seeds, mean" in " ".join(capsys.readouterr().out.split())  # long folder names wrap the line
    assert main(["compare", str(runs[0]), str(runs[1]), "--split", "other"]) == 2
    assert "has no split 'other' in files of its own (choose --split iid_val, ood_test)" in capsys.readouterr().err
