"""Tiny files of the later public formats, made by code that shares nothing with the readers."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch


def grid_content(ids, rows=2, columns=3, dim=256, seed=0):
    """Returns {id: (rows, columns, dim) float32}."""
    rng = np.random.default_rng(seed)
    return {image_id: rng.normal(size=(rows, columns, dim)).astype(np.float32) for image_id in ids}


def cells(grids):
    """Returns grids as images of a store: cells row by row, each one pixel of an image as large as its grid."""
    images = {}
    for image_id, grid in grids.items():
        rows, columns, dim = grid.shape
        places = [(column, row) for row in range(rows) for column in range(columns)]
        boxes = np.array([(x, y, x + 1, y + 1) for x, y in places], np.float32)
        size = (columns, rows)
        images[image_id] = {"features": grid.reshape(-1, dim), "boxes": boxes, "size": size, "columns": {}}
    return images


def write_grids(folder: Path, grids, channel_first=True, suffix=".pth", axes=4) -> Path:
    """Writes (1, C, h, w) of grid-feats-vqa, or (1, h, w, C) of CLIP-ViL, as torch tensors or arrays."""
    folder.mkdir(exist_ok=True)
    for image_id, grid in grids.items():
        values = np.ascontiguousarray(grid.transpose(2, 0, 1) if channel_first else grid)
        values = values[None] if axes == 4 else values
        if suffix == ".npy":
            np.save(folder / f"{image_id}.npy", values)
        else:
            torch.save(torch.from_numpy(values), folder / f"{image_id}{suffix}")
    return folder


def write_npy(folder: Path, images) -> Path:
    """Writes an array for each image."""
    folder.mkdir(exist_ok=True)
    for image_id, image in images.items():
        np.save(folder / f"{image_id}.npy", image["features"])
    return folder


def write_archive(path: Path, images) -> Path:
    """Writes all arrays into one archive."""
    if path.suffix == ".npz":
        np.savez(path, **{str(image_id): image["features"] for image_id, image in images.items()})
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for image_id, image in images.items():
            archive.writestr(f"features/{image_id}.npy", npy(image["features"]))
    return path


def npy(values) -> bytes:
    """Returns an array as a file's bytes."""
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def write_mmf(folder: Path, images) -> Path:
    """Writes MMF's two files an image."""
    folder.mkdir(exist_ok=True)
    for image_id, image in images.items():
        columns, boxes = image["columns"], image["boxes"]
        scores = np.full((len(boxes), 1600), 1e-6, np.float32)
        scores[np.arange(len(boxes)), columns["class"]] = columns["class_score"]
        info = {"bbox": boxes, "num_boxes": len(boxes), "objects": columns["class"], "cls_prob": scores}
        info |= {"image_width": image["size"][0], "image_height": image["size"][1]}
        np.save(folder / f"{image_id}.npy", image["features"])
        np.save(folder / f"{image_id}_info.npy", info)
    return folder


def fractions(boxes, size):
    """Returns boxes (R, 4) as VinVL's six numbers."""
    x1, y1, x2, y2 = (boxes / np.array([*size, *size], np.float32)).T.astype(np.float32)
    return np.stack([x1, y1, x2, y2, x2 - x1, y2 - y1], 1)


def write_vinvl(path: Path, images, as_json=False, with_index=True, with_sizes=True) -> Path:
    """Writes VinVL's TSV, its index and its sizes."""
    place, starts = 0, []
    with open(path, "wb") as file:
        for image_id, image in images.items():
            values = np.concatenate([image["features"], fractions(image["boxes"], image["size"])], 1)
            text = base64.b64encode(values.astype("<f4").tobytes()).decode()
            number = len(values)
            rest = json.dumps({"num_boxes": number, "features": text}) if as_json else f"{number}\t{text}"
            row = f"{image_id}\t{rest}\n".encode()
            starts.append(place)
            place += len(row)
            file.write(row)
    if with_index:
        path.with_suffix(".lineidx").write_text("".join(f"{start}\n" for start in starts))
    if with_sizes:
        rows = (f'{i}\t[{{"height": {image["size"][1]}, "width": {image["size"][0]}}}]' for i, image in images.items())
        path.with_name(f"{path.stem}.hw.tsv").write_text("\n".join(rows) + "\n")
    return path


def write_meshed(path: Path, images) -> Path:
    """Writes three datasets an image; the first of 1,601 classes is the background."""
    with h5py.File(path, "w") as file:
        for image_id, image in images.items():
            scores = np.full((len(image["boxes"]), 1601), 1e-6, np.float32)
            scores[np.arange(len(scores)), 1 + image["columns"]["class"]] = image["columns"]["class_score"]
            file[f"{image_id}_features"], file[f"{image_id}_boxes"] = image["features"], image["boxes"]
            file[f"{image_id}_cls_prob"] = scores
    return path


def write_groups(path: Path, images) -> Path:
    """Writes VL-T5's group an image."""
    names = {"class": "obj_id", "class_score": "obj_conf", "attribute": "attr_id", "attribute_score": "attr_conf"}
    with h5py.File(path, "w") as file:
        for image_id, image in images.items():
            group = file.create_group(str(image_id))
            group["features"], group["boxes"] = image["features"], image["boxes"]
            group["img_w"], group["img_h"] = image["size"]
            for column, name in names.items():
                if column in image["columns"]:
                    group[name] = image["columns"][column]
    return path


def write_gqa(folder: Path, images, most=4, files=2) -> Path:
    """Writes GQA's numbered files, filled up to the same number of regions, and their information."""
    folder.mkdir(exist_ok=True)
    dim, info = next(iter(images.values()))["features"].shape[1], {}
    places = list(images)
    for number in range(files):
        mine = places[number::files]
        features = np.full((len(mine), most, dim), 7, np.float32)
        boxes = np.full((len(mine), most, 4), 9, np.float32)
        for row, image_id in enumerate(mine):
            image = images[image_id]
            count = len(image["boxes"])
            features[row, :count], boxes[row, :count] = image["features"], image["boxes"]
            width, height = image["size"]
            entry = {"width": width, "height": height, "objectsNum": count, "idx": row, "file": number}
            info[str(image_id)] = entry
        with h5py.File(folder / f"gqa_objects_{number}.h5", "w") as file:
            file["features"], file["bboxes"] = features, boxes
    (folder / "gqa_objects_info.json").write_text(json.dumps(info))
    return folder


def write_parquet(path: Path, images, kind="parquet") -> Path:
    """Writes a row an image, as pandas and Hugging Face do: lists of lists."""
    pyarrow = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")

    table = pyarrow.table(
        {
            "image_id": list(images),
            "features": [image["features"].tolist() for image in images.values()],
            "bbox": [image["boxes"].tolist() for image in images.values()],
            "width": [image["size"][0] for image in images.values()],
            "height": [image["size"][1] for image in images.values()],
        },
        schema=pyarrow.schema(
            {
                "image_id": pyarrow.int64() if isinstance(next(iter(images)), int) else pyarrow.string(),
                "features": pyarrow.list_(pyarrow.list_(pyarrow.float32())),
                "bbox": pyarrow.list_(pyarrow.list_(pyarrow.float32())),
                "width": pyarrow.int64(),
                "height": pyarrow.int64(),
            }
        ),
    )
    if kind == "parquet":
        parquet.write_table(table, path)
    else:
        make = pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream
        with make(str(path), table.schema) as writer:
            writer.write_table(table)
    return path


def write_zarr(path: Path, images, version=2) -> Path:
    """Writes an array an image, boxes and sizes beside."""
    zarr = pytest.importorskip("zarr", minversion="3.0", reason="files are written by zarr 3 or later")
    for name, part in ((path, "features"), (path.with_name(f"{path.stem}_boxes.zarr"), "boxes")):
        group = zarr.open_group(str(name), mode="w", zarr_format=version)
        for image_id, image in images.items():
            group.create_array(str(image_id), data=image[part])
    rows = (f"{i},{image['size'][1]},{image['size'][0]}" for i, image in images.items())
    path.with_name(f"{path.stem}_image_size.csv").write_text("image_id,image_h,image_w\n" + "\n".join(rows))
    return path


def write_safetensors(path: Path, images) -> Path:
    """Writes one file of many images, or in a folder a file an image."""
    from safetensors.numpy import save_file

    def parts(image):
        width, height = image["size"]
        sides = {"width": np.array(width), "height": np.array(height)}
        return {"features": image["features"], "boxes": image["boxes"], **sides}

    if path.suffix:
        save_file({f"{i}.{name}": value for i, image in images.items() for name, value in parts(image).items()}, path)
        return path
    path.mkdir()
    for image_id, image in images.items():
        save_file(parts(image), path / f"{image_id}.safetensors")
    return path


def write_shards(folder: Path, images, suffix=".tar", torch_files=False) -> Path:
    """Writes WebDataset's shards of two images each."""
    folder.mkdir(exist_ok=True)
    rows = list(images.items())
    for number, low in enumerate(range(0, len(rows), 2)):
        mode = "w:gz" if suffix != ".tar" else "w"
        with tarfile.open(folder / f"shard-{number:05d}{suffix}", mode) as archive:
            for image_id, image in rows[low : low + 2]:
                members = {"jpg": b"\xff\xd8 no picture"}
                members["json"] = json.dumps({"width": image["size"][0], "height": image["size"][1]}).encode()
                if torch_files:
                    stream = io.BytesIO()
                    torch.save({name: torch.from_numpy(image[name]) for name in ("features", "boxes")}, stream)
                    members["pth"] = stream.getvalue()
                else:
                    members |= {"features.npy": npy(image["features"]), "boxes.npy": npy(image["boxes"])}
                for name, content in members.items():
                    member = tarfile.TarInfo(f"{image_id}.{name}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return folder
