from __future__ import annotations

import random
import time

import numpy as np
import pytest
import torch
from PIL import Image
from vqa_gs.features.check import check as check_store
from vqa_gs.features.extract import workers as workers_module
from vqa_gs.features.extract.batch_size import interrupted_batch
from vqa_gs.features.extract.regions import Described
from vqa_gs.features.extract.run import extract_regions
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, UsageError


class Stub:
    """Stands in for a backbone: a box's mean colour and its corner, slowly if asked to."""

    name, weights, note, dim, device, fingerprint = "stub", "random", "none", 5, "cpu", "stub 1"

    def __init__(self, pause=0.0):
        self.pause, self.calls = pause, 0

    def prepare(self, image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)[:, :16, :16]

    def extract(self, inputs, sizes, found):
        time.sleep(self.pause)
        self.calls += len(inputs)
        colours = [image.float().mean((1, 2)).numpy() for image in inputs]
        return [
            Described(
                boxes.boxes,
                features=np.concatenate([np.repeat(colour[None], len(boxes.boxes), 0), boxes.boxes[:, :2]], 1),
            )
            for colour, boxes in zip(colours, found, strict=True)
        ]


def listed(folder):
    return [
        (int(p.stem), p, np.array([[0, 0, 9, 9], [1, 2, int(p.stem) % 7 + 3, 9]], np.float32))
        for p in sorted(folder.glob("*.png"))
    ]


@pytest.fixture
def pictures(noise_pictures):
    return noise_pictures([f"{number:03d}.png" for number in range(40)], 16, 30)


def test_images_become_a_store(pictures, tmp_path, hidden_files):
    calls = []
    items = listed(pictures)
    summary = extract_regions(
        items, Stub(), tmp_path / "out.h5", batch_size=16, progress=lambda *done: calls.append(done)
    )
    store = RegionStore(tmp_path / "out.h5")
    assert check_store(store.path).problems == []
    assert calls == [(16, 40), (32, 40), (40, 40)]
    assert (summary.images, summary.regions, summary.dim, summary.resumed) == (40, 80, 5, 0)
    assert (summary.dtype, store.fingerprint) == ("float16", "stub 1")
    assert store.image_ids == tuple(range(40))
    for image_id, path, boxes in items:
        pixels = np.asarray(Image.open(path))
        assert (store[image_id].boxes == boxes).all()
        assert store[image_id].size.tolist() == [pixels.shape[1], pixels.shape[0]]
        expected = pixels[:16, :16].astype(np.float32).mean((0, 1)).astype(np.float16)
        assert np.allclose(store[image_id].features[:, :3], expected, rtol=2e-3)
    assert hidden_files() == []


def test_the_bytes_do_not_depend_on_workers(pictures, tmp_path):
    threads = torch.get_num_threads()
    results = []
    for workers in (1, 2, 5):
        out = tmp_path / f"{workers}.h5"
        extract_regions(iter(listed(pictures)), Stub(0.001), out, batch_size=3, workers=workers)
        results.append(out.read_bytes())
    assert results[0] == results[1] == results[2]
    assert torch.get_num_threads() == threads


def test_without_boxes_there_is_a_grid_and_ids_may_be_text(pictures, tmp_path):
    items = [(p.name, str(p), None) for p in sorted(pictures.glob("*.png"))[:3]]
    extract_regions(items, Stub(), tmp_path / "out.h5", dtype="float32")
    store = RegionStore(tmp_path / "out.h5")
    assert store.counts(["000.png", "002.png"]).tolist() == [10, 10]
    regions = store["001.png"]
    assert regions.boxes[0].tolist() == [0, 0, *regions.size.tolist()]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros((2, 3)), "boxes of shape"),
        (np.array([[0, 0, np.nan, 1]]), "NaN"),
        (np.array([[5, 0, 1, 1]]), "ends before it begins"),
        (np.array([[500, 0, 501, 1]]), "outside the image"),
    ],
)
def test_wrong_boxes_name_the_image(pictures, tmp_path, hidden_files, boxes, message):
    items = listed(pictures)[:3]
    items[1] = (77, items[1][1], boxes)
    with pytest.raises(DataError, match=rf"001\.png: image 77: .*{message}"):
        extract_regions(items, Stub(), tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    assert hidden_files() == []


def test_a_broken_image_costs_only_its_batch(pictures, tmp_path, hidden_files):
    items = listed(pictures)
    expected = tmp_path / "expected.h5"
    extract_regions(items, Stub(), expected, batch_size=4)
    broken = items[21][1]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:60])
    out = tmp_path / "out.h5"
    with pytest.raises(DataError, match=r"021\.png: image 21: not a readable image"):
        extract_regions(items, Stub(), out, batch_size=4)
    assert hidden_files() == [".out.h5.journal"]
    broken.write_bytes(whole)
    backbone = Stub()
    summary = extract_regions(items, backbone, out, batch_size=4)
    assert (summary.resumed, backbone.calls) == (20, 20)
    assert out.read_bytes() == expected.read_bytes()
    assert hidden_files() == []


def interrupted(items, out, after=24, **options):
    def stop(done, total):
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_regions(items, Stub(), out, batch_size=4, progress=stop, **options)


def test_the_first_image_is_told_before_its_batch_is_done(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(workers_module, "_TELL_EVERY", 0.02)
    calls = []
    extract_regions(
        listed(pictures)[:4],
        Stub(0.1),
        tmp_path / "out.h5",
        batch_size=4,
        workers=1,
        progress=lambda *done: calls.append(done),
    )
    assert calls[0] == (1, 4)
    assert calls[-1] == (4, 4)
    assert calls == sorted(calls)


def test_an_interrupted_extraction_tells_its_batch_size(pictures, tmp_path):
    out = tmp_path / "out.h5"
    assert interrupted_batch(out) is None
    interrupted(listed(pictures), out)
    assert interrupted_batch(out) == 4
    (tmp_path / ".out.h5.journal").write_bytes(b"\xff" * 40)
    assert interrupted_batch(out) is None


def test_what_changed_is_done_again(pictures, tmp_path):
    items = listed(pictures)
    out = tmp_path / "out.h5"
    interrupted(items, out)
    assert extract_regions(items, Stub(), out, batch_size=4).resumed == 24
    interrupted(items, out)
    other = [*items[:9], (items[9][0], items[9][1], items[9][2] + 1), *items[10:]]
    assert extract_regions(other, Stub(), out, batch_size=4).resumed == 8
    assert (RegionStore(out)[9].boxes == items[9][2] + 1).all()
    interrupted(items, out)
    assert extract_regions(items, Stub(), out, batch_size=5).resumed == 0
    interrupted(items, out)
    assert extract_regions(items, Stub(), out, batch_size=4, dtype="float32").resumed == 0
    interrupted(items, out)
    changed = Stub()
    changed.fingerprint = "stub 2"
    assert extract_regions(items, changed, out, batch_size=4).resumed == 0


def test_a_damaged_journal_loses_what_is_behind_the_damage(pictures, tmp_path):
    items = listed(pictures)
    expected, out = tmp_path / "expected.h5", tmp_path / "out.h5"
    extract_regions(items, Stub(), expected, batch_size=4)
    interrupted(items, out)
    journal = tmp_path / ".out.h5.journal"
    whole = journal.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(25):
        damaged = bytearray(whole)
        if number % 2:
            damaged = damaged[: rng.integers(len(whole))]
        else:
            damaged[rng.integers(len(whole))] ^= 255
        journal.write_bytes(damaged)
        summary = extract_regions(items, Stub(), out, batch_size=4)
        assert summary.resumed < 24
        assert out.read_bytes() == expected.read_bytes()


def test_two_at_once_are_refused(pictures, tmp_path):
    items = listed(pictures)
    out = tmp_path / "out.h5"

    def again(done, total):
        with pytest.raises(UsageError, match="another extraction"):
            extract_regions(items, Stub(), out)

    extract_regions(items, Stub(), out, progress=again)
    assert check_store(out).problems == []


def test_senseless_calls(pictures, tmp_path):
    items = listed(pictures)[:2]
    with pytest.raises(UsageError, match="at least 1"):
        extract_regions(items, Stub(), tmp_path / "x.h5", batch_size=0)
    with pytest.raises(UsageError, match="float8"):
        extract_regions(items, Stub(), tmp_path / "x.h5", dtype="float8")
    with pytest.raises(DataError, match="no images"):
        extract_regions([], Stub(), tmp_path / "x.h5")
    with pytest.raises(DataError, match="image 0: the image occurs twice"):
        extract_regions([items[0], items[0]], Stub(), tmp_path / "x.h5")
    with pytest.raises(DataError, match="no such image file"):
        extract_regions([(1, tmp_path / "absent.png", None)], Stub(), tmp_path / "x.h5")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        extract_regions(items, Stub(), tmp_path / "folder")


def test_killed_at_any_moment(pictures, tmp_path, hidden_files, fork):
    expected, out = tmp_path / "expected.h5", tmp_path / "out.h5"
    items = listed(pictures)
    extract_regions(items, Stub(), expected, batch_size=2)
    chance = random.Random(0)

    def work(pipe):
        extract_regions(items, Stub(0.02), out, batch_size=2, progress=lambda done, total: pipe.send(done))

    for _ in range(4):
        process, reports = fork(work)
        for _ in range(chance.randint(1, 8)):
            reports.recv()
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        if out.exists():
            assert out.read_bytes() == expected.read_bytes()
        assert len(hidden_files()) <= 2
    backbone, was_finished = Stub(), out.exists()
    summary = extract_regions(items, backbone, out, batch_size=2)
    assert summary.resumed + backbone.calls == 40
    assert summary.resumed > 0 or was_finished
    assert out.read_bytes() == expected.read_bytes()
    assert hidden_files() == []


def test_the_real_backbone_end_to_end(shared_data, tmp_path):
    from vqa_gs.features.extract.backbones import load_backbone

    paths = sorted(shared_data("butd-10/images").iterdir())
    backbone = load_backbone(short_side=96)
    items = [(path.stem, path, None) for path in paths]
    first = extract_regions(items, backbone, tmp_path / "a.h5", batch_size=3)
    extract_regions(items, backbone, tmp_path / "b.h5", batch_size=3, workers=2)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (first.images, first.regions, first.dim) == (10, 100, 496)
    assert check_store(first.out).problems == []


def test_a_journal_that_is_a_link_is_not_written_to(pictures, tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".out.h5.journal").symlink_to(tmp_path / "victim")
    with pytest.raises(DataError, match="is a link or no file"):
        extract_regions(listed(pictures), Stub(), tmp_path / "out.h5")
    assert (tmp_path / "victim").read_text() == "mine"
