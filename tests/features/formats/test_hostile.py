"""Files made to harm: each is one line about the file, and neither memory nor other files pay for it."""

from __future__ import annotations

import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from vqa_gs.features.convert import convert

from tests.vqa_gs.common.pickled import ATTACKS
from vqa_gs.common.errors import DataError

HARMFUL = ("pointers", "a field of objects", "nested hex", "bytearray")


def _hdf5(path, make):
    with h5py.File(path, "w") as file:
        make(file)
    path.with_name("x_imgid2idx.pkl").write_bytes(pickle.dumps({1: 0}))
    return path


@pytest.mark.parametrize("attack", HARMFUL)
def test_an_index_that_attacks(tmp_path, attack):
    path = _hdf5(tmp_path / "x.hdf5", lambda file: file.create_dataset("image_features", data=np.ones((1, 2, 3), "f4")))
    path.with_name("x_imgid2idx.pkl").write_bytes(ATTACKS[attack])
    with pytest.raises(DataError, match=r"x_imgid2idx\.pkl: not a readable image index pickle"):
        convert(path, tmp_path / "out.h5")


@pytest.mark.parametrize("attack", HARMFUL)
def test_an_archive_whose_info_attacks(tmp_path, attack):
    folder = tmp_path / "npz"
    folder.mkdir()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    np.savez(folder / "1.npz", x=np.ones((2, 6), np.float32), num_bbox=2)
    with zipfile.ZipFile(folder / "1.npz", "a") as archive:
        archive.writestr("info.npy", header.getvalue() + ATTACKS[attack])
    with pytest.raises(DataError, match=r"1\.npz: image 1: not readable: "):
        convert(folder, tmp_path / "out.h5")


def _torch(content, **parts):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", **parts) as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/data/0", bytes(8))
    return made.getvalue()


def _tensor(storage: bytes, numbers: bytes, shape: bytes, strides: bytes) -> bytes:
    key = b"(S'storage'\nctorch\n" + storage + b"\nS'0'\nS'cpu'\n" + numbers + b"tQ"
    return b"(dS'image_feature'\nctorch._utils\n_rebuild_tensor_v2\n(" + key + b"I0\n" + shape + strides + b"I00\nNtRs."


GOOD = (b"I2\n", b"(I1\nI2\nt", b"(I2\nI1\nt")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        *((_torch(ATTACKS[attack]), "") for attack in HARMFUL),
        (_torch(_tensor(b"FloatStorage", *GOOD), compression=zipfile.ZIP_DEFLATED), "its parts are compressed"),
        (_torch(_tensor(b"FloatStorage", b"I2\n", b"(I9\nI9\nt", b"(I0\nI0\nt")), r"shape \(9, 9\) in a storage of 2"),
        (_torch(_tensor(b"FloatStorage", b"I2\n", b"(I1\nI2\nt", b"(I9\nI9\nt")), r"in a storage of 2"),
        (_torch(_tensor(b"FloatStorage", b"I9\n", b"(I1\nI2\nt", b"(I2\nI1\nt")), "9 numbers in 8 bytes"),
        (_torch(_tensor(b"FloatStorage", b"I2\n", b"(I-1\nI2\nt", b"(I2\nI1\nt")), "no such shape"),
        (_torch(_tensor(b"QUInt8Storage", *GOOD)), "not allowed"),
        (b"PK" + bytes(40), "BadZipFile"),
        (pickle.dumps(7, 2) * 5, "no torch file"),
    ],
)
def test_torch_files_that_attack(tmp_path, content, problem):
    folder = tmp_path / "pth"
    folder.mkdir()
    (folder / "1.pth").write_bytes(content)
    with pytest.raises(DataError, match=rf"1\.pth: image 1: not readable: .*(?:{problem})"):
        convert(folder, tmp_path / "out.h5")


def _unwritten(file):
    file.create_dataset("image_features", (30_000_000, 36, 2048), "f4", chunks=(1000, 36, 2048))


def _view_of_others(file):
    view = h5py.VirtualLayout((2, 36, 8), "f4")
    view[:] = h5py.VirtualSource("other.hdf5", "x", (2, 36, 8))
    file.create_virtual_dataset("image_features", view)


def _elsewhere(file):
    file.create_dataset("image_features", (1, 1, 8), "f4", external=[("/etc/passwd", 0, 32)])


def _a_link(file):
    file["image_features"] = h5py.ExternalLink("other.hdf5", "/x")


def _one_huge_chunk(file):
    file.create_dataset(
        "image_features", data=np.ones((2, 2, 3), "f4"), maxshape=(None, 2, 3), chunks=(80_000_000, 2, 3), compression=4
    )


@pytest.mark.parametrize("make", [_unwritten, _view_of_others, _elsewhere, _a_link, _one_huge_chunk])
def test_hdf5_that_is_larger_than_its_file_or_reads_others(tmp_path, make):
    path = _hdf5(tmp_path / "x.hdf5", lambda file: file.create_dataset("image_features", data=np.ones((1, 2, 3), "f4")))
    with h5py.File(path, "w") as file:
        if make is not _one_huge_chunk:
            make(file)
        else:  # made by hand: writing it would take the memory that reading is not to take
            space = h5py.h5s.create_simple((2, 2, 3), (h5py.h5s.UNLIMITED, 2, 3))
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_chunk((80_000_000, 2, 3))
            creation.set_deflate(4)
            h5py.h5d.create(file.id, b"image_features", h5py.h5t.IEEE_F32LE, space, creation)
    with pytest.raises(DataError, match=r"x\.hdf5: .*(?:stored|lie in other files|link to another place)"):
        convert(path, tmp_path / "out.h5", format="hdf5-36")


def test_a_group_whose_features_were_never_written(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("9/features", (10_000, 2048), "f4", chunks=(100, 2048))
        file.create_dataset("10/features", data=np.ones((2, 2048), "f4"))
        file["99"] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(DataError, match=r"image 9: not readable: .*has 81,920,000 bytes, of which 0 are stored"):
        convert(tmp_path / "x.h5", tmp_path / "out.h5")
    summary = convert(tmp_path / "x.h5", tmp_path / "out.h5", on_error="skip")
    assert (summary.images, len(summary.skipped)) == (1, 2)


def test_a_table_that_unpacks_to_far_more(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    zeros = pyarrow.ListArray.from_arrays([0, 8 << 20], pyarrow.array(np.zeros(8 << 20, np.float32)))
    parquet.write_table(pyarrow.table({"image_id": [1], "features": zeros}), tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 100_000
    with pytest.raises(DataError, match="its columns are far larger than the file"):
        convert(tmp_path / "x.parquet", tmp_path / "out.h5")


def test_safetensors_that_lie_about_their_size(tmp_path):
    head = b'{"9":{"dtype":"F32","shape":[1000000,2048],"data_offsets":[0,8192000000]}}'
    (tmp_path / "x.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(64))
    with pytest.raises(DataError, match="no readable safetensors"):
        convert(tmp_path / "x.safetensors", tmp_path / "out.h5")


@pytest.mark.parametrize("attack", HARMFUL)
def test_grids_and_vectors_that_attack(tmp_path, attack):
    folder = tmp_path / "grids"
    folder.mkdir()
    np.save(folder / "0.npy", np.ones((1, 2, 3, 200), np.float32))
    (folder / "1.pth").write_bytes(_torch(ATTACKS[attack]))
    with pytest.raises(DataError, match=r"1\.pth: image 1: not readable"):
        convert(folder, tmp_path / "out.h5", format="grid")
