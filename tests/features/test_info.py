from __future__ import annotations

import json

from vqa_gs.features.info import describe, render
from vqa_gs.features.store import RegionStore


def test_description(make_store):
    path, _ = make_store()
    description = describe(path)
    assert json.loads(json.dumps(description))["images"] == 4
    assert description["regions_per_image"] == {1: 1, 2: 1, 3: 1, 5: 1}
    assert description["bytes"] == path.stat().st_size
    assert description["content_hash"] == RegionStore(path).content_hash
    assert (description["layout"], description["id_kind"]) == ("contiguous", "int")
    assert (description["regions_min"], description["regions_max"]) == (1, 5)
    text = render(description)
    for part in ("4 (int ids)", "8 x float16, contiguous", "1 to 5 an image", description["content_hash"]):
        assert part in text
    assert "\x1b" not in text


def test_histograms_of_many_numbers_are_binned(make_store):
    path, _ = make_store(ids=range(90), counts=range(10, 100))
    description = describe(path)
    text = render(description, width=60)
    assert "10-14" in text
    assert len(text.splitlines()) < 50
    assert sum(description["regions_per_image"].values()) == 90


def test_brackets_in_a_name_are_text(make_store):
    path, _ = make_store(ids=("a",), counts=(1,), name="[red]store.h5")
    assert "[red]store.h5" in render(describe(path), width=300)
