import gzip
import json

import pytest

from pair_builders.base import BUILDERS, PairSources
from pair_builders.edited import Settings, read_pair_list
from vqa_gs.common.errors import DataError

build = BUILDERS["edited"].build

ORIGINALS = [(1, 10, "How many?", "2"), (2, 11, "How many?", "3"), (3, 12, "Is it?", "yes")]
EDITS = [(101, "10_e", "How many?", "1"), (102, "11_e", "How many?", "three"), (103, "12_e", "Is it?", "no")]
IMAGES = {
    "10": [[1.0, 0], [0, 1]],
    "10_e": [[0.0, 1], [0, 0]],
    "11": [[2.0, 2]],
    "11_e": [[2.0, 3]],
    "12": [[1.0, 1], [3, 3]],
    "12_e": [[1.0, 1]],
}


@pytest.fixture
def make_sources(make_questions, make_store, tmp_path):
    def make(pairs, originals=ORIGINALS, edits=EDITS):
        path = tmp_path / "pairs.json"
        path.write_text(pairs if isinstance(pairs, str) else json.dumps(pairs))
        rows = [(id, str(image), *rest) for id, image, *rest in originals]
        edited = None if edits is None else make_questions(edits, "edited.json")
        return PairSources(make_questions(rows), make_store(IMAGES), edited, path)

    return make


def pairs_of(table):
    return list(zip(table.question_a.tolist(), table.question_b.tolist(), strict=True))


def test_listed_pairs(make_sources):
    sources = make_sources([[1, 101], {"original": 2, "edited": 102}, {"edited": 101, "original": 1}])
    table = build(sources, Settings(weight=2.0), 0)
    assert pairs_of(table) == [(1, 101)]
    assert table.kinds == ("edited",)
    assert table.alignment.tolist() == [0]
    assert table.weight.tolist() == [2]
    # "three" is "3": the edit changed nothing.
    assert table.settings["edited"]["dropped"] == {"equal answers": 1, "repeated": 1}
    assert len(table.sources) == 4
    assert len(table.sources[str(sources.pair_list)]) == 64


def test_other_alignments(make_sources):
    table = build(make_sources([[1, 101], [3, 103]]), Settings(alignment="matched"), 0)
    assert table.rows_of(0).tolist() == [[0, 1], [1, 0]]
    assert table.rows_of(1).tolist() == [[0, 0], [1, -1]]
    table = build(make_sources([[1, 101], [3, 103]]), Settings(alignment="sparse"), 0)
    assert table.rows.tolist() == [[0, 1], [1, -1]]


def test_identity_needs_equal_counts(make_sources):
    with pytest.raises(DataError, match=r"store\.h5: identity.*image 12 has 2 and image 12_e has 1"):
        build(make_sources([[1, 101], [3, 103]]), Settings(), 0)


def test_both_ends_in_one_file(make_sources):
    table = build(make_sources([[1, 2], [2, 1]], edits=None), Settings(alignment="matched"), 0)
    assert pairs_of(table) == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[1, 101], [9, 101]], r"pairs\.json: row 1: there is no question 9 in questions\.json"),
        ([[1, 109]], r"pairs\.json: row 0: there is no question 109 in edited\.json"),
        ([["1", 101]], "row 0: there is no question '1' .*write them alike"),
        ([[101, 1]], "row 0: .*wrong way round"),
        ([[1, 101], [2]], r"pairs\.json: row 1: not a pair"),
        ([[1, 101, 2]], "row 0: not a pair"),
        ([[True, 101]], "row 0: not a pair"),
        ([{"original": 1}], "row 0: not a pair"),
        ({"pairs": []}, r"pairs\.json: not a list of \[original, edited\]"),
        ("[[1, 101]", r"pairs\.json: not valid JSON"),
        ("", r"pairs\.json: is empty"),
    ],
)
def test_bad_lists(make_sources, pairs, message):
    with pytest.raises(DataError, match=message) as caught:
        build(make_sources(pairs), Settings(), 0)
    assert "\n" not in str(caught.value)


def test_ids_must_tell_the_ends_apart(make_sources):
    edits = [(2, "10_e", "How many?", "1")]
    with pytest.raises(DataError, match="row 0: the edited question 2 has the id of an original"):
        build(make_sources([[1, 2]], edits=edits), Settings(), 0)


def test_a_missing_image_is_named(make_sources):
    edits = [(101, "10_lost", "How many?", "1")]
    with pytest.raises(DataError, match=r"store\.h5: image '10_lost': the image of question 101 is not in"):
        build(make_sources([[1, 101]], edits=edits), Settings(), 0)


def test_a_gzipped_list(tmp_path):
    path = tmp_path / "pairs.json.gz"
    path.write_bytes(gzip.compress(b'[[1, "a"]]'))
    assert read_pair_list(path)[0] == [(1, "a")]
