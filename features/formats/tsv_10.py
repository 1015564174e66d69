"""The TSV of ten columns, with objects and attributes, of LXMERT and py-bottom-up-attention.

``img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes, features``, the height before
the width: ids int64 (R,), confidences float32 (R,), boxes (R, 4) and features (R, D) float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.formats._record import DETECTED
from vqa_gs.features.formats._tsv import TsvSource, detect_rows, encoded, id_field
from vqa_gs.features.layout import COLUMNS, ImageId
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import atomic_path

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


class Tsv10:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether one of the first rows has ten fields, sizes and number of boxes whole numbers."""
        return detect_rows(path, FIELDS, ("img_h", "img_w", "num_boxes"))

    def open(self, path: Path) -> TsvSource:
        """Opens a file; DataError where no row of it can be read."""
        return TsvSource(path, FIELDS, ("img_id", "img_w", "img_h"), DETECTED)

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a store that has objects and attributes; see ``WritableFormat``."""
        if absent := [name for name in COLUMNS if name not in store.columns]:
            raise DataError(f"the store has no {', '.join(absent)}", file=store.path, mend="export to tsv")
        with atomic_path(out) as path, open(path, "wb") as file:
            for done, image_id in enumerate(store.image_ids, 1):
                regions = store[image_id]
                width, height = regions.size.tolist()
                fields = [id_field(id_text(image_id)), b"%d" % height, b"%d" % width]
                fields += [
                    encoded(regions.columns[name], "<i8" if kind.kind == "i" else "<f4")
                    for name, kind in COLUMNS.items()
                ]
                fields += [b"%d" % len(regions.boxes), encoded(regions.boxes, "<f4"), encoded(regions.features, "<f4")]
                file.write(b"\t".join(fields) + b"\r\n")
                yield done


FORMATS.register("tsv-10")(Tsv10())
