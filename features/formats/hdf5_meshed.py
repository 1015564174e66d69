"""meshed-memory's ``coco_detections.hdf5``: three datasets an image, called after it.

``IMAGE_ID_features (R, D)``, ``IMAGE_ID_boxes (R, 4)`` pixels, ``IMAGE_ID_cls_prob (R, 1601)``, of which the best class
and its probability are kept. Where the original reader makes an image up that is not there, this one says so.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.array_source import ArraySource
from vqa_gs.features.reading.probe import look

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file


class Hdf5Meshed:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file is HDF5 with a dataset ``IMAGE_ID_features`` of two axes."""
        with suppress(DataError):
            datasets = look(path).datasets
            return any(
                name.endswith("_features") and len(shape) == 2 and name[: -len("_features")].isdigit()
                for name, shape in datasets.items()
            )
        return False

    def open(self, path: Path) -> ArraySource:
        """Opens a file; DataError where no image of it can be read."""
        look(path)
        return ArraySource(path, [require_file(path, "feature")], "hdf5-names", "HDF5")


FORMATS.register("hdf5-meshed")(Hdf5Meshed())
