"""What the tables of every kind become in a batch: masks, answers, directions of named regions."""

import json

import numpy as np
import pytest
import torch
from vqa_gs.features.joined import open_stores
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.alignment.directions import directions
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.classes.regions import ClassSettings
from vqa_gs.pair_builders.selection_rule import SELECTIONS
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import write_pair_table

from vqa_gs.common.errors import DataError
from vqa_gs.contracts import TrainingStatistics
from vqa_gs.data.edited import read_edited_set
from vqa_gs.data.questions import read_question_set
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa.updn import UpDnSettings
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.terms.gradient_supervision import toward_means
from vqa_gs.pipeline.plan import Plan
from vqa_gs.tasks.vqa.batches import BatchReader
from vqa_gs.tasks.vqa.class_means import class_means_of
from vqa_gs.tasks.vqa.examples import load_training_data
from vqa_gs.tasks.vqa.settings import DataConfig, SplitConfig

NAMES = ["person", "dog", "cat"]
PERSON, DOG, CAT = range(3)
OBJECTS = {1: [PERSON, DOG], 2: [PERSON], 3: [DOG, DOG, CAT], 4: [PERSON, CAT]}
ASKED = [
    (1, "Is there a dog?", "yes"), (2, "Is there a dog?", "no"), (3, "How many dogs are there?", "2"),
    (1, "How many dogs are there?", "1"), (2, "How many dogs are there?", "0"), (4, "What is it?", "cat"),
    (1, "What is it?", "dog"),
]  # fmt: skip


@pytest.fixture
def world(tmp_path):
    with RegionStoreWriter(tmp_path / "store.h5", dim=3, dtype="float32", fingerprint="test") as writer:
        for image, codes in OBJECTS.items():
            features = np.eye(3, dtype=np.float32)[codes] * (1 + np.arange(len(codes), dtype=np.float32))[:, None]
            writer.add(image, features, np.tile([0, 0, 9, 9], (len(codes), 1)), (10, 10))
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    np.savez(tmp_path / "classes.npz", category=np.concatenate(list(OBJECTS.values())))
    write(tmp_path, "train", [(image, text, answer, 100 + at) for at, (image, text, answer) in enumerate(ASKED)])
    write(tmp_path, "val", [(4, "What is it?", "cat", 900)])
    return tmp_path


def write(folder, name, rows):
    questions = [{"image_id": image, "question": text, "question_id": id} for image, text, _, id in rows]
    annotations = [
        {"image_id": image, "question_id": id, "multiple_choice_answer": answer, "answer_type": "other",
         "question_type": text.split()[0], "answers": [{"answer": answer, "answer_id": n} for n in range(1, 11)]}
        for image, text, answer, id in rows
    ]  # fmt: skip
    (folder / f"{name}_q.json").write_text(json.dumps({"questions": questions}))
    (folder / f"{name}_a.json").write_text(json.dumps({"annotations": annotations}))


def split(folder, name):
    return SplitConfig(str(folder / f"{name}_q.json"), str(folder / f"{name}_a.json"))


def first_batch(folder, table, **given):
    write_pair_table(folder / "pairs.h5", table)
    config = DataConfig(
        split(folder, "train"),
        str(folder / "store.h5"),
        iid_val=split(folder, "val"),
        pairs=[str(folder / "pairs.h5")],
        min_answer_questions=1,
        **given,
    )
    stores = [folder / "store.h5", *([folder / "edits.h5"] if (folder / "edits.h5").exists() else [])]
    store = open_stores(stores)
    data = load_training_data(config, store, 0, True)
    batch = BatchReader(data, store).planned(Plan(data.ordinary, len(data.pairs), 4, len(data.pairs), 0))(0)
    order = Plan(data.ordinary, len(data.pairs), 4, len(data.pairs), 0).step(0)[1]
    return data, batch, order


def sources_of(folder, edited=None):
    questions = read_question_set(folder / "train_q.json", folder / "train_a.json")
    classes = ClassSettings(folder / "names.txt", folder / "classes.npz")
    return PairSources(questions, RegionStore(folder / "store.h5"), edited, regions=classes)


def test_masks_change_regions_and_answers(world):
    builder = BUILDERS["masked"]
    table = builder.build(sources_of(world), builder.Settings(controls=True))
    data, batch, order = first_batch(world, table, pair_kinds=["masked"])
    pairs = len(data.pairs)
    assert pairs == 5
    at_b = {int(data.pairs.question_b[pair]): place for place, pair in enumerate(order)}
    answers = data.answers.index
    for question, (regions, answer) in {
        100: ([1], "no"),
        102: ([0, 1], "0"),
        103: ([1], "0"),
        106: ([1], None),
    }.items():
        row = pairs + at_b[question]
        image = ASKED[question - 100][0]
        remain = [region not in regions for region in range(len(OBJECTS[image]))]
        assert batch.mask[row, : len(remain)].tolist() == remain
        assert not batch.features[row][~batch.mask[row]].any()
        assert batch.labels[row] == (-1 if answer is None else answers[answer])
        assert batch.targets[row].sum() == (answer is not None)
        # End a is whole; its direction is what the mask takes away.
        a = at_b[question]
        assert batch.mask[a].sum() == len(remain)
        way, back = directions(batch.features[:pairs], batch.features[pairs : 2 * pairs], *batch.alignment)
        lost = np.zeros((batch.features.shape[1], 3), np.float32)
        lost[regions] = batch.features[a, regions].numpy()
        np.testing.assert_array_equal(way[a].numpy(), lost)
        np.testing.assert_array_equal(back[a].numpy(), -lost)
    with pytest.raises(DataError, match="no pairs of the kind 'other'.*masked-none"):
        first_batch(world, table, pair_kinds=["other"])


def test_only_named_regions_have_a_direction(world):
    builder = BUILDERS["same-question"]
    rules = [("named", SELECTIONS["named"].Settings())]
    table = builder.build(sources_of(world), builder.Settings(partners=9), rules=rules)
    data, batch, order = first_batch(world, table)
    pairs = len(data.pairs)
    found = {}
    way, back = directions(batch.features[:pairs], batch.features[pairs : 2 * pairs], *batch.alignment)
    for place, pair in enumerate(order):
        ends = int(data.pairs.question_a[pair]), int(data.pairs.question_b[pair])
        found[ends] = way[place].abs().sum(1).nonzero().ravel().tolist(), back[place].abs().sum(1).nonzero().ravel()
    assert found[100, 101][0] == [1]  # the dog
    assert found[100, 101][1].tolist() == []
    assert found[105, 106][0] == [1]  # cat
    assert found[105, 106][1].tolist() == [1]  # dog
    assert found[102, 103][0] == [0]  # of two dogs, the one that the other image has not
    assert set(found) == {(100, 101), (105, 106), (102, 103), (102, 104), (103, 104)}
    assert data.pairs.class_names == tuple(NAMES)
    for pair in order:
        ends = (int(data.pairs.question_a[pair]), int(data.pairs.question_b[pair]))
        rows = data.pairs.rows_of(pair).tolist()
        codes = data.pairs.region_class[data.pairs.first[pair] : data.pairs.first[pair + 1]].tolist()
        shown = [OBJECTS[ASKED[end - 100][0]] for end in ends]
        assert codes == [[shown[at][region] if region >= 0 else -1 for at, region in enumerate(row)] for row in rows]


@pytest.mark.parametrize("model", [{}, {"boxes": True, "standardize": True}])
def test_the_mean_region_of_a_class(world, model):
    builder = BUILDERS["same-question"]
    rules = [("named", SELECTIONS["named"].Settings())]
    table = builder.build(sources_of(world), builder.Settings(partners=9), rules=rules)
    data, batch, order = first_batch(world, table)
    store = RegionStore(world / "store.h5")
    settings = UpDnSettings(hidden=4, word_dim=4, **model)
    network = MODELS["updn"](store.dim, len(data.words), len(data.answers), settings)
    network.fit_regions(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([2.0, 1.0, 0.5]))
    means = class_means_of(data, store, network)()
    # Slowly: every region that a row names, once.
    named = set()
    for pair in range(len(data.pairs)):
        for end, question in enumerate((data.pairs.question_a[pair], data.pairs.question_b[pair])):
            image = ASKED[int(question) - 100][0]
            named |= {(image, row[end]) for row in data.pairs.rows_of(pair).tolist() if row[end] >= 0}
    whole = store.read_batch(list(OBJECTS))
    seen = network.prepare_regions(whole.features, whole.boxes, whole.sizes, whole.mask)
    for code in range(len(NAMES)):
        some = [seen[image - 1, region] for image, region in named if OBJECTS[image][region] == code]
        if some:
            torch.testing.assert_close(means[code], torch.stack(some).mean(0))
    assert {OBJECTS[image][region] for image, region in named} == {DOG, CAT}
    # And what gradient supervision makes of it: the cat of pair (105, 106) is compared with the mean dog.
    place = [int(data.pairs.question_a[pair]) for pair in order].index(105)
    statistics = TrainingStatistics(class_means=lambda: means)
    chosen = OBJECTIVES.settings_of("gradient_supervision")(weight=1, toward="mean")
    term = OBJECTIVES["gradient_supervision"](chosen, statistics)
    regions = network.prepare_regions(batch.features, batch.boxes, batch.sizes, batch.mask)[: len(batch.labels)]
    straight = torch.zeros_like(regions)
    found = toward_means(straight, regions, term.class_means, batch.partner_class)
    torch.testing.assert_close(found[place, 1], regions[place, 1] - means[DOG])
    assert not found[place, 0].any()


def test_without_classes_there_are_no_means(world):
    data, batch, _ = first_batch(world, BUILDERS["same-question"].build(sources_of(world)))
    assert batch.partner_class is None
    assert class_means_of(data, RegionStore(world / "store.h5"), None) is None


def test_edits_with_the_ids_of_their_originals(world):
    image = f"{3:012d}_{18:012d}"
    with RegionStoreWriter(world / "edits.h5", dim=3, dtype="float32", fingerprint="test") as writer:
        writer.add(image, np.eye(3, dtype=np.float32), np.tile([0, 0, 9, 9], (3, 1)), (10, 10))
    write(world, "edits", [(image, "How many dogs are there?", "1", 102)])
    edited = read_edited_set(world / "edits_q.json", world / "edits_a.json")
    sources = sources_of(world, edited)
    joined = PairSources(sources.questions, open_stores([world / "store.h5", world / "edits.h5"]), edited)
    table = BUILDERS["edited"].build(joined)
    given = {"counterfactuals": split(world, "edits"), "counterfactual_features": str(world / "edits.h5")}
    data, batch, _ = first_batch(world, table, **given)
    assert data.pairs.question_b.tolist() == [f"102@{image}"]
    assert batch.labels.tolist() == [data.answers.index["2"], data.answers.index["1"]]
    np.testing.assert_array_equal(batch.features[1].numpy(), np.eye(3))
