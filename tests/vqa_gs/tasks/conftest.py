import csv

import numpy as np
import pytest

from tests.vqa_gs.tasks.label_images import Drawn

GOOD, BAD = ("good", "great", "fine"), ("bad", "awful", "poor")
FILLER = ("film", "plot", "actor", "scene", "music", "end", "story", "camera")


def write_tsv(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([header, *rows])
    return str(path)


def reviews(rng, count):
    """Pairs of a review and its edit: one word makes the difference; a filler word goes along with the original's."""
    pairs = []
    for row in range(count):
        positive = bool(row % 2)
        words = [str(word) for word in rng.choice(FILLER[1:], 6)]
        words.insert(int(rng.integers(6)), "film" if positive else "plot")  # what misleads
        own, other = (GOOD, BAD) if positive else (BAD, GOOD)
        at, n = int(rng.integers(6)), int(rng.integers(3))
        pairs.append([[*words[:at], word[n], *words[at:]] for word in (own, other)])
    return pairs


def write_reviews(folder, name, rng, count):
    labels = ("Negative", "Positive")
    originals, edits, paired = [], [], []
    for row, (own, other) in enumerate(reviews(rng, count)):
        one = [labels[row % 2], " ".join(own)]
        two = [labels[1 - row % 2], "A " + " ".join(other)]
        originals.append(one)
        edits.append(two)
        paired += [[*one, str(3 * row)], [*two, str(3 * row)]]
    return {
        "original": write_tsv(folder / f"{name}.tsv", ["Sentiment", "Text"], originals),
        "edited": write_tsv(folder / f"{name}_edited.tsv", ["Sentiment", "Text"], edits),
        "paired": write_tsv(folder / f"{name}_paired.tsv", ["Sentiment", "Text", "batch_id"], paired),
    }


@pytest.fixture(scope="session")
def sentiment(tmp_path_factory):
    """Settings of a run on 40 made-up reviews and their edits."""
    folder, rng = tmp_path_factory.mktemp("reviews"), np.random.default_rng(0)
    train, dev, test = (write_reviews(folder, name, rng, count) for name, count in
                        (("train", 40), ("dev", 20), ("test", 40)))  # fmt: skip
    return {
        "task": "sentiment",
        "name": "gs",
        "data": {
            "train": train["original"],
            "iid_val": [dev["original"]],
            "tests": {"test_original": test["original"], "ood_edited": test["edited"], "ood_paired": test["paired"]},
            "pairs": [train["paired"]],
        },
        "model": {"hidden": 8, "word_dim": 8, "dropout_words": 0.0, "dropout_classifier": 0.0},
        "objectives": {"gradient_supervision": {"weight": 1.0, "place": "words"}},
        "training": {"epochs": 6, "batch_size": 8, "pairs_per_batch": 8, "lr": 0.05, "clip": 5.0, "patience": 0,
                     "log_every": 4, "checkpoint_every": 3, "device": "cpu"},
    }  # fmt: skip


def write_inference(folder, name, count):
    """Two edits of each premise and two of each hypothesis."""
    labels = ("entailment", "contradiction", "neutral")
    thing = ["dog", "cat", "horse", "bird", "boy"]
    originals, premises, hypotheses = [], [], []
    for row in range(count):
        own = thing[row % 5]
        premise, hypothesis = f"A {own} runs near house {row}{name}.", f"The {own} moves."
        originals.append([premise, hypothesis, labels[row % 3]])
        for step in (1, 2):
            label = labels[(row + step) % 3]
            premises.append([premise.replace(own, thing[(row + step) % 5]), hypothesis, label])
            hypotheses.append([premise, hypothesis.replace(own, f"old {thing[(row + step) % 5]}"), label])
    header = ["sentence1", "sentence2", "gold_label"]
    named = {"original": originals, "premise": premises, "hypothesis": hypotheses}
    return {kind: write_tsv(folder / f"{name}_{kind}.tsv", header, rows) for kind, rows in named.items()}


@pytest.fixture(scope="session")
def inference(tmp_path_factory, sentiment):
    """Settings of a run on made-up premises and hypotheses."""
    folder = tmp_path_factory.mktemp("inference")
    train, dev, test = (write_inference(folder, name, 15) for name in ("train", "dev", "test"))
    return {
        **sentiment,
        "task": "nli",
        "data": {
            "train": train["original"],
            "iid_val": [dev["original"]],
            "tests": {"ood_premise": test["premise"]},
            "pairs": [train["premise"], train["hypothesis"]],
        },
    }


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    return Drawn(tmp_path_factory.mktemp("labels"), np.random.default_rng(0))


@pytest.fixture(scope="session")
def labels(drawn):
    """Settings of a run on 24 made-up images and their edits."""
    train_file, originals = drawn.split("train", 100, 24)
    edited, _ = drawn.edits("edited", 500, originals)
    val, _ = drawn.split("val", 200, 20)
    test, tested = drawn.split("test", 300, 20)
    test_edited, _ = drawn.edits("test_edited", 600, {**tested, **drawn.split("strange", 400, 6, unseen=True)[1]})
    return {
        "task": "multilabel",
        "name": "gs",
        "data": {
            "train": train_file,
            "iid_val": [val],
            "tests": {"test_original": test, "ood_edited": test_edited},
            "unseen": {"ood_hard_edited": "ood_edited"},
            "edited": edited,
            "pairs": [str(drawn.folder / "edited_pairs.json")],
            "features": drawn.store(),
        },
        "model": {"hidden": 5},
        "objectives": {"gradient_supervision": {"weight": 1.0, "place": "pooled"}},
        "training": {"epochs": 12, "batch_size": 8, "pairs_per_batch": 8, "lr": 0.1, "clip": 5.0, "patience": 0,
                     "log_every": 4, "checkpoint_every": 3, "device": "cpu"},
    }  # fmt: skip
