from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from vqa_gs.features.check import check as check_store
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.store import RegionStore

from vqa_gs.cli import main

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = ("--backbone", "resnet10t", "--weights", "random", "--short-side", "32", "--long-side", "64", "--workers", "2")


@pytest.fixture
def pictures(noise_pictures):
    return noise_pictures([f"COCO_val2014_{number:012d}.png" for number in range(12)], 30, 80)


@pytest.fixture
def extract(capsys):
    def run(*words):
        code = main(["features", "extract", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def test_images_become_a_store_and_broken_ones_are_named(pictures, tmp_path, extract):
    (pictures / "COCO_val2014_000000000050.png").write_bytes(b"")
    (pictures / "COCO_val2014_000000000051.jpg").write_bytes(
        (pictures / "COCO_val2014_000000000003.png").read_bytes()[:90]
    )
    Image.new("CMYK", (40, 50)).save(pictures / "COCO_val2014_000000000060.jpg")
    Image.fromarray(np.full((40, 50), 40000, np.uint16)).save(pictures / "COCO_val2014_000000000061.png")
    out = tmp_path / "out.h5"
    code, text, errors = extract("--images", pictures, "--out", out, *SMALL, "--boxes", "grid", "--regions", "10")
    assert code == 0
    assert f"{out}: 14 images, 140 regions of 960 x float16" in text
    assert "2 images were left out" in text
    assert errors.count("left out:") == 2
    for image_id in (50, 51):
        assert f"COCO_val2014_{image_id:012d}" in errors
        assert f"image {image_id}: not a readable image" in errors
    assert "images/s" in errors
    store = RegionStore(out)
    assert check_store(store.path).problems == []
    assert store.image_ids == (*range(12), 60, 61)
    facts = json.loads(store.fingerprint)
    assert facts["boxes"] == {"source": "grid", "cells": [3, 3], "whole": True}
    assert (facts["backbone"], facts["preprocessing"]["short_side"]) == ("resnet10t", 32)
    born = out.stat().st_mtime_ns
    code, text, _ = extract("--images", pictures, "--out", out, *SMALL, "--boxes", "grid", "--regions", "10")
    assert (code, "is finished already" in text, out.stat().st_mtime_ns) == (0, True, born)
    code, _, errors = extract("--images", pictures, "--out", out, *SMALL, "--on-error", "stop")
    assert code == 2
    assert "000000000050.png: image 50: not a readable image" in errors.splitlines()[-1]
    assert out.stat().st_mtime_ns == born


def test_shards_by_hand_are_the_whole(pictures, tmp_path, extract, capsys):
    common = ("--images", pictures, *SMALL, "--regions", "10", "--batch-size", "4")
    assert extract(*common, "--out", tmp_path / "whole.h5")[0] == 0
    for number in (1, 2):
        assert extract(*common, "--out", tmp_path / f"{number}.h5", "--shard", f"{number}/2")[0] == 0
    paths = [str(tmp_path / f"{number}.h5") for number in (1, 2)]
    assert main(["features", "merge", *paths, "--out", str(tmp_path / "merged.h5")]) == 0
    assert "12 images, 120 regions" in capsys.readouterr().out
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_processes_of_torchrun_share_the_images(pictures, tmp_path, extract, processes):
    common = ("--images", pictures, *SMALL, "--regions", "10", "--batch-size", "2")
    extract(*common, "--out", tmp_path / "whole.h5")
    out = tmp_path / "out.h5"
    words = ("features", "extract", *common, "--out", out)
    two = [processes.start(*words, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2") for rank in (0, 1)]
    assert [process.wait() for process in two] == [0, 0]
    assert out.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["out.h5", "whole.h5"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--regions", "0"), "is no number of regions"),
        (("--boxes", "circles"), "no source of boxes called 'circles'"),
        (("--backbone", "resnet18", "--weights", "pretrained"), "no pretrained weights of resnet18 are installed"),
        (("--backbone", "nothing"), "have a network called 'nothing'"),
        (("--backbone", "swin_tiny_patch4_window7_224", "--weights", "random"), "choose a convolutional network"),
        (("--levels", "9"), "has 5 levels"),
        (("--short-side", "50", "--long-side", "20"), "are no size"),
        (("--short-side", "100000", "--long-side", "100000"), "are no size"),
        (("--device", "cuda:77"), "there is no device 'cuda:77'"),
        (("--shard", "3/2"), "is no shard"),
        (("--shard", "1/9"), "is empty"),
        (("--batch-size", "0"), "--batch-size must be from 1"),
    ],
)
def test_senseless_words_are_one_line(pictures, tmp_path, extract, words, message):
    for image in list(pictures.iterdir())[2:]:
        image.unlink()
    code, _, errors = extract("--images", pictures, "--out", tmp_path / "out.h5", *SMALL, *words)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def kill(processes, words, out, expected, times):
    chance = random.Random(times)
    for _ in range(times):
        process = processes.start("features", "extract", *words, "--out", out)
        # The network is named when it is loaded: what comes before is of no interest.
        process.wait_until(lambda process=process: process.stderr, 600)
        time.sleep(chance.uniform(0, 0.5))
        process.kill()
        process.wait()
        if out.exists():
            assert out.read_bytes() == expected
            out.unlink()


@pytest.mark.parametrize("times", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_any_moment(pictures, tmp_path, extract, processes, times):
    rng = np.random.default_rng(1)
    for number in range(12, 48):
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(pictures / f"{number}.png")
    words = ("--images", pictures, *SMALL, "--regions", "36", "--batch-size", "2")
    extract(*words, "--out", tmp_path / "expected.h5")
    expected = (tmp_path / "expected.h5").read_bytes()
    out = tmp_path / "out.h5"
    kill(processes, words, out, expected, times)
    assert extract(*words, "--out", out)[0] == 0
    assert out.read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected.h5", "images", "out.h5"]


@pytest.fixture
def photographs():
    folder = REPOSITORY.parent / "shared" / "data" / "butd-10" / "images"
    if not folder.exists():
        pytest.skip("real data butd-10 is not beside this checkout")
    return folder


@pytest.mark.parametrize("boxes", ["grid", "selective-search", "detector:fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_real_photographs_with_boxes_of_any_kind(photographs, tmp_path, extract, boxes):
    if boxes == "selective-search":
        pytest.importorskip("cv2.ximgproc")
    if load_backbone(short_side=32).weights != "pretrained":
        pytest.skip("the package with the pretrained weights is not installed")
    words = []
    if boxes.startswith("detector"):
        from torchvision.models import get_model

        torch.manual_seed(0)
        model = get_model(boxes.split(":")[1], weights=None, weights_backbone=None)
        torch.save(model.state_dict(), tmp_path / "detector.pth")
        words = ["--detector-weights", tmp_path / "detector.pth"]
    out = tmp_path / "out.h5"
    code, text, _ = extract(
        "--images", photographs, "--out", out, "--boxes", boxes, "--regions", "36", "--short-side", "224", *words
    )
    assert code == 0, text
    store = RegionStore(out)
    assert check_store(store.path).problems == []
    assert len(store) == 10
    assert 84002 in store
    assert set(store.counts(store.image_ids).tolist()) == {36}
    assert store.columns == (("class", "class_score") if boxes.startswith("detector") else ())
    tables = store.tables
    sizes = np.repeat(tables.sizes, np.diff(tables.first), axis=0)
    assert (tables.boxes >= 0).all()
    assert (tables.boxes[:, 2:] <= sizes + 0.01).all()
    drawn = tmp_path / "drawn.png"
    words = ["show", out, "--image-dir", photographs, "--image-id", 84002, "--out", drawn]
    assert main(["features", *map(str, words)]) == 0
    assert Image.open(drawn).size[0] > 300
