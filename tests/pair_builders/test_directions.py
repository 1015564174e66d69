from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.pair_builders.alignment.directions import alignment_index, directions, partner_classes, remaining_regions
from vqa_gs.pair_builders.table import PairTable, concatenate

from vqa_gs.common.errors import DataError


@st.composite
def batches(draw):
    """Draws a table of identity and matched pairs, some of its pairs, and their region counts."""
    pieces, counts = [], []
    for _ in range(draw(st.integers(1, 5))):
        a, b = draw(st.integers(0, 5)), draw(st.integers(0, 5))
        if draw(st.booleans()):
            pieces.append(PairTable.of_one_kind("edited", [1], [2]))
            counts.append((a, a))
            continue
        width = max(a, b)
        ends = [draw(st.permutations([*range(n), *[-1] * (width - n)])) for n in (a, b)]
        rows = [row for row in zip(*ends, strict=True) if row != (-1, -1)]
        rows = rows[: draw(st.integers(0, len(rows)))]
        pieces.append(PairTable.of_one_kind("same-question", [1], [2], alignment="matched", rows=[rows]))
        counts.append((a, b))
    pairs = draw(st.lists(st.integers(0, len(pieces) - 1), max_size=6))
    chosen = np.array([counts[pair] for pair in pairs], int).reshape(-1, 2)
    return concatenate(pieces), pairs, chosen[:, 0], chosen[:, 1], draw(st.integers(0, 2))


def padded(generator, counts, width, dim=3):
    mask = np.arange(width) < counts[:, None]
    return generator.standard_normal((len(counts), width, dim)).astype(np.float32) * mask[..., None]


@settings(max_examples=200, deadline=None)
@given(batch=batches())
def test_against_a_plain_loop(batch):
    table, pairs, counts_a, counts_b, slack = batch
    wide_a, wide_b = counts_a.max(initial=0) + slack, counts_b.max(initial=0) + slack
    index = alignment_index(table, pairs, counts_a, counts_b, width_a=wide_a, width_b=wide_b)
    assert index.index_a.dtype == index.index_b.dtype == np.int64
    generator = np.random.default_rng(0)
    x, y = padded(generator, counts_a, wide_a), padded(generator, counts_b, wide_b)
    want_a, want_b = np.zeros_like(x), np.zeros_like(y)
    moves_a, moves_b = np.zeros(x.shape[:2], bool), np.zeros(y.shape[:2], bool)
    for p, pair in enumerate(pairs):
        rows = table.rows_of(pair).tolist()
        if table.alignment[pair] == 0:
            rows = [(k, k) for k in range(counts_a[p])]
        for k, m in rows:
            here = x[p, k] if k >= 0 else np.zeros(3, np.float32)
            there = y[p, m] if m >= 0 else np.zeros(3, np.float32)
            if k >= 0:
                want_a[p, k], moves_a[p, k] = here - there, True
            if m >= 0:
                want_b[p, m], moves_b[p, m] = there - here, True
    np.testing.assert_array_equal(index.moves_a, moves_a)
    np.testing.assert_array_equal(index.moves_b, moves_b)
    got_a, got_b = directions(torch.from_numpy(x), torch.from_numpy(y), *index.to("cpu"))
    np.testing.assert_array_equal(got_a.numpy(), want_a)
    np.testing.assert_array_equal(got_b.numpy(), want_b)


def test_the_direction_points_away_from_the_partner():
    table = PairTable.of_one_kind("x", [1], [2], alignment="matched", rows=[[(0, 1), (1, -1)]])
    x, y = torch.tensor([[[5.0], [7.0]]]), torch.tensor([[[100.0], [2.0]]])
    at_a, at_b = directions(x, y, *alignment_index(table, [0], [2], [2]).to("cpu"))
    assert at_a.tolist() == [[[3.0], [7.0]]]
    assert at_b.tolist() == [[[0.0], [-3.0]]]


def test_directions_are_constants_and_ignore_what_does_not_move():
    table = PairTable.of_one_kind("x", [1], [2], alignment="sparse", rows=[[(0, -1)]])
    x = torch.ones(1, 2, 3, requires_grad=True)
    y = torch.full((1, 2, 3), torch.nan)
    at_a, at_b = directions(x, y, *alignment_index(table, [0], [2], [2]).to("cpu"))
    assert not at_a.requires_grad
    assert at_a.tolist() == [[[1.0] * 3, [0.0] * 3]]
    assert at_b.abs().sum() == 0
    assert x.detach().sum() == 6


def test_tables_of_other_features_are_refused():
    identity = PairTable.of_one_kind("edited", [1, 1], [2, 2])
    with pytest.raises(DataError, match=r"pair 1: an identity pair whose images have 3 and 4 regions"):
        alignment_index(identity, [0, 1], [2, 3], [2, 4])
    matched = PairTable.of_one_kind("x", [1], [2], alignment="matched", rows=[[(0, 1), (3, -1)]])
    with pytest.raises(DataError, match=r"row \(3, -1\), but the images have 3 and 2 regions"):
        alignment_index(matched, [0], [3], [2])
    with pytest.raises(DataError, match=r"row \(0, 1\)"):
        alignment_index(matched, [0], [4], [1])
    with pytest.raises(ValueError, match="narrower"):
        alignment_index(matched, [0], [4], [2], width_a=3)
    with pytest.raises(ValueError, match="counts"):
        alignment_index(matched, [0], [4, 4], [2])


def test_remaining_regions():
    table = PairTable.of_one_kind("masked", [1, 1], [1, 1], masks=[[1, 0, 1], []])
    assert remaining_regions(table, [0, 1], [3, 2]).tolist() == [[True, False, True], [True, True, False]]
    assert remaining_regions(table, [1], [1], width_b=2).tolist() == [[True, False]]
    with pytest.raises(DataError, match="3 entries, but the image has 2"):
        remaining_regions(table, [1, 0], [2, 2])
    assert remaining_regions(PairTable.of_one_kind("x", [1], [2]), [0], [2]).tolist() == [[True, True]]


def test_classes_of_partners_are_where_the_counterparts_are():
    rows = [[(2, 0), (0, -1)], [(-1, 1)], [(1, 2), (0, 0)]]
    table = PairTable.of_one_kind("edited", [1, 2, 3], [4, 5, 6], alignment="sparse", rows=rows)
    assert (partner_classes(table, [0, 2], 3) == -1).all()
    codes = np.array([[0, 1], [2, -1], [-1, 1], [1, -1], [0, 2]], np.int32)
    table = replace(table, region_class=codes, class_names=("cat", "dog", "horse"))
    found = partner_classes(table, [2, 0, 1], 4)
    assert found.tolist() == [
        [2, -1, -1, -1],  # region 1's counterpart is of no known class
        [-1, -1, 1, -1],
        [-1, -1, -1, -1],
        [0, -1, 1, -1],
        [0, -1, -1, -1],
        [-1, -1, -1, -1],
    ]
