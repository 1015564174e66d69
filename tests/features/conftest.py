"""What the tests of features share: tiny stores and public files made in code, and the real data where present."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from vqa_gs.features.writer import RegionStoreWriter

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def shared_data():
    """Returns the path of a piece of real data, or skips the test where it is absent."""

    def find(name: str) -> Path:
        path = REPOSITORY.parent / "shared" / "data" / name
        if not path.exists():
            pytest.skip(f"real data {name} is not beside this checkout")
        return path

    return find


def random_image(rng: np.random.Generator, regions: int, dim: int, dtype: str):
    """Returns (features, boxes, size) of one image."""
    size = rng.integers(20, 600, 2)
    corners = np.sort(rng.random((regions, 2, 2)), axis=1) * size
    boxes = corners.reshape(regions, 4).astype(np.float32)
    return rng.normal(size=(regions, dim)).astype(dtype), boxes, tuple(size.tolist())


@pytest.fixture
def make_store(tmp_path):
    """Returns a function that writes a random store and returns (path, {id: (features, boxes, size)})."""

    def make(ids=(3, 1, 70, 20), counts=(2, 5, 1, 3), dim=8, dtype="float16", name="store.h5", seed=0):
        rng = np.random.default_rng(seed)
        path = tmp_path / name
        content = {i: random_image(rng, n, dim, dtype) for i, n in zip(ids, counts, strict=True)}
        with RegionStoreWriter(path, dim=dim, dtype=dtype, fingerprint="test") as writer:
            for image_id, (features, boxes, size) in content.items():
                writer.add(image_id, features, boxes, size)
        return path, content

    return make


@pytest.fixture
def make_fixed36(tmp_path):
    """Returns a function that writes a fixed-number file with its index; what it returns is as of make_store."""

    def make(ids=(9, 25, 30), regions=4, dim=6, name="train36", suffix="_imgid2idx.pkl", with_boxes=True, seed=0):
        rng = np.random.default_rng(seed)
        content = {i: random_image(rng, regions, dim, "float32") for i in ids}
        path = tmp_path / f"{name}.hdf5"
        with h5py.File(path, "w") as file:
            file["image_features"] = np.stack([c[0] for c in content.values()])
            if with_boxes:
                file["image_bb"] = np.stack([c[1] for c in content.values()])
                file["spatial_features"] = np.stack([spatial(c[1], c[2]) for c in content.values()])
        index = {image_id: row for row, image_id in enumerate(ids)}
        path.with_name(name + suffix).write_bytes(pickle.dumps(index))
        return path, content

    return make


@pytest.fixture
def make_adaptive(tmp_path):
    """Returns a function that writes an adaptive file with its index; what it returns is as of make_store."""

    def make(ids=(5, 2, 11), counts=(3, 1, 4), dim=6, name="val", dtype="float32", seed=0, **options):
        rng = np.random.default_rng(seed)
        content = {i: random_image(rng, n, dim, dtype) for i, n in zip(ids, counts, strict=True)}
        path = tmp_path / f"{name}.hdf5"
        ends = np.cumsum(counts)
        with h5py.File(path, "w") as file:
            features = np.concatenate([c[0] for c in content.values()])
            file.create_dataset("image_features", data=features, **options)
            file["image_bb"] = np.concatenate([c[1] for c in content.values()])
            file["spatial_features"] = np.concatenate([spatial(c[1], c[2]) for c in content.values()])
            file["pos_boxes"] = np.stack([ends - counts, ends], 1).astype(np.int32)
        index = {image_id: row for row, image_id in enumerate(ids)}
        path.with_name(f"{name}_imgid2idx.pkl").write_bytes(pickle.dumps(index, protocol=2))
        return path, content

    return make


def spatial(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the six columns of ``spatial_features``."""
    w, h = np.float32(size[0]), np.float32(size[1])
    x1, y1, x2, y2 = boxes.T
    return np.stack([x1 / w, y1 / h, x2 / w, y2 / h, (x2 - x1) / w, (y2 - y1) / h], 1).astype(np.float32)


@pytest.fixture
def fork():
    """Returns a function that starts work in a fork and returns the process and a pipe whose other end work has."""
    context = multiprocessing.get_context("fork")
    started = []

    def start(work):
        reports, end = context.Pipe(duplex=False)
        started.append(context.Process(target=work, args=(end,)))
        started[-1].start()
        end.close()
        return started[-1], reports

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def hidden_files(tmp_path):
    """Returns a function that lists what was left behind in the test's folder."""
    return lambda: sorted(entry.name for entry in tmp_path.iterdir() if entry.name.startswith("."))
