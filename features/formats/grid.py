"""Folders with a grid of features for each image, the last stage of a network (Jiang et al. 2020, CLIP-ViL).

``IMAGE_ID.pth`` of grid-feats-vqa is a tensor (1, C, h, w), CLIP-ViL's ``.npy`` or ``.pth`` an array (1, h, w, C).
Cells are regions, row by row; what the images' sizes were is in no file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.folder import LARGEST_FILE, FolderSource, first_file
from vqa_gs.features.reading.grids import CELLS, GridHints, grid_record, is_grid, read_array
from vqa_gs.features.reading.record import Record

_SUFFIXES = (".pth", ".pt", ".npy")


def parser(hints: GridHints) -> Callable[[bytes], Record]:
    """Returns what makes a record of a file's bytes."""

    def parse(content: bytes) -> Record:
        return grid_record(read_array(content), hints)

    return parse


class Grid:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file, or the first of the folder, holds one array of a grid's axes."""
        try:
            file = first_file(path, _SUFFIXES)
            return file is not None and file.stat().st_size <= LARGEST_FILE and is_grid(read_array(file.read_bytes()))
        except Exception:  # what is no such file makes its readers raise nearly anything
            return False

    def open(self, path: Path) -> FolderSource:
        """Opens a folder; DataError where no file of it can be read."""
        return self.open_with(path, GridHints())

    def open_with(self, path: Path, hints: GridHints) -> FolderSource:
        """Opens a folder whose grids are as the user says; see ``HintedFormat``."""
        source = FolderSource(path, _SUFFIXES, parser(hints))
        source.notes = (CELLS,)
        return source


FORMATS.register("grid")(Grid())
