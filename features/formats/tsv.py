"""The bottom-up features' TSV of six columns, fixed and adaptive.

``image_id, image_w, image_h, num_boxes, boxes, features``: boxes (R, 4) and features (R, D) float32, as
``generate_tsv.py`` of bottom-up-attention writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.formats._tsv import TsvSource, detect_rows, encoded, id_field
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore

from vqa_gs.common.files import atomic_path

FIELDS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")


class Tsv:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether one of the first rows has six fields, the middle ones whole numbers."""
        return detect_rows(path, FIELDS, FIELDS[1:4])

    def open(self, path: Path) -> TsvSource:
        """Opens a file; DataError where no row of it can be read."""
        return TsvSource(path, FIELDS, ("image_id", "image_w", "image_h"))

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a store's images; see ``WritableFormat``."""
        with atomic_path(out) as path, open(path, "wb") as file:
            for done, image_id in enumerate(store.image_ids, 1):
                regions = store[image_id]
                width, height = regions.size.tolist()
                fields = [id_field(id_text(image_id)), *(b"%d" % n for n in (width, height, len(regions.boxes)))]
                fields += [encoded(regions.boxes, "<f4"), encoded(regions.features, "<f4")]
                file.write(b"\t".join(fields) + b"\r\n")
                yield done


FORMATS.register("tsv")(Tsv())
