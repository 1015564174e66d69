"""`vqa-gs pairs` on real data, end to end."""

import json
from pathlib import Path

import numpy as np
import pytest
from vqa_gs.features.convert import convert
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.alignment.batches import align_pairs
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.ends import answer_of
from vqa_gs.pair_builders.evidence_source import EVIDENCE
from vqa_gs.pair_builders.nearest.images import pooled_features, standardised
from vqa_gs.pair_builders.nearest.search import nearest_images
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import read_pair_table

from vqa_gs.cli import main
from vqa_gs.data.questions import read_question_set

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def folder(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there")
    return DATA / name


@pytest.fixture(scope="module")
def words_of_mini(mini, mini_store):
    """The words that name the files of vqa2-mini."""
    return [
        f"--questions={mini / 'train_questions.json.gz'}",
        f"--annotations={mini / 'train_annotations.json.gz'}",
        f"--features={mini_store}",
        f"--regions.names={mini / 'categories.json'}",
        f"--regions.classes={mini / 'region_class.npz'}",
        "--regions.log_count=130",
        "--regions.count_known=131",
    ]


def test_pairs_of_named_regions(words_of_mini, tmp_path, capsys):
    words = ["--kind=same-question", "--kind=masked", "--masked.answer=only-known"]
    assert main(["pairs", "build", *words, "--select=named", *words_of_mini, f"--out={tmp_path / 'p.h5'}"]) == 2
    assert "masked" in capsys.readouterr().err  # masks are no change between two images
    words = ["--kind=near-duplicate", "--near_duplicate.any_images=true", "--near_duplicate.partners=40"]
    words.append("--near_duplicate.near_images=false")  # comparing 24,190 images takes three times the rest
    assert main(["pairs", "build", *words, "--select=named", *words_of_mini, f"--out={tmp_path / 'p.h5'}"]) == 0
    table = read_pair_table(tmp_path / "p.h5", require_pairs=True)
    assert len(table) > 8000  # measured: 8,788; a rough trial had found 1,431
    assert set(table.alignment.tolist()) == {2}
    assert (np.diff(table.first) >= 1).all()
    assert len(table.rows) / len(table) < 1.5
    capsys.readouterr()
    assert main(["pairs", "info", str(tmp_path / "p.h5"), *words_of_mini[:2]]) == 0
    printed = capsys.readouterr().out
    assert f"{len(table)} pairs of" in printed
    for title in ("by question type", "by answer type", "by distance", "'rule': 'named'", "categories.json"):
        assert title in printed


def test_several_kinds_in_one_table(words_of_mini, tmp_path):
    words = ["--kind=same-question", "--kind=masked", "--masked.controls=true", "--select=agreed", "--select=cap"]
    assert main(["pairs", "build", *words, *words_of_mini, f"--out={tmp_path / 'p.h5'}"]) == 0
    table = read_pair_table(tmp_path / "p.h5")
    counts = dict(zip(table.kinds, np.bincount(table.kind), strict=True))
    assert set(counts) == {"same-question", "masked", "masked-none", "masked-random", "masked-complement"}
    assert min(counts.values()) > 500
    assert [rule["rule"] for rule in table.settings["masked"]["selected"]] == ["agreed", "cap"]


def test_where_regions_have_names_the_best_selection_is_the_default(words_of_mini, tmp_path, capsys):
    out, words = f"--out={tmp_path / 'p.h5'}", ["--kind=same-question", "--kind=masked", "--masked.answer=only-known"]
    assert main(["pairs", "build", *words, *words_of_mini, out]) == 0
    table = read_pair_table(tmp_path / "p.h5")
    assert [rule["rule"] for rule in table.settings["same-question"]["selected"]] == ["named", "agreed", "cap"]
    assert not table.settings["masked"].get("selected")
    for words in (["--select=none", *words_of_mini], words_of_mini[:3]):
        assert main(["pairs", "build", "--kind=same-question", *words, out]) == 0
        assert len(read_pair_table(tmp_path / "p.h5")) > 5000  # all 5,481
    assert main(["pairs", "build", "--kind=same-question", "--select=none", "--select=cap", *words_of_mini, out]) == 2
    assert "none" in capsys.readouterr().err


def test_bad_words_are_one_line(words_of_mini, tmp_path, capsys):
    out = f"--out={tmp_path / 'p.h5'}"
    for words in (["--select=nice"], ["--kind=nice"], ["--select=named", "--named.near=0.5"]):
        assert main(["pairs", "build", "--kind=same-question", *words, *words_of_mini, out]) == 2
        assert capsys.readouterr().err.strip().count("\n") == 0
    assert not (tmp_path / "p.h5").exists()


@pytest.fixture(scope="module")
def butd(tmp_path_factory):
    """The genuine features of ten images."""
    path = tmp_path_factory.mktemp("butd") / "store.h5"
    convert(folder("butd-10") / "train2014_obj36.tsv", path)
    return RegionStore(path)


def test_genuine_features_are_matched(butd):
    ids = list(butd.image_ids)
    first, rows = align_pairs(butd, ids, ids, box_weight=0.5, sparse=np.zeros(len(ids), np.int64))
    for pair, image_id in enumerate(ids):
        found, features = rows[first[pair] : first[pair + 1]], butd[image_id].features
        np.testing.assert_array_equal(features[found[:, 0]], features[found[:, 1]])
    first, rows = align_pairs(butd, ids[:-1], ids[1:], box_weight=0.5, sparse=np.full(9, 5))
    assert np.diff(first).tolist() == [5] * 9
    near, distance = nearest_images(standardised(pooled_features(butd, ids)), 3)
    assert (near >= 0).all()
    assert (np.diff(distance, axis=1) >= 0).all()


def test_masks_of_genuine_boxes_by_hints(butd, tmp_path):
    data = folder("butd-10")
    questions = read_question_set(data / "questions.json", data / "annotations.json")
    scores = {str(id): np.linspace(0, 1, 36).tolist() for id in questions.question_ids}
    (tmp_path / "hints.json").write_text(json.dumps(scores))
    builder = BUILDERS["masked"]
    hints = EVIDENCE["hints"].Settings(file=tmp_path / "hints.json", most=6)
    sources = PairSources(questions, butd, evidence={"hints": hints})
    table = builder.build(sources, builder.Settings(evidence="hints", controls=True))
    assert len(table) == 4 * len(questions)
    assert table.mask_of(0).sum() == 30
    assert set(table.answer_b.tolist()) == {""}


def test_one_answer_a_question_is_enough(tmp_path):
    data = folder("vqa-rad")
    questions = read_question_set(data / "train_questions.json", data / "train_annotations.json")
    generator = np.random.default_rng(0)
    with RegionStoreWriter(tmp_path / "s.h5", dim=4, dtype="float32", fingerprint="made up") as writer:
        for image_id in dict.fromkeys(questions.image_ids):
            writer.add(image_id, generator.random((2, 4), np.float32), np.tile([0, 0, 9, 9], (2, 1)), (10, 10))
    builder = BUILDERS["near-duplicate"]
    sources = PairSources(questions, RegionStore(tmp_path / "s.h5"))
    table = builder.build(sources, builder.Settings(any_images=True))
    assert len(table) > 300
    ends = sources.ends
    for a, b in zip(table.question_a.tolist(), table.question_b.tolist(), strict=True):
        assert answer_of(ends.annotation(a)) != answer_of(ends.annotation(b))
