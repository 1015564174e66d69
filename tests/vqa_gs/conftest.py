import json
import os

import numpy as np
import pytest
import torch
import yaml
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import write_pair_table

from vqa_gs.data.questions import read_question_set

COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """These models are tiny: more threads, here or in processes started from here, only wait for each other."""
    before = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    yield
    torch.set_num_threads(before[0])
    if before[1] is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before[1]


def write_split(folder, name, images, colours, start, texts=("What color is the car?",)):
    questions, annotations = [], []
    for offset, (image, colour) in enumerate(zip(images, colours, strict=True)):
        qid = start + offset
        questions.append({"image_id": int(image), "question": texts[offset % len(texts)], "question_id": qid})
        answers = [{"answer": COLOURS[colour], "answer_confidence": "yes", "answer_id": i + 1} for i in range(10)]
        annotations.append(
            {
                "question_id": qid,
                "image_id": int(image),
                "question_type": "what color is the",
                "answer_type": "other",
                "multiple_choice_answer": COLOURS[colour],
                "answers": answers,
            }
        )
    (folder / f"{name}_questions.json").write_text(json.dumps(questions))
    (folder / f"{name}_annotations.json").write_text(json.dumps(annotations))
    return {
        "questions": str(folder / f"{name}_questions.json"),
        "annotations": str(folder / f"{name}_annotations.json"),
    }


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A world of 120 images with 3-5 regions; one region shows the answer's colour. Returns the settings of a run."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 4, 120)
    with RegionStoreWriter(folder / "store.h5", dim=8, dtype="float32", fingerprint="drawn by a test") as writer:
        for image, colour in enumerate(colours):
            count = int(rng.integers(3, 6))
            features = rng.normal(size=(count, 8)).astype(np.float32) * 0.1
            features[rng.integers(count), colour] += 3
            boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (count, 1))
            writer.add(image, features, boxes, (20, 20))
    splits = {
        "train": write_split(folder, "train", range(80), colours[:80], 0),
        "iid_val": write_split(folder, "iid_val", range(80, 100), colours[80:100], 1000),
        "ood_test": write_split(folder, "ood_test", range(100, 120), colours[100:], 2000),
    }
    questions = read_question_set(splits["train"]["questions"], splits["train"]["annotations"])
    from vqa_gs.features.store import RegionStore

    table = BUILDERS["same-question"].build(PairSources(questions, RegionStore(folder / "store.h5")))
    write_pair_table(folder / "pairs.h5", table)
    config = {
        "name": "gs",
        "seed": 3,
        "data": {
            "train": splits["train"],
            "iid_val": splits["iid_val"],
            "tests": {"ood_test": splits["ood_test"]},
            "features": str(folder / "store.h5"),
            "pairs": [str(folder / "pairs.h5")],
            "min_answer_questions": 2,
        },
        "model": {"hidden": 32, "word_dim": 8, "dropout_classifier": 0.0, "dropout_attention": 0.1},
        "objectives": {"gradient_supervision": {"weight": 1.0}},
        "training": {
            "epochs": 16,
            "batch_size": 16,
            "pairs_per_batch": 8,
            "lr": 0.02,
            "clip": 5.0,
            "log_every": 2,
            "checkpoint_every": 2,
            "device": "cpu",
            "patience": 0,
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    config["file"] = str(folder / "config.yaml")
    return config


@pytest.fixture(scope="session")
def crowded(tiny, tmp_path_factory):
    """The world of `tiny` with one to five questions about an image, eleven about one, in no order of images."""
    folder, rng = tmp_path_factory.mktemp("crowded"), np.random.default_rng(1)
    colours = np.random.default_rng(0).integers(0, 4, 120)
    texts = ["What color is the car?", "Which color has the car?", "Tell the car's color, please.", "Color?"]
    splits = {}
    for number, (name, images) in enumerate(
        (("train", range(50)), ("iid_val", range(80, 95)), ("ood_test", range(100, 120)))
    ):
        about = np.repeat(images, np.where(np.array(images) == 7, 11, rng.integers(1, 6, len(images))))
        about = rng.permutation(about)
        splits[name] = write_split(folder, name, about, colours[about], 1000 * number, texts)
    questions = read_question_set(splits["train"]["questions"], splits["train"]["annotations"])
    from vqa_gs.features.store import RegionStore

    store = tiny["data"]["features"]
    table = BUILDERS["same-question"].build(PairSources(questions, RegionStore(store)))
    write_pair_table(folder / "pairs.h5", table)
    data = {"train": splits["train"], "iid_val": splits["iid_val"], "tests": {"ood_test": splits["ood_test"]}}
    training = {"epochs": 4, "batch_size": 40, "share_images": True, "max_questions_per_image": 4}
    config = {name: value for name, value in tiny.items() if name != "file"}
    return {
        **config,
        "data": {**tiny["data"], **data, "pairs": [str(folder / "pairs.h5")]},
        "training": {**tiny["training"], **training},
    }
