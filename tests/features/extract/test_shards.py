from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.extract.listing import list_images
from vqa_gs.features.extract.run import extract_regions, is_finished
from vqa_gs.features.extract.shards import Shard, gather, launched
from vqa_gs.features.merge import merge

from vqa_gs.common.errors import UsageError


@pytest.fixture(scope="module")
def tiny():
    return load_backbone("resnet10t", "random", short_side=32, long_side=48)


@pytest.fixture
def pictures(noise_pictures):
    return noise_pictures([f"{number}.png" for number in range(11)], 20, 60)


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 12))
def test_shards_are_whole_batches_and_together_everything(images, batch_size, of):
    items = [(i, str(i), None) for i in range(images)]
    parts = [Shard(number, of).part(items, batch_size) for number in range(1, of + 1)]
    assert [item for part in parts for item in part] == items
    for part in parts[:-1]:
        assert len(part) % batch_size == 0 or part[-1] == items[-1]
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 2 * batch_size


def test_merged_shards_are_the_whole(pictures, tiny, tmp_path):
    items = list_images(pictures)
    extract_regions(items, tiny, tmp_path / "whole.h5", batch_size=2)
    paths = []
    for number in (1, 2, 3):
        shard = Shard(number, 3)
        paths.append(shard.path(tmp_path / "out.h5"))
        extract_regions(shard.part(items, 2), tiny, paths[-1], batch_size=2)
    assert paths[1].name == "out.shard-2-of-3.h5"
    merge(paths, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_the_first_process_waits_for_the_others(pictures, tiny, tmp_path):
    items = list_images(pictures)
    out = tmp_path / "out.h5"
    extract_regions(Shard(1, 2).part(items, 4), tiny, Shard(1, 2).path(out), batch_size=4)

    def later():
        time.sleep(0.3)
        extract_regions(Shard(2, 2).part(items, 4), tiny, Shard(2, 2).path(out), batch_size=4)

    thread = threading.Thread(target=later)
    thread.start()
    summary = gather(items, out, 2, fingerprint=tiny.fingerprint, dtype="float16", batch_size=4)
    thread.join()
    assert summary.images == 11
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["out.h5"]


def test_finished_is_what_these_images_would_give(pictures, tiny, tmp_path):
    items = list_images(pictures)
    broken = items[4][1]
    broken.write_bytes(b"no image")
    out = tmp_path / "out.h5"
    assert not is_finished(out, items, tiny.fingerprint, "float16")
    extract_regions(items, tiny, out, on_error="skip")
    assert is_finished(out, items, tiny.fingerprint, "float16")
    assert not is_finished(out, items, tiny.fingerprint, "float32")
    assert not is_finished(out, items, "other", "float16")
    assert not is_finished(out, items[:5], tiny.fingerprint, "float16")
    assert not is_finished(out, items[::-1], tiny.fingerprint, "float16")
    time.sleep(0.02)
    Image.new("RGB", (30, 30)).save(broken)
    assert not is_finished(out, items, tiny.fingerprint, "float16")
    out.write_bytes(b"damaged")
    assert not is_finished(out, items, tiny.fingerprint, "float16")


def test_torchrun_says_which_process_this_is():
    assert launched({}) is None
    assert launched({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}) is None
    assert launched({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == (Shard(6, 8), 1)


def test_shards_are_named_by_number_and_count():
    assert Shard.parse("2/8") == Shard(2, 8)
    for text in ("0/8", "9/8", "2", "a/b", "1/0", "-1/2"):
        with pytest.raises(UsageError, match="is no shard"):
            Shard.parse(text)
