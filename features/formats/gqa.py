"""GQA's own features: ``gqa_objects_0.h5`` to ``gqa_objects_15.h5`` and ``gqa_objects_info.json``, or ``gqa_spatial``.

``features (N, 100, D)`` and ``bboxes (N, 100, 4)`` pixels, of which the first ``objectsNum`` count; or ``features (N,
D, 7, 7)``. The information is ``{image id: {"file", "idx", "objectsNum", "width", "height"}}``. The folder, one of
the files or the information names all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import msgspec
import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.grids import CELLS, GridHints, grid_record
from vqa_gs.features.reading.hdf5 import Hdf5File
from vqa_gs.features.reading.record import Record
from vqa_gs.features.reading.sizes import NO_SIZES
from vqa_gs.features.reading.source import Damaged, ImageRegions, RegionSource

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file, sha256_file

_INFO = "_info.json"
_PART = re.compile(r"(.+)_[0-9]{1,4}\.(?:h5|hdf5)")
# GQA's own has 13 MB; of a file of nothing but tiny entries ten times as many bytes are made.
_LARGEST_INFO = 1 << 26


class _Place(msgspec.Struct):
    file: int
    idx: int
    objectsNum: int | None = None
    width: int | None = None
    height: int | None = None


def find_info(path: Path) -> Path | None:
    """Returns the information that a folder has, or that belongs to a file; None if there is none."""
    if path.is_dir():
        found = sorted(info for info in path.glob(f"*{_INFO}") if _parts(info))
        return found[0] if len(found) == 1 else None
    if path.name.endswith(_INFO):
        return path if path.is_file() and _parts(path) else None
    match = _PART.fullmatch(path.name)
    info = path.with_name(match[1] + _INFO) if match else None
    return info if info is not None and info.is_file() else None


def _parts(info: Path) -> list[Path]:
    stem = info.name.removesuffix(_INFO)
    return [file for file in info.parent.glob(f"{_escaped(stem)}_*") if _PART.fullmatch(file.name)]


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)


class GqaSource(RegionSource):
    """Open files and their information."""

    untyped_ids = True

    def __init__(self, path: Path) -> None:
        info = find_info(path)
        if info is None:
            raise DataError(
                f"the file *{_INFO} that says where each image is is missing", file=path, mend="put it beside the .h5"
            )
        self.path = require_file(info, "information")
        self._stem = info.name.removesuffix(_INFO)
        self._files = {int(re.split(r"[_.]", file.name)[-2]): file for file in _parts(info)}
        self._places = self._read_info()
        self._open: dict[int, Hdf5File] = {}
        self.images = len(self._places)
        try:
            first = next((place.file for _, place in self._places if place.file in self._files), None)
            if first is None:
                raise DataError(f"names none of the files {self._stem}_*.h5 beside it", file=info)
            features = self._datasets(first)["features"]
        except BaseException:
            self.close()
            raise
        self._is_grid = features.ndim == 4
        self.dim, self.dtype = int(features.shape[1 if self._is_grid else 2]), features.dtype
        if self._is_grid:
            self.notes = (CELLS,)
        elif any(place.width is None or place.height is None for _, place in self._places):
            self.notes = (NO_SIZES,)

    def _read_info(self) -> list[tuple[ImageId, _Place]]:
        try:
            if self.path.stat().st_size > _LARGEST_INFO:
                raise ValueError("far larger than GQA's")
            places = msgspec.json.decode(self.path.read_bytes(), type=dict[str, _Place])
        except (ValueError, RecursionError) as error:
            raise DataError(f"not GQA's information: {error}", file=self.path, mend="fetch the file again") from error
        if not places:
            raise DataError("names no images", file=self.path)
        order = sorted(places.items(), key=lambda item: (item[1].file, item[1].idx, item[0]))
        return [(name, place) for name, place in order]

    def listed(self) -> list[ImageId]:
        """See ``RegionSource``."""
        return [image_id for image_id, _ in self._places]

    def _datasets(self, number: int) -> dict[str, h5py.Dataset]:
        """Returns the datasets of one of the files, which is kept open alone."""
        if number not in self._open:
            self.close()
            self._open[number] = Hdf5File(self._files[number], "GQA")
        file = self._open[number]
        features = file.dataset("features")
        if features.ndim not in (3, 4) or 0 in features.shape:
            raise DataError(f"features of shape {features.shape}, expected three or four axes", file=file.path)
        found = {"features": features}
        if "bboxes" in file and features.ndim == 3:
            found["boxes"] = file.dataset("bboxes")
            if found["boxes"].shape != (*features.shape[:2], 4):
                raise DataError(f"bboxes of shape {found['boxes'].shape} do not fit {features.shape}", file=file.path)
        return found

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images file by file; those of a file that is not there go to ``damaged``."""
        broken: dict[int, DataError] = {}
        for image_id, place in self._places:
            record = f"file {place.file}, row {place.idx}, image {image_id}"
            try:
                if place.file not in self._files:
                    raise ValueError(f"is in {self._stem}_{place.file}.h5, which is not there")
                if place.file in broken:
                    raise broken[place.file]
                try:
                    datasets = self._datasets(place.file)
                except DataError as error:
                    broken[place.file] = error
                    raise
                yield self._image(image_id, place, datasets, f"file {place.file}, row {place.idx}")
            except ValueError as error:
                damaged(DataError(str(error), file=self.path, record=record, mend="fetch the file again"))
            except DataError as error:
                damaged(DataError(error.problem, file=error.file, record=record, mend=error.mend))

    def _image(self, image_id: ImageId, place: _Place, datasets: dict[str, h5py.Dataset], where: str) -> ImageRegions:
        features, file = datasets["features"], self._open[place.file]
        if (features.ndim == 4) != self._is_grid or not 0 <= place.idx < len(features):
            raise ValueError(f"row {place.idx} of features of shape {features.shape}")
        values = file.read(features, place.idx, place.idx + 1)[0]
        if self._is_grid:
            return grid_record(values, GridHints("nchw")).image(image_id, where)
        count = len(values) if place.objectsNum is None else place.objectsNum
        if not 1 <= count <= len(values):
            raise ValueError(f"objectsNum is {count}, there are {len(values)}")
        boxes = None
        if "boxes" in datasets:
            boxes = file.read(datasets["boxes"], place.idx, place.idx + 1)[0, :count]
        size = None if place.width is None or place.height is None else (place.width, place.height)
        return Record(np.ascontiguousarray(values[:count]), boxes, size).image(image_id, where)

    def digests(self) -> list[str]:
        """Returns the SHA-256 of the information and of each file."""
        return [sha256_file(file) for file in [self.path, *(self._files[number] for number in sorted(self._files))]]

    def close(self) -> None:
        """Closes the file that is open."""
        for file in self._open.values():
            file.close()
        self._open.clear()


class Gqa:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is a numbered HDF5 file with information beside it, that file, or a folder of both."""
        try:
            return find_info(path) is not None
        except OSError:
            return False

    def open(self, path: Path) -> GqaSource:
        """Opens the files; DataError where the information or all files are missing."""
        return GqaSource(path)


FORMATS.register("gqa")(Gqa())
