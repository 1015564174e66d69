"""Corrupted bytes: whatever is done to a file, a reader ends with images or with an error meant for the user."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vqa_gs.features.convert import convert
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.recognise import detect_format

from tests.features.formats import later_files as later
from vqa_gs.common.errors import VqaGsError

QUICK, SLOW = 25, 300
# A process is started for each of their files: `make fuzz` has them.
ELSEWHERE = {"parquet", "zarr", "hdf5-groups", "hdf5-meshed"}
NAMES = [name for name in FORMATS if name not in ELSEWHERE]


def make_hdf5(path: Path, images, adaptive: bool) -> None:
    """Writes the HDF5 of the bottom-up features and its index."""
    import pickle

    with h5py.File(path, "w") as file:
        parts = {name: [image[name] for image in images.values()] for name in ("features", "boxes")}
        join = np.concatenate if adaptive else np.stack
        file["image_features"], file["image_bb"] = join(parts["features"]), join(parts["boxes"])
        if adaptive:
            ends = np.cumsum([len(part) for part in parts["boxes"]])
            file["pos_boxes"] = np.stack([np.r_[0, ends[:-1]], ends], 1).astype(np.int32)
    path.with_name(f"{path.stem}_imgid2idx.pkl").write_bytes(pickle.dumps({i: n for n, i in enumerate(images)}))


@pytest.fixture(scope="module")
def sources(files, tmp_path_factory):
    """Returns {format: (path, the files to damage)}, healthy ones."""
    folder = tmp_path_factory.mktemp("healthy")
    images = files.content((3, 14, 159), (2, 2, 2), dim=5, with_detections=True)
    make_hdf5(folder / "fixed.hdf5", images, adaptive=False)
    make_hdf5(folder / "adaptive.hdf5", images, adaptive=True)
    with h5py.File(files.write_padded(folder / "chunked.hdf5", images), "r+") as file:
        values = file["features"][:]
        del file["features"]
        file.create_dataset("features", data=values, chunks=(1, 5, 2), compression="gzip")
    made = {
        "tsv": files.write_tsv(folder / "x.tsv", images),
        "tsv-10": files.write_tsv_10(folder / "y.tsv", images),
        "hdf5-36": folder / "fixed.hdf5",
        "hdf5-adaptive": folder / "adaptive.hdf5",
        "hdf5-padded": folder / "chunked.hdf5",
        "npz": files.write_npz(folder / "npz", images),
        "pth": files.write_pth(folder / "pth", images),
        "bin": files.write_bin(folder / "bin", files.content((3, 14), (1, 1), dim=2048)),
        "grid": later.write_grids(folder / "grid", later.grid_content((3, 14), dim=130)),
        "npy": later.write_npy(folder / "npy", images),
        "mmf-npy": later.write_mmf(folder / "mmf", images),
        "vinvl": later.write_vinvl(folder / "v.tsv", images, with_index=False, with_sizes=False),
        "gqa": later.write_gqa(folder / "gqa", images),
        "safetensors": later.write_safetensors(folder / "x.safetensors", images),
        "webdataset": later.write_shards(folder / "shards", images),
    }
    try:
        made["lmdb"] = files.write_lmdb(folder / "lmdb", {b"%d" % i: files.mmf_record(images[i]) for i in (3, 14)})
    except pytest.skip.Exception:
        warnings.warn("the reader of LMDB is not fuzzed: the lmdb extra is not installed", stacklevel=1)
    return made


def _victims(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.name != "lock.mdb")
    return [path, *path.parent.glob(f"{path.stem}_imgid2idx.pkl")]


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "cut", "insert", "copy"]),
        st.floats(0, 1),
        st.floats(0, 1),
        st.binary(max_size=9),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, edits) -> bytes:
    for kind, where, length, payload in edits:
        place = int(where * max(0, len(content) - 1))
        span = int(length**3 * (len(content) - place))
        if kind == "flip" and content:
            bit = 1 << int(length * 7.99)
            content = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
        elif kind == "set":
            content = content[:place] + payload + content[place + len(payload) :]
        elif kind == "cut":
            content = content[:place] + (content[place + span :] if payload else b"")
        elif kind == "insert":
            content = content[:place] + payload + content[place:]
        elif kind == "copy":
            content = content[:place] + content[:span] + content[place + span :]
    return content


def _attempt(folder: Path, name: str, source: Path, victim_number: int, edits, on_error: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    copy = folder / source.name
    if source.is_dir():
        shutil.copytree(source, copy)
    else:
        for file in _victims(source):
            shutil.copy(file, folder / file.name)
    victims = _victims(copy)
    victim = victims[victim_number % len(victims)]
    victim.write_bytes(damaged(victim.read_bytes(), edits))
    for other in FORMATS:
        FORMATS[other].detect(copy)
    for format_name in (name, "auto"):
        try:
            if format_name == "auto":
                detect_format(copy)
            with warnings.catch_warnings():
                warnings.simplefilter("error", category=pytest.PytestUnhandledThreadExceptionWarning)
                convert(copy, folder / "out.h5", format=format_name, on_error=on_error)
        except VqaGsError as error:
            assert "\n" not in str(error)
            assert not (folder / "out.h5").exists()
        else:
            (folder / "out.h5").unlink()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=QUICK, deadline=None, suppress_health_check=list(HealthCheck))
@given(victim=st.integers(0, 3), edits=EDITS, on_error=st.sampled_from(["fail", "skip"]))
def test_corrupted_bytes(sources, tmp_path, name, victim, edits, on_error):
    if name not in sources:
        pytest.skip("the lmdb extra is not installed")
    _attempt(tmp_path / "case", name, sources[name], victim, edits, on_error)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=SLOW, deadline=None, suppress_health_check=list(HealthCheck))
@given(victim=st.integers(0, 3), edits=EDITS, on_error=st.sampled_from(["fail", "skip"]))
def test_corrupted_bytes_at_length(sources, tmp_path, name, victim, edits, on_error):
    if name not in sources:
        pytest.skip("the lmdb extra is not installed")
    _attempt(tmp_path / "case", name, sources[name], victim, edits, on_error)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300), suffix=st.sampled_from(["", ".tsv", ".hdf5", ".npz", ".pth", ".bin", ".mdb"]))
def test_any_bytes(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    for name in FORMATS:
        FORMATS[name].detect(path)
        with pytest.raises(VqaGsError):
            convert(path, tmp_path / "out.h5", format=name)
