"""The later public formats: found by themselves, read bit for bit, and what is wrong named by image."""

from __future__ import annotations

import io
import json
import tarfile

import h5py
import numpy as np
import pytest
import torch
from vqa_gs.features.convert import convert, plan_conversion
from vqa_gs.features.reading.grids import GridHints
from vqa_gs.features.recognise import detect_format
from vqa_gs.features.store import RegionStore

from tests.features.formats import later_files as later
from vqa_gs.common.errors import DataError, UsageError

IDS, COUNTS = (9, 25, 391895), (3, 1, 4)


def without(images, *columns, all_columns=False):
    """Returns images without some of their columns."""
    kept = {}
    for image_id, image in images.items():
        left = {} if all_columns else {name: v for name, v in image["columns"].items() if name not in columns}
        kept[image_id] = {**image, "columns": left}
    return kept


def converted(source, out, expected, **options):
    """Converts what has to be recognised."""
    assert detect_format(source) == expected
    return convert(source, out, **options)


@pytest.mark.parametrize(("first", "suffix"), [(True, ".pth"), (False, ".pth"), (False, ".npy"), (True, ".npy")])
@pytest.mark.parametrize("axes", [3, 4])
def test_grids(same, tmp_path, first, suffix, axes):
    grids = later.grid_content((9, 25))
    folder = later.write_grids(tmp_path / "x", grids, first, suffix, axes)
    summary = converted(folder, tmp_path / "out.h5", "grid")
    assert "a cell is a pixel" in summary.notes[0]
    same(tmp_path / "out.h5", later.cells(grids))


def test_grids_that_do_not_say_which_axis_is_which(same, tmp_path):
    grids = later.grid_content((9,), rows=5, columns=6, dim=8)
    folder = later.write_grids(tmp_path / "x", grids, channel_first=False)
    with pytest.raises(DataError, match=r"9\.pth: image 9: a grid of shape \(5, 6, 8\).*--layout nchw or nhwc"):
        convert(folder, tmp_path / "out.h5")
    for hints in (GridHints("nhwc"), GridHints(width=8)):
        convert(folder, tmp_path / "out.h5", hints=hints)
        same(tmp_path / "out.h5", later.cells(grids))
    with pytest.raises(DataError, match="of 8 numbers, not 5"):
        convert(folder, tmp_path / "out.h5", hints=GridHints("nhwc", 5))
    with pytest.raises(UsageError, match="choose nchw or nhwc"):
        convert(folder, tmp_path / "out.h5", hints=GridHints("hwc"))


def test_grids_of_different_sizes_and_a_strange_one(tmp_path):
    later.write_grids(tmp_path / "x", later.grid_content((1,), 2, 3))
    later.write_grids(tmp_path / "x", later.grid_content((2,), 4, 5))
    torch.save(torch.ones(7), tmp_path / "x" / "3.pth")
    with pytest.raises(DataError, match=r"3\.pth: image 3: no grid of features but ndarray of \(7,\).*five lines"):
        convert(tmp_path / "x", tmp_path / "out.h5")
    convert(tmp_path / "x", tmp_path / "out.h5", on_error="skip")
    assert RegionStore(tmp_path / "out.h5").counts([1, 2]).tolist() == [6, 20]


@pytest.mark.parametrize("name", ["x", "x.zip", "x.npz"])
def test_arrays(files, same, tmp_path, name):
    images = files.content(IDS, COUNTS)
    make = later.write_archive if "." in name else later.write_npy
    summary = converted(make(tmp_path / name, images), tmp_path / "out.h5", "npy")
    assert "no boxes" in summary.notes[0]
    same(tmp_path / "out.h5", images, with_boxes=False)


def test_vectors_and_batches_of_one(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    np.save(folder / "1.npy", np.arange(4, dtype=np.float32))
    np.save(folder / "2.npy", np.ones((1, 3, 4), np.float32))
    convert(folder, tmp_path / "out.h5")
    assert RegionStore(tmp_path / "out.h5")[1].features.tolist() == [[0, 1, 2, 3]]
    assert RegionStore(tmp_path / "out.h5").counts([1, 2]).tolist() == [1, 3]
    np.save(folder / "3.npy", np.ones((2, 4), np.int64))
    with pytest.raises(DataError, match=r"3\.npy: image 3: an array of int64, expected floats"):
        convert(folder, tmp_path / "out.h5")


def test_mmf(files, same, tmp_path):
    images = without(files.content(IDS, COUNTS, with_detections=True), "attribute", "attribute_score")
    folder = later.write_mmf(tmp_path / "x", images)
    assert converted(folder, tmp_path / "out.h5", "mmf-npy").notes == []
    same(tmp_path / "out.h5", images)
    (folder / "25_info.npy").unlink()
    with pytest.raises(DataError, match=r"25\.npy: image 25: not readable: 25_info\.npy is missing"):
        convert(folder, tmp_path / "out.h5")


def test_mmf_information_is_never_run(files, tmp_path, capfd):
    class Attack:
        def __reduce__(self):
            return print, ("attacked",)

    folder = later.write_mmf(tmp_path / "x", files.content((9,), (3,), with_detections=True))
    np.save(folder / "9_info.npy", np.array(Attack(), dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not allowed"):
        convert(folder, tmp_path / "out.h5")
    assert "attacked" not in capfd.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_vinvl(files, tmp_path, as_json):
    images = files.content(IDS, COUNTS)
    source = later.write_vinvl(tmp_path / "train.tsv", images, as_json)
    assert converted(source, tmp_path / "out.h5", "vinvl").notes == []
    with RegionStore(tmp_path / "out.h5") as store:
        for image_id, image in images.items():
            found = store[image_id]
            assert (found.features == image["features"]).all()
            assert tuple(found.size.tolist()) == image["size"]
            np.testing.assert_allclose(found.boxes, image["boxes"], rtol=1e-5, atol=1e-3)
    later.write_vinvl(source, images, as_json, with_sizes=False)
    source.with_name("train.hw.tsv").unlink()
    assert "boxes are fractions" in convert(source, tmp_path / "out.h5").notes[0]
    assert RegionStore(tmp_path / "out.h5")[9].boxes.max() <= 1


def test_vinvl_as_its_detector_writes_it(files, tmp_path):
    import base64

    images = files.content((9,), (3,))
    image = images[9]
    objects = [
        {"rect": box.tolist(), "conf": 0.5, "class": "cat", "feature": base64.b64encode(row.tobytes()).decode()}
        for box, row in zip(image["boxes"], image["features"], strict=True)
    ]
    (tmp_path / "predictions.tsv").write_text("9\t" + json.dumps({"objects": objects}) + "\n")
    summary = converted(tmp_path / "predictions.tsv", tmp_path / "out.h5", "vinvl")
    assert summary.columns == ("class_score",)
    found = RegionStore(tmp_path / "out.h5")[9]
    assert (found.features == image["features"]).all()
    assert (found.boxes == image["boxes"]).all()


def test_vinvl_that_was_cut_off_or_has_no_boxes(files, tmp_path):
    images = files.content((9, 25), (2, 2), dim=2048)
    source = later.write_vinvl(tmp_path / "train.tsv", images)
    rows = source.read_bytes().splitlines(keepends=True)
    source.write_bytes(rows[0])
    with pytest.raises(DataError, match=r"1 rows, train\.lineidx tells of 2 \(it is cut off"):
        convert(source, tmp_path / "out.h5")
    source.write_bytes(rows[1] + rows[0])
    with pytest.raises(DataError, match=r"row 1 \(line 2\), image 9: not readable: begins at byte .* does not say"):
        convert(source, tmp_path / "out.h5")
    images[25]["boxes"] = images[25]["boxes"] + 1e6
    later.write_vinvl(source, images)
    with pytest.raises(DataError, match="image 25: not readable: the last six of 2054 numbers are no box: they leave"):
        convert(source, tmp_path / "out.h5")
    with pytest.raises(DataError, match="it looks like vinvl: --format vinvl"):
        convert(source, tmp_path / "out.h5", format="tsv")


def test_meshed_memory(files, same, tmp_path):
    images = without(files.content(IDS, COUNTS, with_detections=True), "attribute", "attribute_score")
    source = later.write_meshed(tmp_path / "coco_detections.hdf5", images)
    assert "farthest corner" in converted(source, tmp_path / "out.h5", "hdf5-meshed").notes[0]
    for image in images.values():
        image["size"] = tuple(np.ceil(image["boxes"][:, 2:].max(0)).astype(int).tolist())
    same(tmp_path / "out.h5", images)
    with h5py.File(source, "r+") as file:
        del file["25_features"]
    with pytest.raises(DataError, match="image 25: not readable: ValueError: there is no 25_features"):
        convert(source, tmp_path / "out.h5")
    assert convert(source, tmp_path / "out.h5", on_error="skip").images == 2


def test_a_group_an_image(files, same, tmp_path):
    images = files.content(IDS, COUNTS, with_detections=True)
    source = later.write_groups(tmp_path / "x.h5", images)
    assert converted(source, tmp_path / "out.h5", "hdf5-groups").notes == []
    same(tmp_path / "out.h5", images)
    with h5py.File(source, "r+") as file:
        del file["9/boxes"]
        file["9/boxes"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(DataError, match="image 9: lacks boxes, which the first record has"):
        convert(source, tmp_path / "out.h5")


@pytest.mark.parametrize("named", ["", "gqa_objects_1.h5", "gqa_objects_info.json"])
def test_gqa(files, same, tmp_path, named):
    images = files.content((*IDS, "n578978"), (*COUNTS, 2))
    folder = later.write_gqa(tmp_path / "x", images)
    texts = {str(image_id): image for image_id, image in images.items()}
    assert converted(folder / named, tmp_path / "out.h5", "gqa", ids="text").notes == []
    same(tmp_path / "out.h5", texts)
    (folder / "gqa_objects_1.h5").unlink()
    with pytest.raises(DataError, match=r"file 1, row 0, image 25: is in gqa_objects_1\.h5, which is not there"):
        convert(folder, tmp_path / "out.h5", ids="text")
    summary = convert(folder, tmp_path / "out.h5", ids="text", on_error="skip")
    assert (summary.images, len(summary.skipped)) == (2, 2)


def test_gqa_grids(same, tmp_path):
    grids = later.grid_content(("1", "2"), 7, 7, 12)
    with h5py.File(tmp_path / "gqa_spatial_0.h5", "w") as file:
        file["features"] = np.stack([grid.transpose(2, 0, 1) for grid in grids.values()])
    info = {name: {"idx": row, "file": 0} for row, name in enumerate(grids)}
    (tmp_path / "gqa_spatial_info.json").write_text(json.dumps(info))
    converted(tmp_path, tmp_path / "out.h5", "gqa", ids="text")
    same(tmp_path / "out.h5", later.cells(grids))


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_tables(files, same, tmp_path, kind):
    images = files.content(IDS, COUNTS)
    source = later.write_parquet(tmp_path / f"x.{'parquet' if kind == 'parquet' else 'arrow'}", images, kind)
    assert converted(source, tmp_path / "out.h5", "parquet").notes == []
    same(tmp_path / "out.h5", images)


def test_tables_that_lack_a_column_or_have_ragged_rows(files, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")

    parquet.write_table(pyarrow.table({"image_id": [1], "vectors": [[1.0]]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet: Arrow cannot read it: no column features; it has image_id, vect"):
        convert(tmp_path / "x.parquet", tmp_path / "out.h5")
    ragged = pyarrow.table({"image_id": [1, 2], "features": [[[1.0, 2.0]], [[1.0, 2.0], [3.0]]]})
    parquet.write_table(ragged, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="image 2: not readable: .*lists of different lengths"):
        convert(tmp_path / "x.parquet", tmp_path / "out.h5")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr(files, same, tmp_path, version):
    images = files.content(IDS, COUNTS)
    source = later.write_zarr(tmp_path / "trainval.zarr", images, version)
    assert converted(source, tmp_path / "out.h5", "zarr").notes == []
    same(tmp_path / "out.h5", images)


def test_zarr_codecs_that_run_things_and_chunks_that_are_missing(files, tmp_path):
    source = later.write_zarr(tmp_path / "trainval.zarr", files.content((9, 25), (3, 3)))
    head = source / "25" / ".zarray"
    facts = json.loads(head.read_text())
    head.write_text(json.dumps({**facts, "filters": [{"id": "pickle"}]}))
    with pytest.raises(DataError, match="image 25: not readable: .*the codec 'pickle', which is no plain compressor"):
        convert(source, tmp_path / "out.h5")
    head.write_text(json.dumps(facts))
    next(file for file in (source / "25").rglob("*") if file.is_file() and not file.name.startswith(".z")).unlink()
    with pytest.raises(DataError, match="image 25: not readable: .*1 of its 1 chunks are missing"):
        convert(source, tmp_path / "out.h5")


@pytest.mark.parametrize("name", ["x.safetensors", "x"])
def test_safetensors(files, same, tmp_path, name):
    images = files.content(IDS, COUNTS)
    source = later.write_safetensors(tmp_path / name, images)
    assert converted(source, tmp_path / "out.h5", "safetensors").notes == []
    same(tmp_path / "out.h5", images)


@pytest.mark.parametrize(("suffix", "torch_files"), [(".tar", False), (".tar.gz", True)])
def test_shards(files, same, tmp_path, suffix, torch_files):
    images = files.content(IDS, COUNTS)
    folder = later.write_shards(tmp_path / "x", images, suffix, torch_files)
    assert converted(folder, tmp_path / "out.h5", "webdataset").notes == []
    same(tmp_path / "out.h5", images)


@pytest.mark.parametrize(
    ("name", "kind", "problem"),
    [
        ("/etc/1.npy", tarfile.REGTYPE, "leads out of the archive"),
        ("a/../../1.npy", tarfile.REGTYPE, "leads out of the archive"),
        ("1\x1b.npy", tarfile.REGTYPE, "leads out of the archive"),
        ("1.npy", tarfile.SYMTYPE, "is a link or a device"),
        ("1.npy", tarfile.GNUTYPE_SPARSE, "is a link or a device|damaged"),
    ],
)
def test_shards_with_bad_members(tmp_path, name, kind, problem):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, 0 if kind == tarfile.SYMTYPE else 8, "/etc/passwd"
        archive.addfile(member, io.BytesIO(bytes(8)))
    with pytest.raises(DataError, match=problem):
        convert(tmp_path / "x.tar", tmp_path / "out.h5")


def test_a_shard_that_unpacks_to_far_more(tmp_path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("1.npy")
        member.size = 64 << 20
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(DataError, match="which no honest file does"):
        convert(tmp_path / "x.tar.gz", tmp_path / "out.h5")


def test_a_folder_with_files_that_are_read(files, same, tmp_path):
    one, other = files.content((1, 2), (2, 2)), files.content((3,), (2,), seed=1)
    folder = tmp_path / "x"
    folder.mkdir()
    files.write_tsv(folder / "a.tsv", one)
    (folder / "README").write_text("nothing")
    convert(folder, tmp_path / "out.h5")
    same(tmp_path / "out.h5", one)
    files.write_tsv(folder / "b.tsv", other)
    convert(folder, tmp_path / "out.h5")
    same(tmp_path / "out.h5", {**one, **other})
    files.write_tsv_10(folder / "c.tsv", files.content((4,), (2,), with_detections=True))
    with pytest.raises(DataError, match=r"several formats: a\.tsv \(tsv\), b\.tsv \(tsv\), c\.tsv \(tsv-10\)"):
        convert(folder, tmp_path / "out.h5")


def test_refusals_say_what_was_found(files, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["9/vectors"] = np.ones((2, 3), np.float32)
    with pytest.raises(DataError, match="it holds: 9/ with vectors. It looks like a group an image"):
        convert(tmp_path / "x.h5", tmp_path / "out.h5")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(DataError, match=r"it has 1 \.jpg.*these are pictures, `vqa-gs features extract"):
        convert(tmp_path / "photos", tmp_path / "out.h5")
    (tmp_path / "x.csv").write_text("a\tb\n")
    with pytest.raises(DataError, match="rows of 2 fields separated by tabs: 'a', 'b'"):
        convert(tmp_path / "x.csv", tmp_path / "out.h5")
    later.write_grids(tmp_path / "g", later.grid_content((1,)))
    with pytest.raises(DataError, match="it looks like grid: --format grid"):
        convert(tmp_path / "g", tmp_path / "out.h5", format="pth")


def test_a_plan_reads_no_features_and_writes_nothing(files, tmp_path):
    folder = later.write_npy(tmp_path / "x", files.content(("image6", "image7"), (2, 2)))
    plan = plan_conversion(folder, tmp_path / "out.h5")
    assert (plan.formats, plan.images, plan.dim, plan.dtype) == (["npy"], 2, 6, "float32")
    assert plan.naming == [
        "ids: 2 names became text ids ('image6' is 'image6')",
        "ids: --ids number would take the number at the end ('image6' would be 6)",
    ]
    assert not (tmp_path / "out.h5").exists()
    with pytest.raises(DataError, match=r"q\.json: 2 of 2 images are not there: 6, 8 .*--ids number"):
        plan_conversion(folder, tmp_path / "out.h5", wanted={"q.json": [6, 8]})
    with pytest.raises(DataError, match=r"q\.json: 1 of 2 images are not there: 8 "):
        convert(folder, tmp_path / "out.h5", ids="number", wanted={"q.json": [6, 8]})
    assert convert(folder, tmp_path / "out.h5", ids="number", wanted={"q.json": [6, 7]}).images == 2
    (tmp_path / "ids.csv").write_text("image6,66\n")
    summary = convert(folder, tmp_path / "out.h5", ids=str(tmp_path / "ids.csv"))
    assert RegionStore(tmp_path / "out.h5").image_ids == (66,)
    assert "1 images were left out" in summary.notes[-1]
