import copy
import json

import numpy as np
import pytest
import torch
from vqa_gs.eval.grounding_file import read_grounding
from vqa_gs.eval.results import read_result_file, read_rows
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.table import read_pair_table

from vqa_gs.cli import main
from vqa_gs.data.questions import read_question_set
from vqa_gs.training.config import config_from_dict
from vqa_gs.training.loop import train
from vqa_gs.training.opened import load


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    config = copy.deepcopy({key: value for key, value in tiny.items() if key != "file"})
    config["training"]["epochs"] = 8
    return train(config_from_dict(config), tmp_path_factory.mktemp("runs") / "gs", quiet=True)


def predict(run, tiny, tmp_path, *more, split="ood_test"):
    files = tiny["data"]["tests"][split] if split in tiny["data"]["tests"] else tiny["data"][split]
    words = ["predict", "--run", str(run), "--questions", files["questions"], "--features", tiny["data"]["features"]]
    assert main([*words, "--out", str(tmp_path / "r.json"), *map(str, more)]) == 0
    return tmp_path / "r.json"


def test_scores_are_probabilities_of_the_answers(run, tiny, tmp_path):
    file = predict(run, tiny, tmp_path, "--scores")
    results = read_result_file(file)
    model = load(run)
    questions = read_question_set(tiny["data"]["tests"]["ood_test"]["questions"])
    store = RegionStore(tiny["data"]["features"])
    batch = store.read_batch(questions.image_ids)
    tokens = torch.from_numpy(model.words.encode([q.question for q in questions.questions], 14))
    with torch.no_grad():
        logits = model.model(batch.features, batch.boxes, batch.sizes, batch.mask, tokens).logits.double().numpy()
    for row, question_id in enumerate(questions.question_ids):
        best = logits[row].argmax()
        assert results.answers[question_id] == model.answers.answers[best]
        shares = np.exp(logits[row] - logits[row].max())
        shares /= shares.sum()
        assert results.confidence[question_id].score == pytest.approx(1 / (1 + np.exp(-logits[row, best])), rel=1e-5)
        assert results.confidence[question_id].entropy == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-4)


def test_training_and_a_file_of_all_answers_have_the_same_controls(run, tiny, tmp_path, capsys):
    file = predict(run, tiny, tmp_path, "--scores", "--top-k", 99)
    rows = read_rows(file)
    answers = load(run).answers.answers
    for row in rows:
        assert sorted(text for text, _ in row.top) == sorted(answers)
        assert row.top[0][0] == row.answer
        assert row.score == pytest.approx(1 / (1 + np.exp(-row.top[0][1])))
        assert [logit for _, logit in row.top] == sorted((logit for _, logit in row.top), reverse=True)
    data = tiny["data"]
    words = ["evaluate", "--controls", "--train-annotations", data["train"]["annotations"], "--results", str(file)]
    files = data["tests"]["ood_test"]
    words += ["--questions", files["questions"], "--annotations", files["annotations"]]
    assert main([*words, "--out", str(tmp_path / "m.json")]) == 0
    found = json.loads((tmp_path / "m.json").read_text())["breakdowns"]["controls"]
    own = json.loads((run / "metrics" / "ood_test.json").read_text())["breakdowns"]["controls"]
    assert own["top_k"] is None
    assert found == own | {"top_k": len(answers)}
    assert len(read_rows(predict(run, tiny, tmp_path, "--top-k", 1))[0].top) == 1
    assert (
        main(["predict", "--run", str(run), "--questions", "q", "--features", "f", "--out", "o", "--top-k", "-1"]) == 2
    )


def test_without_scores_the_file_has_the_official_form(run, tiny, tmp_path):
    rows = json.loads(predict(run, tiny, tmp_path).read_text())
    assert all(set(row) == {"question_id", "answer"} for row in rows)


def test_repeated_ids_name_their_images(run, tiny, tmp_path):
    questions = [{"question_id": 5, "image_id": image, "question": "What color is the car?"} for image in (3, 4)]
    (tmp_path / "q.json").write_text(json.dumps({"questions": questions}))
    words = ["--run", str(run), "--questions", str(tmp_path / "q.json"), "--features", tiny["data"]["features"]]
    assert main(["predict", *words, "--out", str(tmp_path / "r.json")]) == 0
    assert [(row.question_id, row.image_id) for row in read_rows(tmp_path / "r.json")] == [(5, 3), (5, 4)]


def test_gradient_lengths_are_finite_differences(run, tiny):
    model, store = load(run), RegionStore(tiny["data"]["features"])
    questions = read_question_set(tiny["data"]["tests"]["ood_test"]["questions"]).subset([0, 1])
    grounding = model.ground(questions, store, 2)
    assert grounding.first.tolist() == [0, *np.cumsum(store.counts(questions.image_ids))]
    network = model.model.double()
    batch = store.read_batch(questions.image_ids)
    tokens = torch.from_numpy(model.words.encode([q.question for q in questions.questions], 14))
    with torch.no_grad():
        question = network.encode_tokens(tokens)
        regions = network.prepare_regions(
            batch.features.double(), batch.boxes.double(), batch.sizes.double(), batch.mask
        )
        out = network.answer(regions, batch.mask, question)
        label = out.logits.argmax(1)
        for row in range(2):
            part = slice(grounding.first[row], grounding.first[row + 1])
            count = part.stop - part.start
            assert grounding.attention[part] == pytest.approx(out.attention[row, :count].numpy(), abs=1e-5)
            assert grounding.attention[part].sum() == pytest.approx(1, abs=1e-5)
            for region in range(count):
                slopes = []
                for dim in range(regions.shape[-1]):
                    values = []
                    for sign in (1, -1):
                        moved = regions.clone()
                        moved[row, region, dim] += sign * 1e-5
                        values.append(network.answer(moved, batch.mask, question).logits[row, label[row]].item())
                    slopes.append((values[0] - values[1]) / 2e-5)
                length = float(np.linalg.norm(slopes))
                assert grounding.gradient[part][region] == pytest.approx(length, rel=1e-3, abs=1e-6)


def test_relevant_boxes_tell_where_a_run_looks(tiny, tmp_path):
    """A run told which boxes matter reports what `ground` and the breakdown give on its model afterwards."""
    config = copy.deepcopy({key: value for key, value in tiny.items() if key != "file"})
    config["data"]["features"] = str(tmp_path / "apart.h5")
    config["data"]["pairs"], config["objectives"] = [], {}
    # The same regions, with boxes that do not overlap: the first of each image matters.
    with (
        RegionStore(tiny["data"]["features"]) as tiny_store,
        RegionStoreWriter(tmp_path / "apart.h5", dim=tiny_store.dim, dtype="float32", fingerprint="apart") as writer,
    ):
        for image in tiny_store.image_ids:
            features = tiny_store[image].features
            left = 10 * np.arange(len(features), dtype=np.float32)[:, None]
            writer.add(image, features, left + np.array([[0, 0, 9, 9]], np.float32), (500, 500))
    questions = read_question_set(config["data"]["tests"]["ood_test"]["questions"])
    boxes = [{"question_id": question_id, "boxes": [[0, 0, 9, 9]]} for question_id in questions.question_ids]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    config["data"]["tests"]["ood_test"]["relevant_boxes"] = str(tmp_path / "boxes.json")
    config["training"]["epochs"] = 1
    out = train(config_from_dict(config), tmp_path / "looking", quiet=True)
    written = read_grounding(out / "grounding" / "ood_test.h5")
    with RegionStore(tmp_path / "apart.h5") as store:
        expected = load(out).ground(questions, store)
    np.testing.assert_allclose(written.attention, expected.attention, atol=1e-6)
    np.testing.assert_allclose(written.gradient, expected.gradient, rtol=1e-4, atol=1e-6)
    metrics = json.loads((out / "metrics" / "ood_test.json").read_text())
    shares = [
        100 * written.attention[start:end][0] / written.attention[start:end].sum()
        for start, end in zip(written.first, written.first[1:], strict=False)
        if end - start > 1
    ]
    found = metrics["breakdowns"]["grounding"]["regions"]["all"]
    assert found["questions"] == len(shares)
    assert found["attention"] == pytest.approx(np.mean(shares), rel=1e-4)
    assert not (out / "grounding" / "iid_val.h5").exists()


def test_grounding_with_pairs_tells_what_training_supervised(run, tiny, tmp_path):
    train_files, table = tiny["data"]["train"], tiny["data"]["pairs"][0]
    predict(
        run, tiny, tmp_path, "--grounding", tmp_path / "g.h5", "--pairs", table,
        "--annotations", train_files["annotations"], split="train",
    )  # fmt: skip
    grounding = read_grounding(tmp_path / "g.h5")
    assert len(grounding.pairs) == len(read_pair_table(table))
    assert grounding.function == "contrast"
    known = grounding.cosine[~np.isnan(grounding.cosine)]
    assert (np.abs(known) <= 1.0001).all()
    assert len(known) > len(grounding.pairs)
    assert known.mean() > 0.3  # these pairs were trained on: their gradients point where they should
    metrics = tmp_path / "m.json"
    words = ["evaluate", "--questions", train_files["questions"], "--annotations", train_files["annotations"]]
    words += ["--results", str(tmp_path / "r.json"), "--grounding", str(tmp_path / "g.h5"), "--out", str(metrics)]
    assert main([*words, "--pairs", f"trained={table}", "--bootstrap", "200"]) == 0
    sections = json.loads(metrics.read_text())["breakdowns"]
    assert sections["grounding"]["pairs"]["cosine"] == pytest.approx(float(known.mean()), abs=1e-6)
    assert sections["pair_consistency"]["trained"]["pairs"] == len(grounding.pairs)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--pairs", "p.h5"], "--pairs needs --grounding and --annotations"),
        (["--edited-questions", "q.json"], "go together"),
    ],
)
def test_refused(run, tiny, tmp_path, capsys, more, message):
    words = ["predict", "--run", str(run), "--questions", "q", "--features", "f", "--out", str(tmp_path / "r"), *more]
    assert main(words) == 2
    assert message in capsys.readouterr().err
