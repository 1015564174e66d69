"""Tiny files of every public format, made by code that shares nothing with the readers."""

from __future__ import annotations

import base64
import csv
import pickle
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from vqa_gs.features.check import check as check_store
from vqa_gs.features.store import RegionStore


def content(ids, counts, dim=6, seed=0, with_detections=False):
    """Returns {id: {features, boxes, size, columns}} of random images."""
    rng = np.random.default_rng(seed)
    images = {}
    for image_id, regions in zip(ids, counts, strict=True):
        width, height = rng.integers(20, 600, 2).tolist()
        corners = np.sort(rng.random((regions, 2, 2)), axis=1) * (width, height)
        images[image_id] = {
            "features": rng.normal(size=(regions, dim)).astype(np.float32),
            "boxes": corners.reshape(regions, 4).astype(np.float32),
            "size": (width, height),
            "columns": {},
        }
        if with_detections:
            images[image_id]["columns"] = {
                "class": rng.integers(0, 1600, regions),
                "class_score": rng.random(regions).astype(np.float32),
                "attribute": rng.integers(0, 400, regions),
                "attribute_score": rng.random(regions).astype(np.float32),
            }
    return images


def _base64(values, kind):
    return base64.b64encode(np.asarray(values, kind).tobytes()).decode("ascii")


def write_tsv(path: Path, images) -> Path:
    """Writes the six columns with the csv module, as generate_tsv.py does."""
    fields = ["image_id", "image_w", "image_h", "num_boxes", "boxes", "features"]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, delimiter="\t", fieldnames=fields)
        for image_id, image in images.items():
            writer.writerow(
                {
                    "image_id": image_id,
                    "image_h": image["size"][1],
                    "image_w": image["size"][0],
                    "num_boxes": len(image["boxes"]),
                    "boxes": _base64(image["boxes"], "<f4"),
                    "features": _base64(image["features"], "<f4"),
                }
            )
    return path


def write_tsv_10(path: Path, images) -> Path:
    """Writes the ten columns, the height before the width."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        for image_id, image in images.items():
            width, height = image["size"]
            columns = image["columns"]
            writer.writerow(
                [
                    image_id,
                    height,
                    width,
                    _base64(columns["class"], "<i8"),
                    _base64(columns["class_score"], "<f4"),
                    _base64(columns["attribute"], "<i8"),
                    _base64(columns["attribute_score"], "<f4"),
                    len(image["boxes"]),
                    _base64(image["boxes"], "<f4"),
                    _base64(image["features"], "<f4"),
                ]
            )
    return path


def write_padded(path: Path, images, channel_first=True, regions=None) -> Path:
    """Writes the padded HDF5, channel first or not."""
    most = regions or max(len(image["features"]) for image in images.values())
    dim = next(iter(images.values()))["features"].shape[1]
    features = np.zeros((len(images), most, dim), np.float32)
    boxes = np.zeros((len(images), most, 4), np.float32)
    for row, image in enumerate(images.values()):
        features[row, : len(image["features"])] = image["features"]
        boxes[row, : len(image["boxes"])] = image["boxes"]
    with h5py.File(path, "w") as file:
        file["features"] = features.transpose(0, 2, 1) if channel_first else features
        file["boxes"] = boxes.transpose(0, 2, 1) if channel_first else boxes
        file["ids"] = np.array(list(images), np.int32)
        file["widths"] = np.array([image["size"][0] for image in images.values()], np.int32)
        file["heights"] = np.array([image["size"][1] for image in images.values()], np.int32)
    return path


def write_npz(folder: Path, images, transposed=False, with_info=True, name="{}.jpg.npz") -> Path:
    """Writes an archive for each image."""
    folder.mkdir(exist_ok=True)
    for image_id, image in images.items():
        width, height = image["size"]
        parts = {
            "x": image["features"].T if transposed else image["features"],
            "bbox": image["boxes"],
            "num_bbox": len(image["boxes"]),
            "image_h": height,
            "image_w": width,
        }
        if with_info:
            columns = image["columns"]
            parts["info"] = {
                "image_id": str(image_id),
                "num_boxes": len(image["boxes"]),
                "objects_id": columns["class"],
                "objects_conf": columns["class_score"],
                "attrs_id": columns["attribute"],
                "attrs_conf": columns["attribute_score"],
            }
        np.savez_compressed(folder / name.format(image_id), **parts)
    return folder


def write_pth(folder: Path, images, legacy=False, arrays=False, rubi=True) -> Path:
    """Writes a torch file for each image, as rubi (tensors, boxes) or CSS (features alone) have them."""
    folder.mkdir(exist_ok=True)
    kind = (lambda values: values) if arrays else torch.from_numpy
    for image_id, image in images.items():
        size = np.array([*image["size"], *image["size"]], np.float32)
        saved = {"image_feature": kind(image["features"])}
        if rubi:
            saved = {
                "pooled_feat": kind(image["features"]),
                "rois": kind(image["boxes"]),
                "norm_rois": kind(image["boxes"] / size),
            }
        torch.save(saved, folder / f"{image_id}.jpg.pth", _use_new_zipfile_serialization=not legacy)
    return folder


def write_bin(folder: Path, images, suffix=".bin") -> Path:
    """Writes raw numbers for each image."""
    folder.mkdir(exist_ok=True)
    for image_id, image in images.items():
        image["features"].astype("<f4").tofile(folder / f"{image_id}{suffix}")
    return folder


def mmf_record(image, filled_to=None):
    """Returns a record as mmf has it, probabilities of all classes included."""
    features, boxes, columns = image["features"], image["boxes"], image["columns"]
    record = {
        "feature_path": "somewhere",
        "features": features,
        "image_height": image["size"][1],
        "image_width": image["size"][0],
        "num_boxes": len(boxes),
        "bbox": boxes,
    }
    if columns:
        scores = np.full((len(boxes), 1600), 1e-6, np.float32)
        scores[np.arange(len(boxes)), columns["class"]] = columns["class_score"]
        record |= {"objects": columns["class"], "cls_prob": scores}
    if filled_to is not None:
        extra = filled_to - len(boxes)
        record["features"] = np.concatenate([features, np.ones((extra, features.shape[1]), np.float32)])
        record["bbox"] = np.concatenate([boxes, np.zeros((extra, 4), np.float32)])
    return record


def volta_record(image_id, image):
    """Returns a record as volta has it, arrays as base64."""
    return {
        "image_id": image_id,
        "image_h": str(image["size"][1]),
        "image_w": image["size"][0],
        "num_boxes": len(image["boxes"]),
        "boxes": base64.b64encode(image["boxes"].tobytes()),
        "features": base64.b64encode(image["features"].tobytes()),
    }


def write_lmdb(path: Path, records, listed=None, subdir=True, size=1 << 26) -> Path:
    """Writes {key: record} and the list of keys."""
    lmdb = pytest.importorskip("lmdb", reason="the lmdb extra is not installed")
    environment = lmdb.open(str(path), subdir=subdir, map_size=size)
    with environment.begin(write=True) as transaction:
        for key, record in records.items():
            transaction.put(key, record if isinstance(record, bytes) else pickle.dumps(record))
        transaction.put(b"keys", pickle.dumps(list(records) if listed is None else listed))
    environment.close()
    return path


@pytest.fixture(scope="session")
def files():
    """Returns the functions that make files and the images in them."""
    return SimpleNamespace(
        content=content,
        mmf_record=mmf_record,
        volta_record=volta_record,
        write_bin=write_bin,
        write_lmdb=write_lmdb,
        write_npz=write_npz,
        write_padded=write_padded,
        write_pth=write_pth,
        write_tsv=write_tsv,
        write_tsv_10=write_tsv_10,
    )


@pytest.fixture(scope="session")
def same():
    """Returns a function that holds a store against the images it was made of, bit by bit."""

    def check(path, images, with_boxes=True):
        with RegionStore(path) as store:
            assert check_store(store.path).problems == []
            assert set(store.image_ids) == set(images)
            for image_id, image in images.items():
                found = store[image_id]
                assert (found.features.view(np.uint32) == image["features"].view(np.uint32)).all()
                assert set(found.columns) == set(image["columns"])
                for name, values in image["columns"].items():
                    assert (found.columns[name] == values).all()
                if with_boxes:
                    assert (found.boxes == image["boxes"]).all()
                    assert tuple(found.size.tolist()) == tuple(image["size"])

    return check
