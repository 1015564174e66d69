"""The TSV of ten columns, with objects and attributes, of LXMERT and py-bottom-up-attention.

``img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes, features``, the height before
the width: ids int64 (R,), confidences float32 (R,), boxes (R, 4) and features (R, D) float32.
"""

from __future__ import annotations

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.record import DETECTED
from vqa_gs.features.reading.tsv import TsvFormat

FIELDS = (
    "img_id",
    "img_h",
    "img_w",
    "objects_id",
    "objects_conf",
    "attrs_id",
    "attrs_conf",
    "num_boxes",
    "boxes",
    "features",
)

FORMATS.register("tsv-10")(TsvFormat(FIELDS, ("img_id", "img_w", "img_h"), DETECTED, ("attribute", "attribute_score")))
