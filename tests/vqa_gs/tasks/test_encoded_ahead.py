"""Questions encoded ahead of their batches."""

import numpy as np
import pytest
import torch

from vqa_gs.tasks.vqa.encoded_ahead import encoded_ahead


def batches_of(count, generator):
    order = generator.permutation(count)
    return np.split(order, np.sort(generator.choice(np.arange(1, count), 9, replace=False)))


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize(("window", "at_once"), [(1, 1), (40, 7), (10_000, 16), (10_000, 10_000)])
def test_each_batch_gets_its_questions_in_order(window, at_once, pair):
    generator = np.random.default_rng(0)
    tokens = torch.from_numpy(generator.integers(0, 3, (200, 4)))
    batches = batches_of(200, generator)

    def encode(part):
        codes = part @ torch.tensor([27, 9, 3, 1])
        return (codes, part.double()) if pair else codes

    found = list(encoded_ahead(encode, tokens, batches, window, at_once))
    assert len(found) == len(batches)
    for rows, given in zip(batches, found, strict=True):
        expected = encode(tokens[torch.from_numpy(rows)])
        for mine, theirs in zip(given, expected, strict=True) if pair else [(given, expected)]:
            assert torch.equal(mine, theirs)


def test_a_wording_is_encoded_once_and_no_more_at_once_than_may_be():
    tokens = torch.from_numpy(np.random.default_rng(1).integers(0, 5, (300, 2)))
    calls = []

    def encode(part):
        calls.append(part)
        return part

    list(encoded_ahead(encode, tokens, np.split(np.arange(300), 10), at_once=8))
    assert max(len(part) for part in calls) == 8
    seen = torch.cat(calls)
    assert len(seen) == len(seen.unique(dim=0)) == len(tokens.unique(dim=0)) < 26


def test_windows_are_encoded_when_they_are_wanted():
    calls = []

    def encode(part):
        calls.append(len(part))
        return part

    ahead = encoded_ahead(encode, torch.arange(60).reshape(60, 1), np.split(np.arange(60), 6), window=25)
    assert not calls
    next(ahead)
    assert sum(calls) == 20
    next(ahead)
    assert sum(calls) == 20
    next(ahead)
    assert sum(calls) == 40


def test_no_batches():
    assert not list(encoded_ahead(lambda part: part, torch.zeros(0, 3, dtype=torch.int64), []))
