from contextlib import suppress
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.pair_builders.table import ALIGNMENTS, PairTable, concatenate, read_pair_table, write_pair_table
from vqa_gs.pair_builders.table.columns import id_column, ragged_positions

from vqa_gs.common.errors import DataError, UsageError

COLUMNS = ["question_a", "question_b", "kind", "alignment", "weight", "distance", "first", "rows"]
COLUMNS += ["mask_first", "mask_keep", "answer_b", "region_class"]


def assert_equal(left, right):
    for name in COLUMNS:
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None), name
        if one is not None:
            assert one.dtype == two.dtype, name
            np.testing.assert_array_equal(one, two, err_msg=name)
    assert (left.kinds, left.settings, left.sources) == (right.kinds, right.settings, right.sources)
    assert left.class_names == right.class_names


def example(kind="same-question", ids=(1, 2, 3), **more):
    made = {
        "alignment": "matched",
        "rows": [[(0, 1), (1, -1)], [(-1, 0)], []],
        "distance": [0.5, np.nan, 1.5],
        "settings": {"partners": 3},
        "sources": {"q.json": "00ff"},
    } | more
    return PairTable.of_one_kind(kind, list(ids), [f"x{i}" for i in ids], **made)


def told(names=("cat", "dog"), codes=((0, 1), (1, -1), (-1, 1)), **more):
    """Returns an example whose regions have classes."""
    return replace(example(**more), region_class=np.array(codes, np.int32), class_names=names)


def masked(kind="masked"):
    return example(
        kind,
        alignment="identity",
        rows=(),
        masks=[[1, 0], [], [0, 0, 1]],
        answer_b=["", None, "zwei"],
        sources={"m.json": "aa"},
    )


@st.composite
def tables(draw):
    pairs = draw(st.integers(0, 6))
    text = draw(st.booleans())
    ids = st.text(max_size=5).filter(lambda s: not s.endswith("\0")) if text else st.integers(-(2**63), 2**63 - 1)
    ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5) if text else ids
    column = st.lists(ids, min_size=pairs, max_size=pairs)
    alignment = draw(st.sampled_from(ALIGNMENTS))
    rows = []
    for _ in range(0 if alignment == "identity" else pairs):
        ends = [draw(st.permutations(range(4))), draw(st.permutations(range(4)))]
        rows.append(list(zip(*ends, strict=True))[: draw(st.integers(0, 4))])
    masks = st.lists(st.integers(0, 1), max_size=4)
    return PairTable.of_one_kind(
        draw(st.sampled_from(["a", "b", "c"])),
        draw(column),
        draw(column),
        alignment=alignment,
        rows=rows,
        weight=draw(st.floats(0, 4, width=32)),
        masks=draw(st.none() | st.lists(masks, min_size=pairs, max_size=pairs)),
        answer_b=draw(st.none() | st.lists(st.none() | st.just("") | st.just("nö"), min_size=pairs, max_size=pairs)),
        settings={"n": draw(st.integers(0, 2))},
    )


@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_what_is_written_is_read(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("round") / "pairs.h5"
    write_pair_table(path, table)
    again = read_pair_table(path)
    if not len(table):  # an empty column has no type of its own in memory, but has one in the file
        again.question_a, again.question_b = table.question_a, table.question_b
    assert_equal(again, table)


@settings(max_examples=60, deadline=None)
@given(one=tables(), two=tables(), data=st.data())
def test_select_undoes_concatenate(one, two, data):
    try:
        both = concatenate([one, two])
    except DataError:
        assert (one.question_a.dtype, one.question_b.dtype) != (two.question_a.dtype, two.question_b.dtype)
        return
    assert len(both) == len(one) + len(two)
    order = data.draw(st.lists(st.integers(0, len(both) - 1), max_size=8) if len(both) else st.just([]))
    chosen = both.select(order)
    for at, pair in enumerate(order):
        source, row = (one, pair) if pair < len(one) else (two, pair - len(one))
        np.testing.assert_array_equal(chosen.rows_of(at), source.rows_of(row))
        assert chosen.question_b[at] == source.question_b[row]
        assert chosen.kinds[chosen.kind[at]] == source.kinds[0]
        mask, expected = chosen.mask_of(at), source.mask_of(row)
        assert (mask is None) == (expected is None)
        np.testing.assert_array_equal(mask, expected)
        answers = (None if t.answer_b is None else t.answer_b[i] for t, i in ((chosen, at), (source, row)))
        assert next(answers) == next(answers)


def test_equal_tables_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_pair_table(tmp_path / name, concatenate([example(), masked()]))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_the_file_is_laid_out_as_promised(tmp_path):
    write_pair_table(tmp_path / "p.h5", concatenate([example(), masked()]))
    with h5py.File(tmp_path / "p.h5") as file:
        assert file.attrs["format"] == b"vqa-gs-pairs"
        assert file.attrs["format_version"] == 1
        assert file.attrs["kinds"].tolist() == [b"same-question", b"masked"]
        assert file.attrs["alignments"].tolist() == [b"identity", b"matched", b"sparse"]
        types = {name: file[name].dtype for name in ("pairs/kind", "pairs/alignment", "masks/keep")}
        assert set(types.values()) == {np.dtype(np.uint8)}
        assert file["pairs/question_a"].dtype == np.int64
        assert file["pairs/weight"].dtype == file["pairs/distance"].dtype == np.float32
        assert file["alignment/rows"].dtype == np.int32
        assert file["alignment/first"][:].tolist() == [0, 2, 3, 3, 3, 3, 3]
        assert file["masks/first"][:].tolist() == [0, 0, 0, 0, 2, 2, 5]
        assert list(file["pairs/question_b"].asstr()) == ["x1", "x2", "x3"] * 2
        assert list(file["pairs/answer_b"].asstr()) == ["", "", "", "", "", "zwei"]
        assert file["pairs/has_answer_b"][:].tolist() == [0, 0, 0, 1, 0, 1]


def test_select_takes_numbers_masks_and_nothing():
    table = concatenate([example(), masked()])
    assert table.select([4, 0]).question_a.tolist() == [2, 1]
    assert_equal(table.select(np.arange(6) == 3), table.select([3]))
    assert len(table.select([])) == 0
    assert table.select([5, 3]).answer_b.tolist() == ["zwei", ""]
    with pytest.raises(IndexError):
        table.select([6])


def test_settings_and_sources_are_merged():
    other = example(settings={"partners": 5}, sources={"r.json": "11"})
    both = concatenate([example(), other, masked(), other])
    assert both.kinds == ("same-question", "masked")
    assert both.settings["same-question"] == {"merged": [{"partners": 3}, {"partners": 5}]}
    assert both.settings["masked"] == {"partners": 3}
    assert both.sources == {"q.json": "00ff", "r.json": "11", "m.json": "aa"}
    with pytest.raises(DataError, match="different versions"):
        concatenate([example(), example(sources={"q.json": "22"})])
    with pytest.raises(UsageError):
        concatenate([])


def test_an_empty_table_merges_with_any_ids():
    empty = PairTable.of_one_kind("masked", [], [])
    assert concatenate([empty, example(), empty]).question_b.tolist() == ["x1", "x2", "x3"]
    with pytest.raises(DataError, match="numbers in one"):
        concatenate([example(), example(ids="abc")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_b": ["x1"]}, "3 question ids at end a, 1 at end b"),
        ({"kind": [0, 1, 0]}, "pair 1: the kind is none of the 1"),
        ({"alignment": [1, 1, 3]}, "pair 2: the alignment is none of"),
        ({"alignment": [0, 1, 1]}, "pair 0: an identity pair has alignment rows"),
        ({"first": [0, 2, 1, 3]}, "pair 1: alignment/first decreases"),
        ({"first": [0, 2, 3, 4]}, "runs from 0 to 4, expected 0 to 3"),
        ({"first": [0, 3]}, "alignment/first has the shape"),
        ({"rows": [[0, 1], [1, -2], [0, 0]]}, "pair 0: an alignment row has a region below -1"),
        ({"rows": [[0, 1], [1, 0], [-1, -1]]}, "pair 1: an alignment row names no region"),
        ({"rows": [[0, 1], [0, 2], [0, 0]]}, "pair 0: a region is in two"),
        ({"rows": [[0, 1], [-1, 1], [0, 0]]}, "pair 0: a region is in two"),
        ({"rows": [[0, 2**31], [1, 0], [0, 0]]}, "does not fit int32"),
        ({"rows": [[0.0, 1.5], [1, 0], [0, 0]]}, "holds float64, expected int32"),
        ({"weight": [1, -1, 1]}, "pair 1: the weight"),
        ({"weight": [1, np.nan, 1]}, "pair 1: the weight"),
        ({"distance": [1, np.inf, 1]}, "pair 1: the distance"),
        ({"mask_first": [0, 0, 0, 1]}, "masks need both"),
        ({"mask_first": [0, 0, 1, 1], "mask_keep": [2]}, "pair 1: a mask entry is neither"),
        ({"answer_b": ["yes"]}, "1 answers of end b for 3 pairs"),
        ({"answer_b": ["yes", 2, None]}, "must be text or None"),
    ],
)
def test_unsound_columns_are_refused(change, message):
    sound = {name: getattr(example(), name) for name in [*COLUMNS, "kinds"]}
    with pytest.raises(DataError, match=message):
        PairTable(**sound | change)


def test_ids_are_never_converted():
    assert id_column([1, 2]).dtype == np.int64
    assert id_column(["1", "2"]).tolist() == ["1", "2"]
    assert id_column(np.array(["1", "22"])).tolist() == ["1", "22"]
    for wrong in ([1, "2"], [1.0], [True], [2**63]):
        with pytest.raises(DataError):
            id_column(wrong)


def test_ragged_positions():
    bounds, positions = ragged_positions(np.array([0, 2, 2, 5]), np.array([2, 0, 1, 2]))
    assert bounds.tolist() == [0, 3, 5, 5, 8]
    assert positions.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]


def test_an_empty_table_is_refused_only_for_training(tmp_path):
    write_pair_table(tmp_path / "p.h5", PairTable.of_one_kind("same-question", [], [], settings={"partners": 3}))
    assert len(read_pair_table(tmp_path / "p.h5")) == 0
    with pytest.raises(DataError, match=r"p\.h5: holds no pairs, made with same-question.*looser settings"):
        read_pair_table(tmp_path / "p.h5", require_pairs=True)


def test_a_truncated_file_is_one_line(tmp_path):
    path = tmp_path / "p.h5"
    write_pair_table(path, concatenate([example(), masked()]))
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError) as caught:
            read_pair_table(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_damaged_byte_raises_no_other_error(tmp_path_factory, at, byte):
    path = tmp_path_factory.mktemp("damage") / "p.h5"
    write_pair_table(path, concatenate([example(), masked()]))
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] = byte
    path.write_bytes(content)
    with suppress(DataError):
        read_pair_table(path)


def test_foreign_files_and_versions(tmp_path):
    path = tmp_path / "p.h5"
    with pytest.raises(DataError, match="no such pair table file"):
        read_pair_table(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="not a readable pair table"):
        read_pair_table(path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "vqa-gs-regions"
    with pytest.raises(DataError, match="is not a pair table"):
        read_pair_table(path)
    write_pair_table(path, example())
    with h5py.File(path, "a") as file:
        del file["alignment/rows"]
    with pytest.raises(DataError, match="column alignment/rows is missing"):
        read_pair_table(path)
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(DataError, match="version 2, this program reads 1"):
        read_pair_table(path)


def test_text_that_cannot_be_kept_leaves_no_file(tmp_path):
    for bad in ("\ud800", "ends\0"):
        with pytest.raises(DataError):
            write_pair_table(tmp_path / "p.h5", example(ids=[bad] * 3))
    assert list(tmp_path.iterdir()) == []


def test_classes_of_regions_are_kept_cut_and_joined(tmp_path):
    table = told()
    write_pair_table(tmp_path / "t.h5", table)
    assert_equal(read_pair_table(tmp_path / "t.h5"), table)
    assert table.select([1, 0]).region_class.tolist() == [[-1, 1], [0, 1], [1, -1]]
    other = told(("dog", "horse"), ((1, 0), (0, -1), (-1, 1)), ids=(4, 5, 6))
    joined = concatenate([table, example(ids=(7, 8, 9)), other])
    assert joined.class_names == ("cat", "dog", "horse")
    none = [[-1, -1]] * 3
    assert joined.region_class.tolist() == [*table.region_class.tolist(), *none, [2, 1], [1, -1], [-1, 2]]
    write_pair_table(tmp_path / "j.h5", joined)
    assert_equal(read_pair_table(tmp_path / "j.h5"), joined)


@pytest.mark.parametrize(("codes", "problem"), [
    (((0, 2), (1, -1), (-1, 1)), "a region's class has no name.*pair 0|pair 0.*a region's class has no name"),
    (((0, -2), (1, -1), (-1, 1)), "a region's class has no name"),
    (((0, 1), (1, 0), (-1, 1)), "a class is given where no region is"),
    (((0, 1), (1, -1)), "alignment/classes"),
])  # fmt: skip
def test_unsound_classes_are_refused(codes, problem):
    with pytest.raises(DataError, match=problem):
        told(codes=codes)
