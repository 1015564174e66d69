"""The HDF5 with a group an image, as VL-T5's and LXMERT's followers write it.

``IMAGE_ID/features (R, D)``, ``boxes (R, 4)`` pixels, ``img_w``, ``img_h``, ``obj_id``, ``obj_conf``, ``attr_id``,
``attr_conf (R,)``, or what ``reading/parts.py`` knows besides. Whatever else a group holds is left out.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.array_source import ArraySource
from vqa_gs.features.reading.parts import NAMES
from vqa_gs.features.reading.probe import look

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file


class Hdf5Groups:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file is HDF5 whose first group holds features."""
        with suppress(DataError):
            facts = look(path)
            first = next(iter(facts.groups.values()), ())
            return not facts.datasets and any(name in NAMES["features"] for name in first)
        return False

    def open(self, path: Path) -> ArraySource:
        """Opens a file; DataError where no image of it can be read."""
        look(path)
        return ArraySource(path, [require_file(path, "feature")], "hdf5-groups", "HDF5")


FORMATS.register("hdf5-groups")(Hdf5Groups())
