import numpy as np
import pytest
import torch

from vqa_gs.contracts import Outputs, mean_of_regions
from vqa_gs.seen import Seen, Sharing, runs

COUNTS = np.array([2, 1, 3])
IMAGE = [0, 0, 1, 2, 2, 2]


def test_rows_go_to_places_of_their_image_and_back():
    sharing = Sharing.of_counts(COUNTS)
    rows = torch.arange(12.0).view(6, 2) + 1
    places = sharing.spread(rows)
    assert places.shape == (3, 3, 2)
    assert torch.equal(places[2], rows[3:])
    assert not places[1, 1:].any()
    assert torch.equal(sharing.collect(places), rows)
    assert sharing.image.tolist() == IMAGE
    assert len(sharing.to("cpu")) == 6


def test_spreading_has_the_gradient_of_taking_rows():
    sharing = Sharing.of_counts(COUNTS)
    rows = torch.randn(6, 2, requires_grad=True)
    weight = torch.randn(3, 3, 2)
    (sharing.spread(rows) * weight).sum().backward()
    assert torch.equal(rows.grad, sharing.collect(weight))


def test_runs_of_ids_of_any_kind():
    ids = np.array([7, 7, "7", "7", 7], object)
    first, lengths = runs(ids)
    assert first.tolist() == [0, 2, 4]
    assert lengths.tolist() == [2, 2, 1]
    assert [len(part) for part in runs(ids[:0])] == [0, 0]


@pytest.fixture
def seen():
    """Two pair ends with images of their own, then three images that six rows share."""
    torch.manual_seed(0)
    mask = torch.rand(5, 4) < 0.7
    return Seen(torch.randn(5, 4, 3) * mask.unsqueeze(2), mask, Sharing.of_counts(COUNTS))


def test_what_rows_see_is_a_copy_only_where_they_share(seen):
    image = [0, 1, *(2 + one for one in IMAGE)]
    copied = Seen(seen.regions[image], seen.mask[image])
    for rows in (slice(None), slice(2), slice(1, 2), slice(2, None), slice(1, 5)):
        for found, expected in zip(seen.of_rows(rows), copied.of_rows(rows), strict=True):
            assert torch.equal(found, expected)
    assert seen.of_rows(slice(2))[0].data_ptr() == seen.regions.data_ptr()
    torch.testing.assert_close(seen.mean(), mean_of_regions(copied.regions, copied.mask))
    outputs = Outputs(None, torch.zeros(8, 1), torch.zeros(8, 1), torch.ones(8), seen=seen)
    assert torch.equal(outputs.regions, copied.regions)
    assert torch.equal(outputs.mask, copied.mask)
    assert Outputs(None, torch.zeros(8, 1), torch.zeros(8, 1), torch.ones(8)).regions is None
