"""The bottom-up features' TSV of six columns, fixed and adaptive.

``image_id, image_w, image_h, num_boxes, boxes, features``: boxes (R, 4) and features (R, D) float32, as
``generate_tsv.py`` of bottom-up-attention writes it.
"""

from __future__ import annotations

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.tsv import TsvFormat

FIELDS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")

FORMATS.register("tsv")(TsvFormat(FIELDS, FIELDS[:3]))
