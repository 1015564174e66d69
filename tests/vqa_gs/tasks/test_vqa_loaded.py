"""Asking a run about pictures: the features are those the run's store has, and the answers those predict gives."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from vqa_gs.features.extract.again import Wishes, extractor_of
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.extract.boxes import BoxSettings, load_boxes
from vqa_gs.features.extract.images import load_image
from vqa_gs.features.extract.listing import list_images
from vqa_gs.features.extract.regions import RegionLimits
from vqa_gs.features.extract.run import extract_regions
from vqa_gs.features.store import RegionStore

import vqa_gs
from vqa_gs.cli import main
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.training.config import config_from_dict
from vqa_gs.training.loop import train

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}
BACKBONE = {"weights": "random", "short_side": 64, "long_side": 96, "levels": [1, -1]}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Thirty pictures of one colour each; returns the folder and each picture's answer."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    answers = {}
    for number in range(30):
        name = list(COLOURS)[number % 3]
        pixels = np.array(COLOURS[name]) + rng.integers(-25, 25, (48 + number % 5, 64, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number + 1}.png")
        answers[number + 1] = name
    return folder, answers


def split(folder, name, images, answers):
    questions = [{"question_id": at, "image_id": at, "question": "What color is it?"} for at in images]
    annotations = [
        {
            "question_id": at,
            "image_id": at,
            "question_type": "what color is",
            "answer_type": "other",
            "multiple_choice_answer": answers[at],
            "answers": [{"answer": answers[at], "answer_confidence": "yes", "answer_id": i + 1} for i in range(10)],
        }
        for at in images
    ]
    files = {"questions": folder / f"{name}_q.json", "annotations": folder / f"{name}_a.json"}
    files["questions"].write_text(json.dumps(questions))
    files["annotations"].write_text(json.dumps(annotations))
    return {key: str(file) for key, file in files.items()}


def trained(folder, pictures, boxes):
    """Extracts with a box source (None: boxes given with the images), trains, returns the run and its store."""
    backbone = load_backbone("resnet10t", **BACKBONE)
    items = list_images(pictures[0])
    source = None if boxes is None else load_boxes(boxes, BoxSettings(RegionLimits(7, 7)))
    if boxes is None:
        items = [
            (image_id, path, np.array([[2, 2, 40, 40], [10, 5, 60, 45]], np.float32)) for image_id, path, _ in items
        ]
    store = folder / "regions.h5"
    extract_regions(items, backbone, store, boxes=source, workers=1)
    config = {
        "data": {
            "train": split(folder, "train", range(1, 21), pictures[1]),
            "iid_val": split(folder, "val", range(21, 31), pictures[1]),
            "features": str(store),
            "min_answer_questions": 1,
        },
        "model": {"hidden": 32, "word_dim": 8, "standardize": True, "boxes": True},
        "training": {"epochs": 6, "batch_size": 8, "lr": 0.01, "device": "cpu"},
    }
    return train(config_from_dict(config), folder / "run", quiet=True), store


@pytest.fixture(scope="module")
def grid(tmp_path_factory, pictures):
    return trained(tmp_path_factory.mktemp("grid"), pictures, "grid")


@pytest.fixture(scope="module")
def given(tmp_path_factory, pictures):
    return trained(tmp_path_factory.mktemp("given"), pictures, None)


def test_a_picture_is_described_as_the_store_has_it(grid, pictures):
    run, store = grid
    extractor = extractor_of(RegionStore(store).fingerprint)
    assert extractor.notes == []
    with RegionStore(store) as there:
        for image_id in (1, 2, 30):
            made = extractor.describe(load_image(pictures[0] / f"{image_id}.png"))
            np.testing.assert_array_equal(made.boxes, there[image_id].boxes)
            np.testing.assert_allclose(made.features, there[image_id].features, atol=2e-3)
            assert made.size.tolist() == there[image_id].size.tolist()
            assert len(made.boxes) == 7


def test_answers_are_those_of_predict(grid, pictures, capsys):
    run, store = grid
    model = vqa_gs.load(run, device="cpu")
    for image_id in (21, 22, 23):
        guesses = model.answer(pictures[0] / f"{image_id}.png", "What color is it?", top=3)
        assert [guess.score for guess in guesses] == sorted((guess.score for guess in guesses), reverse=True)
        assert {guess.answer for guess in guesses} == set(COLOURS)
        words = [
            "predict",
            "--run",
            run,
            "--features",
            store,
            "--question",
            "What color is it?",
            "--image-id",
            image_id,
        ]
        assert main([*map(str, words), "--top", "3"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("  ")[-1] for line in lines] == [guess.answer for guess in guesses]
        assert float(lines[0].split()[0]) == pytest.approx(100 * guesses[0].score, abs=0.11)


def test_whatever_an_image_is_given_as(grid, pictures):
    run, store = grid
    model, file = vqa_gs.load(run), pictures[0] / "21.png"
    with RegionStore(store) as there:
        regions = there[21]
    forms = [file, str(file), Image.open(file), np.asarray(Image.open(file).convert("RGB")), regions]
    many = model.answer_many(forms, ["What color is it?"] * len(forms), top=1)
    for (guess,) in many:
        assert guess.answer == many[0][0].answer
        assert guess.score == pytest.approx(many[0][0].score, abs=2e-3)


def test_where_it_looks_is_what_ground_says(grid, pictures):
    run, store = grid
    model = vqa_gs.load(run)
    with RegionStore(store) as there:
        looks = model.attention(there[25], "What color is it?")
    assert looks.attention.sum() == pytest.approx(1, abs=1e-5)
    assert looks.boxes.shape == (7, 4)
    assert (looks.gradient > 0).all()
    assert looks.size == (64, 48 + 24 % 5)


def test_plot_is_written(grid, pictures, tmp_path):
    model = vqa_gs.load(grid[0])
    drawn = model.plot(pictures[0] / "21.png", "What color is it?", tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as written:
        assert written.size == drawn.size
    with pytest.raises(UsageError, match="regions alone"):
        model.plot(model.describe(pictures[0] / "21.png"), "What color is it?")


def test_ask_on_the_command_line(grid, pictures, tmp_path, capsys):
    words = ["ask", "--run", grid[0], "--image", pictures[0] / "24.png", "What hue is it?", "--top", "2"]
    assert main([*map(str, words), "--plot", str(tmp_path / "p.png")]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "no training question has the word hue" in told.err
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_boxes_given_with_the_images_are_found_in_the_store_or_asked_for(given, pictures, tmp_path, capsys):
    run, store = given
    words = ["ask", "--run", str(run), "What color is it?", "--image"]
    assert main([*words, str(pictures[0] / "21.png")]) == 0
    assert "boxes: those of image 21" in capsys.readouterr().err
    other = tmp_path / "photo.png"
    Image.open(pictures[0] / "21.png").save(other)
    assert main([*words, str(other)]) == 2
    assert "the run's images came with their boxes" in capsys.readouterr().err
    (tmp_path / "boxes.json").write_text(json.dumps({"photo": [[2, 2, 40, 40], [10, 5, 60, 45]]}))
    assert main([*words, str(other), "--boxes", f"table:{tmp_path / 'boxes.json'}"]) == 0
    assert main([*words, str(other), "--boxes", "grid", "--regions", "10"]) == 0
    model, wanted = vqa_gs.load(run, boxes=f"table:{tmp_path / 'boxes.json'}"), RegionStore(store)[21]
    np.testing.assert_allclose(model.describe(other).features, wanted.features, atol=2e-3)


def test_a_name_without_its_size_is_another_image(given, pictures, tmp_path):
    Image.new("RGB", (30, 30)).save(tmp_path / "21.png")
    with pytest.raises(UsageError, match="not known"):
        vqa_gs.load(given[0]).answer(tmp_path / "21.png", "What color is it?")


def test_features_made_otherwise_are_refused(grid):
    facts = json.loads(RegionStore(grid[1]).fingerprint)
    other = json.dumps({**facts, "weights_sha256": "0" * 64})
    with pytest.raises(UsageError, match="weights_sha256"):
        extractor_of(other)
    assert any("weights_sha256" in note for note in extractor_of(other, Wishes(allow_other=True)).notes)
    older = json.dumps({**facts, "versions": {**facts["versions"], "timm": "0.9"}})
    assert "versions.timm" in extractor_of(older).notes[0]
    with pytest.raises(UsageError, match="cannot be made alike"):
        extractor_of("drawn by a test")
    with pytest.raises(UsageError, match="--weights FILE"):
        extractor_of(json.dumps({**facts, "weights": "file"}))


@pytest.mark.parametrize(
    ("image", "question", "error", "message"),
    [
        ("no/such.jpg", "what?", DataError, "no such image file"),
        ({}, "what?", UsageError, "a dict is no image"),
        (np.zeros((4, 4), np.uint8), "what?", UsageError, "is no picture"),
        ("no/such.jpg", "  ", UsageError, "there is no question"),
    ],
)
def test_refused(grid, image, question, error, message):
    with pytest.raises(error, match=message):
        vqa_gs.load(grid[0]).answer(image, question)


def test_regions_of_another_kind_are_refused(grid):
    regions = type(RegionStore(grid[1])[1])(
        np.zeros((2, 5), np.float32), np.zeros((2, 4), np.float32), np.array([9, 9])
    )
    with pytest.raises(DataError, match="regions have 5 numbers"):
        vqa_gs.load(grid[0]).answer(regions, "what?")
    regions.features[0, 0] = np.nan
    with pytest.raises(DataError, match="NaN"):
        vqa_gs.load(grid[0]).answer(regions, "what?")


def test_a_run_that_is_none(tmp_path, capsys):
    with pytest.raises(DataError, match="no such run directory"):
        vqa_gs.load(tmp_path / "run")
    assert main(["ask", "--run", str(tmp_path / "run"), "--image", "a.jpg", "what?"]) == 2
    assert "no such run directory" in capsys.readouterr().err


def test_asking_leaves_random_numbers_alone(grid, pictures):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    vqa_gs.load(grid[0]).answer(pictures[0] / "3.png", "What color is it?")
    assert torch.equal(torch.rand(3), expected)
