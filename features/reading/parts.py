"""Records that are arrays by name, as in grouped HDF5, tables, archives and dictionaries: which name says what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from vqa_gs.features.reading.record import OtherLayout, Record, whole_number

NAMES = {
    "features": ("features", "feature", "x", "image_features", "image_feature", "embeddings", "tokens"),
    "boxes": ("boxes", "bbox", "bboxes", "image_bb"),
    "width": ("img_w", "image_w", "image_width", "width"),
    "height": ("img_h", "image_h", "image_height", "height"),
    "num_boxes": ("num_boxes", "num_bbox"),
    "class": ("obj_id", "objects_id", "class", "objects"),
    "class_score": ("obj_conf", "objects_conf", "class_score"),
    "attribute": ("attr_id", "attrs_id", "attribute"),
    "attribute_score": ("attr_conf", "attrs_conf", "attribute_score"),
    "cls_prob": ("cls_prob",),
}
"""What a part is -> what writers call it; the first name that is there counts."""

_COLUMNS = ("class", "class_score", "attribute", "attribute_score")


def known_part(name: str) -> bool:
    """Returns whether a part of this name is read."""
    return any(name in names for names in NAMES.values())


def record_of_parts(parts: Mapping[Any, Any]) -> Record:
    """Returns the record that arrays by name make; ValueError where they do not fit each other.

    Features of one axis are one region, or as many as there are boxes.
    """
    found = {}
    for what, names in NAMES.items():
        name = next((name for name in names if parts.get(name) is not None), None)
        if name is not None:
            found[what] = parts[name]
    if "features" not in found:
        has = ", ".join(map(str, list(parts)[:8])) or "nothing"
        raise OtherLayout(f"none of its parts is called {', '.join(NAMES['features'][:3])}; it holds {has}")
    features = np.asarray(found["features"])
    boxes = np.asarray(found["boxes"]) if "boxes" in found else None
    number = whole_number(found["num_boxes"]) if "num_boxes" in found else None
    if features.ndim == 3 and len(features) == 1:
        features = features[0]
    if features.ndim == 1:
        regions = number if number is not None else boxes.size // 4 if boxes is not None else 1
        if regions < 1 or features.size % regions:
            raise ValueError(f"{features.size} numbers are no features of {regions} regions")
        features = features.reshape(regions, -1)
    if boxes is not None and boxes.ndim == 1 and boxes.size == 4 * len(features):
        boxes = boxes.reshape(-1, 4)
    size = None
    if "width" in found and "height" in found:
        size = whole_number(found["width"]), whole_number(found["height"])
    columns = detections(found)
    if number is not None and number < len(features):
        # The rest was put in to fill up.
        features, boxes = features[:number], None if boxes is None else boxes[:number]
        columns = {name: values[:number] for name, values in columns.items()}
    elif number is not None and number > len(features):
        raise ValueError(f"{number} boxes are told of, there are features of {len(features)}")
    return Record(features, boxes, size, columns)


def detections(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the columns among parts named as in `NAMES`; classes from ``cls_prob`` where nothing else has them."""
    columns = {name: np.asarray(found[name]) for name in _COLUMNS if name in found}
    scores = found.get("cls_prob")
    if isinstance(scores, np.ndarray) and scores.ndim == 2 and scores.shape[1] > 1 and "class_score" not in columns:
        if "class" in columns:
            # With a first column for the background in some files; the class is the best of the others.
            is_plain = np.array_equal(scores.argmax(1)[: len(columns["class"])], columns["class"])
        else:
            # Bottom-up attention tells 1,600 classes apart, and in files of 1,601 the first is the background.
            is_plain = scores.shape[1] != 1601
            columns["class"] = scores.argmax(1) if is_plain else scores[:, 1:].argmax(1)
        columns["class_score"] = scores.max(1) if is_plain else scores[:, 1:].max(1)
    return columns
