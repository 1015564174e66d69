from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.pair_builders.builders.shuffled import Settings, build, shuffle_partners, shuffle_table
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import PairTable, concatenate, write_pair_table

from vqa_gs.common.errors import DataError, UsageError


@settings(max_examples=200, deadline=None)
@given(data=st.data(), pairs=st.integers(2, 40), seed=st.integers(0, 99))
def test_no_example_keeps_its_partner(data, pairs, seed):
    column = st.lists(st.integers(0, pairs // 2), min_size=pairs, max_size=pairs)
    partner = np.array(data.draw(column))
    table = PairTable.of_one_kind("x", range(100, 100 + pairs), partner)
    if 2 * np.bincount(partner).max() > pairs:
        with pytest.raises(DataError, match="cannot be dealt out"):
            shuffle_partners(table, seed)
        return
    order = shuffle_partners(table, seed, data.draw(column), data.draw(column))
    assert sorted(order.tolist()) == list(range(pairs))
    assert (partner[order] != partner).all()
    assert shuffle_partners(table, seed).tolist() == shuffle_partners(table, seed).tolist()


def test_one_pair_cannot_be_shuffled():
    with pytest.raises(DataError, match="1 of 1 pairs"):
        shuffle_partners(PairTable.of_one_kind("x", [1], [2]), 0)


def test_half_of_the_pairs_with_one_partner():
    partner = np.array([7] * 200 + list(range(100, 300)))
    order = shuffle_partners(PairTable.of_one_kind("x", range(1000, 1400), partner), 3)
    assert (partner[order] != partner).all()


def test_answers_differ_where_they_can():
    generator = np.random.default_rng(0)
    answers_a = generator.integers(0, 2, 3000)
    table = PairTable.of_one_kind("x", range(3000), range(3000, 6000))
    order = shuffle_partners(table, 1, answers_a, 1 - answers_a)
    assert (answers_a != (1 - answers_a)[order]).mean() > 0.999
    assert Counter(order.tolist()).most_common(1)[0][1] == 1
    assert shuffle_partners(table, 2, answers_a, 1 - answers_a).tolist() != order.tolist()
    # It is a random dealing, not a shift by a few places.
    assert np.median(np.abs(order - np.arange(3000))) > 300


@pytest.fixture
def world(make_questions, make_store):
    rows = [(n, n, "What?", f"answer {n}") for n in range(8)]
    generator = np.random.default_rng(0)
    images = {n: generator.standard_normal((2 + n % 2, 3)) for n in range(8)}
    return PairSources(make_questions(rows), make_store(images))


def test_alignments(world):
    identity = PairTable.of_one_kind("edited", [0, 1, 2], [4, 5, 6])
    sparse = PairTable.of_one_kind(
        "same-question", [3], [7], alignment="sparse", rows=[[(0, 1), (1, 0)]], weight=0.5, settings={"p": 1}
    )
    table = concatenate([identity, sparse])
    for seed in range(5):
        shuffled = shuffle_table(table, world, seed)
        assert shuffled.question_a.tolist() == table.question_a.tolist()
        assert sorted(shuffled.question_b.tolist()) == [4, 5, 6, 7]
        assert (shuffled.question_b != table.question_b).all()
        assert shuffled.weight.tolist() == table.weight.tolist()
        assert shuffled.kinds == ("shuffled",)
        assert shuffled.settings["shuffled"]["pairs"]["same-question"] == {"p": 1}
        counts_a = world.store.counts(shuffled.question_a)
        counts_b = world.store.counts(shuffled.question_b)
        for pair in range(3):
            if counts_a[pair] == counts_b[pair]:
                assert shuffled.alignment[pair] == 0
            else:
                assert shuffled.alignment[pair] == 1
                assert len(shuffled.rows_of(pair)) == 3
        assert shuffled.alignment[3] == 2
        assert len(shuffled.rows_of(3)) == 2


def test_masks_and_answers_go_with_their_end(world):
    masked = PairTable.of_one_kind(
        "masked", [0, 1], [0, 1], masks=[[1, 0], [0, 1, 1]], answer_b=["", None], alignment="matched"
    )
    shuffled = shuffle_table(masked, world, 0)
    assert shuffled.question_b.tolist() == [1, 0]
    assert shuffled.mask_of(0).tolist() == [False, True, True]
    assert shuffled.answer_b.tolist() == [None, ""]
    # Masked regions have no counterpart.
    assert 0 not in shuffled.rows_of(0)[:, 1]
    assert 1 not in shuffled.rows_of(1)[:, 1]


def test_build_reads_a_table(world, tmp_path):
    path = tmp_path / "pairs.h5"
    write_pair_table(path, PairTable.of_one_kind("edited", [0, 1], [4, 5], sources={"q.json": "1"}))
    shuffled = build(world, Settings(of=path), 4)
    assert shuffled.question_b.tolist() == [5, 4]
    assert shuffled.settings["shuffled"]["of"] == str(path)
    assert set(shuffled.sources) == {"q.json", "questions.json", str(world.store.path), str(path)}
    write_pair_table(tmp_path / "again.h5", shuffled)


def test_what_cannot_be_shuffled_is_told(world, tmp_path):
    path = tmp_path / "pairs.h5"
    with pytest.raises(UsageError, match="need a table to shuffle"):
        build(world, Settings(), 0)
    write_pair_table(path, PairTable.of_one_kind("edited", [], []))
    with pytest.raises(DataError, match=r"pairs\.h5: holds no pairs"):
        build(world, Settings(of=path), 0)
    write_pair_table(path, PairTable.of_one_kind("edited", [0, 1], [4, 99]))
    with pytest.raises(DataError, match=r"pairs\.h5: pair 1: there is no question 99 in questions\.json"):
        build(world, Settings(of=path), 0)
    write_pair_table(path, PairTable.of_one_kind("edited", [0, 1], [4, 4]))
    with pytest.raises(DataError, match=r"pairs\.h5: partners cannot be dealt out anew"):
        build(world, Settings(of=path), 0)
