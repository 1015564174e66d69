"""The commands around stores: what would be converted, other ids, two stores beside each other, statistics, patches."""

from __future__ import annotations

import json

import numpy as np
import pytest
from vqa_gs.features.store import RegionStore

from tests.features.formats import later_files as later
from tests.features.formats.conftest import content
from vqa_gs.cli import main


@pytest.fixture
def features(capsys):
    def run(*words):
        code = main(["features", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def questions(path, ids):
    rows = [{"question_id": n, "image_id": i, "question": "What?"} for n, i in enumerate(ids)]
    path.write_text(json.dumps(rows))
    return path


def test_a_dry_run_tells_and_writes_nothing(features, tmp_path):
    folder = later.write_npy(tmp_path / "x", content(("image6", "image7"), (2, 3)))
    out, asked = tmp_path / "x.h5", questions(tmp_path / "q.json", [6, 7])
    code, text, errors = features("convert", folder, "--out", out, "--dry-run")
    assert (code, out.exists()) == (0, False)
    assert f"recognised: npy, 1 source\nwould write {out}: 2 images, regions of 6 x float32" in text
    assert "ids: 2 names became text ids ('image6' is 'image6')" in errors
    code, _, errors = features("convert", folder, "--out", out, "--for", asked)
    assert (code, out.exists()) == (2, False)
    assert "2 of 2 images are not there: 6, 7 (the questions' ids are numbers, these are text: --ids number)" in errors
    code, text, _ = features("convert", folder, "--out", out, "--for", asked, "--ids", "number", "--dry-run")
    assert f"{asked}: all images are there" in text
    assert features("convert", folder, "--out", out, "--for", asked, "--ids", "number")[0] == 0
    assert RegionStore(out).image_ids == (6, 7)


def test_what_is_not_known_gets_five_lines(features, tmp_path):
    (tmp_path / "x.bin2").write_bytes(b"nothing")
    code, _, errors = features("convert", tmp_path / "x.bin2", "--out", tmp_path / "x.h5")
    assert code == 2
    assert "with RegionStoreWriter(" in errors
    assert errors.splitlines()[-1].startswith(f"vqa-gs: {tmp_path / 'x.bin2'}: none of the known feature formats")


def test_the_recipe_that_is_printed_works(tmp_path, monkeypatch):
    from vqa_gs.features.recognise import RECIPE

    monkeypatch.chdir(tmp_path)
    lines = [line[4:] for line in RECIPE.splitlines()[1:]]
    images = [(7, np.ones((2, 2048)), np.array([[0, 0, 1, 1], [1, 1, 2, 2]]), (4, 4))]
    exec("\n".join(lines), {"YOUR_IMAGES": images})
    assert RegionStore("regions.h5")[7].features.shape == (2, 2048)


def test_other_ids_and_two_stores(features, tmp_path):
    folder = later.write_npy(tmp_path / "x", content(("image6", "image7"), (2, 3)))
    store, other = tmp_path / "x.h5", tmp_path / "y.h5"
    features("convert", folder, "--out", store)
    code, text, _ = features("rename", store, "--ids", "number", "--out", other)
    assert code == 0
    assert "ids: 2 names became the number at their end" in text
    code, text, errors = features("diff", store, other)
    assert code == 2
    assert "kind of image ids: str and int" in text
    assert "the stores differ" in errors
    features("rename", other, "--ids", "text", "--out", store)
    again = tmp_path / "z.h5"
    features("rename", other, "--ids", "text", "--out", again)
    assert features("diff", store, again)[1] == "the same 2 images, to the last bit\n"


def test_statistics_as_text_and_as_a_page(features, noise_pictures, tmp_path):
    pictures = noise_pictures([f"{number}.png" for number in range(5)], 30, 40)
    images = content(range(5), (2, 3, 2, 2, 4))
    images[3]["features"] = images[3]["features"] * 100
    images[4]["features"] = np.concatenate([images[0]["features"]] * 2)
    images[2]["features"] = images[0]["features"]
    folder = later.write_safetensors(tmp_path / "x.safetensors", images)
    features("convert", folder, "--out", tmp_path / "x.h5")
    page = tmp_path / "x.html"
    code, text, _ = features("stats", tmp_path / "x.h5", "--html", page, "--image-dir", pictures)
    assert code == 0
    assert "same features       1 groups of images: 0 = 2" in text
    assert "stands out          3: mean length" in text
    assert page.read_text().count("<img src=") == 7


def test_patches_of_a_transformer_and_the_first_line(features, noise_pictures, tmp_path):
    pictures = noise_pictures([f"image{number}.png" for number in range(3)], 40, 60)
    out, asked = tmp_path / "x.h5", questions(tmp_path / "q.json", [0, 1, 2])
    words = ("extract", "--images", pictures, "--out", out, "--backbone", "test_vit", "--weights", "random")
    words += ("--boxes", "patches", "--whole-image", "--for", asked, "--batch", "auto")
    code, _, errors = features(*words)
    assert code == 2
    assert "3 of 3 images are not there: 0, 1, 2 (the questions' ids are numbers" in errors
    code, text, errors = features(*words, "--ids", "number")
    assert code == 0
    assert "ids: 3 names became the number at their end ('image0' is 0)" in errors
    assert "extracting: 3 of 3 images" in errors
    facts = json.loads(RegionStore(out).fingerprint)
    assert facts["boxes"]["whole_image"] == "class token"
    code, _, errors = features(*words[:9], "--boxes", "grid", "--pool", "7x7", "--ids", "number")
    assert code == 2
    assert "--pool and --whole-image are of a network's own cells" in errors


@pytest.mark.parametrize("words", [("--pool", "7"), ("--batch", "many"), ("--batch", "auto", "--shard", "1/2")])
def test_senseless_words(features, noise_pictures, tmp_path, words):
    pictures = noise_pictures(["1.png"], 20, 21)
    options = ("--backbone", "test_vit", "--weights", "random", "--boxes", "patches")
    code, _, errors = features("extract", "--images", pictures, "--out", tmp_path / "x.h5", *options, *words)
    assert code == 2
    assert errors.splitlines()[-1].startswith("vqa-gs: --")
