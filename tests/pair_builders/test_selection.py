import numpy as np
import pytest
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.classes.regions import ClassSettings
from vqa_gs.pair_builders.selection_rule import SELECTIONS, Candidates, select
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import PairTable, read_pair_table, write_pair_table

from vqa_gs.common.errors import DataError, UsageError

NAMES = ["person", "dog", "cat", "orange", "couch"]
PERSON, DOG, CAT, ORANGE, COUCH = range(5)
# Image -> classes of its regions; features are one-hot.
OBJECTS = {
    10: [DOG, PERSON],
    11: [CAT, PERSON],
    12: [PERSON],
    13: [DOG, DOG, DOG],
    14: [DOG, COUCH],
    15: [ORANGE, COUCH],
    16: [COUCH],
}
ROWS = [
    (1, 10, "What is it?", "dog"),
    (2, 11, "What is it?", "cat"),
    (3, 12, "What is it?", "nothing"),
    (4, 10, "Is there a dog?", "yes"),
    (5, 12, "Is there a dog?", "no"),
    (6, 13, "How many dogs are there?", "3"),
    (7, 10, "How many dogs are there?", "1"),
    (8, 12, "How many dogs are there?", "0"),
    (9, 14, "Is there a dog on the couch?", "yes"),
    (10, 16, "Is there a dog on the couch?", "no"),
    (11, 15, "What color is the couch?", "orange"),
    (12, 16, "What color is the couch?", "white"),
    (13, 15, "What is on the couch?", "orange"),
    (14, 16, "What is on the couch?", "nothing"),
    (15, 11, "Is there a dog?", "yes"),  # the regions say otherwise
]


@pytest.fixture
def sources(make_questions, make_store, tmp_path):
    store = make_store({image: np.eye(len(NAMES))[codes] for image, codes in OBJECTS.items()})
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    np.savez(tmp_path / "classes.npz", category=np.concatenate(list(OBJECTS.values())))
    classes = ClassSettings(tmp_path / "names.txt", tmp_path / "classes.npz")
    return PairSources(make_questions(ROWS), store, regions=classes)


def chosen(sources, pairs, name="named", **settings):
    table = PairTable.of_one_kind("x", [a for a, _ in pairs], [b for _, b in pairs], alignment="matched")
    rules = [(name, SELECTIONS[name].Settings(**settings))]
    candidates, report = select(Candidates.of(table, sources), rules)
    assert report[0]["of"] == len(pairs)
    assert report[0]["kept"] == len(candidates)
    return candidates


def ids(candidates):
    return list(zip(candidates.table.question_a.tolist(), candidates.table.question_b.tolist(), strict=True))


def regions(candidates):
    return [tuple(end.tolist() for end in given) for given in candidates.regions]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ((1, 2), ([0], [0])),  # dog and cat, not the person in both
        ((1, 3), ([0], [])),
        ((4, 5), ([0], [])),
        ((5, 4), ([], [0])),
        ((6, 7), ([0, 1, 2], [0])),
        ((6, 8), ([0, 1, 2], [])),
        ((9, 10), ([0], [])),  # the couch is in both
        ((13, 14), ([0], [])),
        ((11, 12), None),  # an orange couch has no orange
        ((5, 15), None),  # yes without, no without
    ],
)
def test_what_is_named(sources, pair, expected):
    found = chosen(sources, [pair])
    assert regions(found) == ([] if expected is None else [expected])


def test_readings_can_be_switched_off(sources):
    pairs = [(1, 2), (1, 3), (4, 5), (6, 7)]
    assert ids(chosen(sources, pairs, answer=False)) == [(4, 5), (6, 7)]
    assert ids(chosen(sources, pairs, presence=False)) == [(1, 2), (1, 3), (6, 7)]
    assert ids(chosen(sources, pairs, count=False)) == [(1, 2), (1, 3), (4, 5)]
    assert ids(chosen(sources, pairs, both_ends=True)) == [(1, 2), (4, 5), (6, 7)]
    assert chosen(sources, pairs, one_end=0.5).table.weight.tolist() == [1, 0.5, 1, 1]
    assert all(given is None for given in chosen(sources, pairs, direction="all").regions)


def test_numbers_have_to_be_those_of_the_regions(make_questions, sources):
    rows = [(1, 13, "How many dogs?", "5"), (2, 10, "How many dogs?", "1"), (3, 13, "How many dogs?", "0")]
    other = PairSources(make_questions(rows), sources.store, regions=sources.regions)
    assert ids(chosen(other, [(1, 2), (3, 2)])) == [(1, 2)]  # more is answered where there is more
    assert ids(chosen(other, [(1, 2), (3, 2)], exact=True)) == []


def test_unknown_numbers_are_compared_with_none_only(make_questions, make_store, tmp_path):
    # One region for all dogs: log(1 + number) and whether it is known.
    features = {1: [[np.log1p(3), 1]], 2: [[0, 0]], 3: [[np.log1p(1), 1]], 4: [[0, 1]]}
    store = make_store({image: np.array(x, np.float32) for image, x in features.items()})
    (tmp_path / "names.json").write_text('{"categories": [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}]}')
    np.savez(tmp_path / "c.npz", category=[0, 0, 0, 1])
    rows = [(image, image, "How many dogs?", answer) for image, answer in ((1, "3"), (2, "5"), (3, "1"), (4, "0"))]
    classes = ClassSettings(tmp_path / "names.json", tmp_path / "c.npz", 0, 1)
    sources = PairSources(make_questions(rows), store, regions=classes)
    assert ids(chosen(sources, [(1, 2), (1, 3), (2, 4), (1, 4)])) == [(1, 3), (2, 4), (1, 4)]


def test_agreed(make_questions, sources):
    rows = [(1, 10, "Is it?", ["yes"] * 6 + ["no"] * 4), (2, 11, "Is it?", ["no"] * 9 + ["yes"])]
    rows.append((3, 12, "Is it?", ["no"] * 5 + ["No."] * 5))
    other = PairSources(make_questions(rows), sources.store)
    assert ids(chosen(other, [(1, 2), (1, 3), (2, 3)], "agreed", least=0.7)) == [(2, 3)]
    assert chosen(other, [(1, 2), (2, 3)], "agreed", weigh=True).table.weight.tolist() == pytest.approx([0.6, 0.9])


def test_few_changed(sources):
    pairs = [(1, 2), (1, 3), (6, 7)]
    assert ids(chosen(sources, pairs, "few-changed", classes=1)) == [(1, 3), (6, 7)]
    table = PairTable.of_one_kind("x", [1, 1, 1], [2, 3, 4], distance=[0.5, np.nan, 0.1])
    for settings, expected in (({"distance": 0.3}, [3, 4]), ({"share": 0.3}, [3]), ({}, [2, 3, 4])):
        rule = ("few-changed", SELECTIONS["few-changed"].Settings(**settings))
        kept = select(Candidates.of(table, sources), [rule])[0]
        assert kept.table.question_b.tolist() == expected


def test_cap(sources):
    ends = [(1, 2, 0.3), (1, 3, 0.1), (2, 3, 0.2), (4, 5, 0.5), (15, 5, 0.4)]
    table = PairTable.of_one_kind("x", *zip(*[end[:2] for end in ends], strict=True), distance=[d for *_, d in ends])
    for settings, expected in (
        ({"question": 1, "answers": 0}, [(1, 3), (15, 5)]),
        ({"question": 0, "answers": 1}, [(1, 2), (1, 3), (2, 3), (15, 5)]),
        ({"question": 0, "answers": 0}, [end[:2] for end in ends]),
    ):
        kept = select(Candidates.of(table, sources), [("cap", SELECTIONS["cap"].Settings(**settings))])[0]
        assert ids(kept) == expected


def test_a_builder_with_rules(sources, tmp_path):
    builder = BUILDERS["same-question"]
    rules = [(name, SELECTIONS[name].Settings()) for name in ("named", "cap")]
    table = builder.build(sources, builder.Settings(partners=9), rules=rules)
    write_pair_table(tmp_path / "p.h5", table)
    again = read_pair_table(tmp_path / "p.h5")
    assert [rule["rule"] for rule in again.settings["same-question"]["selected"]] == ["named", "cap"]
    assert str(tmp_path / "names.txt") in again.sources
    found = dict(zip(zip(again.question_a.tolist(), again.question_b.tolist(), strict=True), range(99), strict=False))
    assert again.alignment.tolist() == [2] * len(again)
    assert again.rows_of(found[1, 2]).tolist() == [[0, 0]]
    assert again.rows_of(found[4, 5]).tolist() == [[0, -1]]
    # Of three equal dogs and one, one has its equal: it is not part of what differs.
    assert len(again.rows_of(found[6, 7])) == 2
    assert (again.rows_of(found[6, 7])[:, 1] == -1).all()


def test_what_is_missing_or_does_not_fit_is_told(sources, tmp_path):
    with pytest.raises(UsageError, match="--regions.names"):
        chosen(PairSources(sources.questions, sources.store), [(1, 2)])
    with pytest.raises(UsageError, match="no column regions/class"):
        settings = ClassSettings(sources.regions.names)
        chosen(PairSources(sources.questions, sources.store, regions=settings), [(1, 2)])
    np.savez(tmp_path / "short.npz", category=[0, 1])
    with pytest.raises(DataError, match=r"short\.npz: 2 classes for the 13 regions"):
        settings = ClassSettings(sources.regions.names, tmp_path / "short.npz")
        chosen(PairSources(sources.questions, sources.store, regions=settings), [(1, 2)])
    np.savez(tmp_path / "high.npz", category=[9] * 13)
    with pytest.raises(DataError, match="classes from 9 to 9, but 5 names"):
        settings = ClassSettings(sources.regions.names, tmp_path / "high.npz")
        chosen(PairSources(sources.questions, sources.store, regions=settings), [(1, 2)])
    with pytest.raises(UsageError, match="--glove"):
        chosen(sources, [(1, 2)], near=0.7)
    for name, settings in (
        ("agreed", {"least": 2}),
        ("cap", {"question": -1}),
        ("few-changed", {"share": 0}),
        ("few-changed", {"distance": -1}),
        ("named", {"near": 0}),
        ("named", {"one_end": -1}),
    ):
        with pytest.raises(UsageError):
            SELECTIONS[name].Settings(**settings)


def test_a_store_with_classes(sources, tmp_path):
    with RegionStoreWriter(tmp_path / "c.h5", dim=5, dtype="float32", fingerprint="t", columns=["class"]) as writer:
        for image, codes in OBJECTS.items():
            boxes = np.tile([0, 0, 9, 9], (len(codes), 1))
            writer.add(image, np.eye(5)[codes], boxes, (10, 10), {"class": np.array(codes, np.int32)})
    store = RegionStore(tmp_path / "c.h5")
    other = PairSources(sources.questions, store, regions=ClassSettings(sources.regions.names))
    assert ids(chosen(other, [(1, 2), (11, 12)])) == [(1, 2)]
