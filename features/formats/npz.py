"""Folders with a NumPy archive for each image, as MILVLG's code makes (R, D) and openvqa's downloads have (D, R).

``x`` the features in either orientation, ``bbox (R, 4)`` pixels, ``num_bbox``, ``image_h``, ``image_w``, and in newer
files ``info``, a pickled dictionary with ``objects_id``, ``objects_conf``, ``attrs_id``, ``attrs_conf``. The image is
what the file is called after: ``COCO_train2014_000000000009.jpg.npz``.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.folder import LARGEST_FILE, FolderFormat
from vqa_gs.features.reading.record import DETECTED, Record, named_columns, whole_number
from vqa_gs.features.store import RegionStore

from vqa_gs.common.arrays import read_member, unpacked_sizes
from vqa_gs.common.files import atomic_folder
from vqa_gs.common.names import require_file_names


def parse(content: bytes) -> Record:
    """Makes a record of an archive's bytes; any Exception where they are damaged."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = unpacked_sizes(archive, len(content))
        if sum(sizes.values()) > LARGEST_FILE:
            raise ValueError(f"unpacks to more than {LARGEST_FILE >> 30} GB")
        if "x" not in sizes:
            raise ValueError(f"no array x, it holds {', '.join(sorted(sizes))[:200] or 'nothing'}")
        wanted = ("x", "bbox", "num_bbox", "image_w", "image_h", "info")
        parts = {part: read_member(archive, part, objects=True) for part in wanted if part in sizes}
    features = np.asarray(parts["x"])
    boxes = np.asarray(parts["bbox"]) if "bbox" in parts else None
    regions = _regions(features, boxes, parts.get("num_bbox"))
    if len(features) != regions:
        features = np.ascontiguousarray(features.T)
    size = None
    if "image_w" in parts and "image_h" in parts:
        size = whole_number(parts["image_w"]), whole_number(parts["image_h"])
    info = parts.get("info")
    return Record(features, boxes, size, named_columns(info, DETECTED) if isinstance(info, dict) else {})


def _regions(features: np.ndarray, boxes: np.ndarray | None, number: object) -> int:
    """Returns which of the two axes of ``x`` are the regions, by their number."""
    if boxes is not None and boxes.ndim == 2:
        regions = len(boxes)
    elif number is not None:
        regions = whole_number(number)
    else:
        regions = min(features.shape, default=0)
    if features.ndim != 2 or regions not in features.shape:
        raise ValueError(f"x of shape {features.shape} does not fit {regions} boxes")
    if number is not None and whole_number(number) != regions:
        raise ValueError(f"num_bbox says {whole_number(number)}, there are {regions} boxes")
    return regions


class Npz(FolderFormat):
    """The layout's entry in the registry."""

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a folder with an archive an image, ``x`` as (R, D); see ``WritableFormat``."""
        names = [id_text(image_id) for image_id in store.image_ids]
        require_file_names(names, "image ids")
        with atomic_folder(out) as folder:
            for done, (image_id, name) in enumerate(zip(store.image_ids, names, strict=True), 1):
                regions = store[image_id]
                width, height = regions.size.tolist()
                parts: dict[str, Any] = {
                    "x": regions.features,
                    "bbox": regions.boxes,
                    "num_bbox": len(regions.boxes),
                    "image_w": width,
                    "image_h": height,
                }
                if regions.columns:
                    # A dictionary in an array of objects, as the original extractor writes it.
                    parts["info"] = {DETECTED[column]: values for column, values in regions.columns.items()}
                np.savez(folder / f"{name}.npz", **parts)
                yield done


FORMATS.register("npz")(Npz((".npz",), parse))
