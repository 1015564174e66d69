"""What the public HDF5 layouts share: opening, the pickled index beside the file, image sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from numbers import Integral
from pathlib import Path

import h5py
import numpy as np

from features.formats import ImageRegions
from features.layout import ImageId
from vqa_gs.common.errors import DataError, VqaGsError
from vqa_gs.common.files import require_file
from vqa_gs.common.pickles import load_pickle

INDEX_SUFFIXES = ("_imgid2idx.pkl", "_imgid2img.pkl")
"""How the index file beside ``NAME.hdf5`` is called: ``NAME`` and one of these."""

_BLOCK_BYTES = 32 << 20


def detect_datasets(path: Path, present: dict[str, int]) -> bool:
    """Returns whether a file is HDF5 with datasets of these numbers of axes."""
    with suppress(Exception), h5py.File(path, "r") as file:
        return all(
            isinstance(file.get(name), h5py.Dataset) and file[name].ndim == axes for name, axes in present.items()
        )
    return False


def find_index(path: Path) -> Path:
    """Returns the index file of a feature file.

    Raises:
        DataError: there is none.
    """
    names = [path.with_name(path.stem + suffix) for suffix in INDEX_SUFFIXES]
    for name in names:
        if name.is_file():
            return name
    raise DataError(
        "the file that says which image is in which row is missing",
        file=path,
        mend=f"put {' or '.join(name.name for name in names)} beside it",
    )


def read_row_index(path: Path, rows: int) -> list[tuple[int, ImageId]]:
    """Reads a pickled ``{image id: row}``.

    Args:
        path: the pickle.
        rows: how many rows the feature file has.

    Returns:
        (row, image id) in the order of rows; rows no image points to are left out.

    Raises:
        DataError: not such a dictionary, or an entry points outside the file or where another one points.
    """
    table = load_pickle(path, "image index")
    if not isinstance(table, dict) or not table:
        raise DataError(f"expected a dictionary of image ids, found {type(table).__name__}", file=path)
    owner: dict[int, ImageId] = {}
    for key, value in table.items():
        image_id = _plain_id(key)
        if image_id is None:
            raise DataError(
                f"an image id is an int or a str, not {type(key).__name__}", file=path, record=repr(key)[:60]
            )
        record = f"image {image_id!r}"
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise DataError(f"a row number was expected, not {str(value)[:40]!r}", file=path, record=record)
        row = int(value)
        if not 0 <= row < rows:
            raise DataError(f"points to row {row}, the feature file has {rows}", file=path, record=record)
        if row in owner:
            raise DataError(f"points to row {row}, as image {owner[row]!r} does", file=path, record=record)
        owner[row] = image_id
    return sorted(owner.items())


def _plain_id(key: object) -> ImageId | None:
    if isinstance(key, bytes):  # a dictionary pickled by Python 2
        with suppress(UnicodeDecodeError):
            return key.decode("utf-8")
        return None
    if isinstance(key, Integral) and not isinstance(key, bool):
        return int(key)
    return str(key) if isinstance(key, str) else None


def image_size(boxes: np.ndarray, spatial: np.ndarray | None) -> tuple[int, int] | None:
    """Returns an image's width and height, recovered from its boxes in pixels and as fractions.

    Args:
        boxes: (R, 4) pixels.
        spatial: (R, 6), ``x1/w, y1/h, x2/w, y2/h, (x2-x1)/w, (y2-y1)/h``, or (R, 7 or more) whose columns 5
            and 6 are the height and the width; None if the source has none.

    Returns:
        (width, height); without usable ``spatial`` the farthest corner of all boxes, rounded up, which is at
        most the true size; None where boxes and fractions contradict each other.
    """
    if spatial is None or spatial.shape[-1] < 4:
        return tuple(max(1, int(np.ceil(edge))) for edge in boxes[:, 2:].max(0))  # type: ignore[return-value]
    if spatial.shape[-1] >= 7:
        height, width = (round(float(value)) for value in spatial[0, 5:7])
        return (width, height) if width >= 1 and height >= 1 else None
    boxes, spatial = boxes.astype(np.float64), spatial.astype(np.float64)
    sides = []
    for axis in (2, 3):
        # The farthest edge loses least to rounding.
        edge = int(np.argmax(boxes[:, axis]))
        fraction = float(spatial[edge, axis])
        if not fraction > 0:
            return image_size(boxes, None)
        side = float(boxes[edge, axis]) / fraction
        if not 0.5 <= side < 2**31 or np.abs(spatial[:, axis] * side - boxes[:, axis]).max() > 1e-3 * side + 0.5:
            return None
        sides.append(round(side))
    return sides[0], sides[1]


class Hdf5Source:
    """Images of a public HDF5 file with a pickled index; the layouts differ in where an image's rows are.

    Attributes:
        dim: numbers a region.
        dtype: the features' type in the file.
        files: the HDF5 file and its index.
        images: images in the index.
        notes: what had to be assumed.
    """

    def __init__(self, path: Path, layout: str) -> None:
        self.path = require_file(path, "feature")
        self.layout = layout
        self.index_path = find_index(self.path)
        self.files: tuple[Path, ...] = (self.path, self.index_path)
        try:
            self._file = h5py.File(self.path, "r")
        except Exception as error:
            raise self._damage(error) from error
        try:
            self._features = self._dataset("image_features")
            if self._features.dtype.kind != "f" or self._features.ndim < 2 or self._features.shape[-1] < 1:
                raise DataError(
                    f"image_features of shape {self._features.shape} and type {self._features.dtype}",
                    file=self.path,
                )
            self._boxes = self._beside("image_bb", 4)
            self._spatial = self._beside("spatial_features", 4) if self._boxes is not None else None
            self.dim = int(self._features.shape[-1])
            self.dtype = self._features.dtype
            self._table = self._read_table()
        except Exception as error:
            self.close()
            raise self._damage(error) from error
        self.images: int | None = len(self._table)
        self.notes = tuple(self._assumptions())

    def close(self) -> None:
        """Closes the HDF5 file."""
        with suppress(Exception):
            self._file.close()

    def __iter__(self) -> Iterator[ImageRegions]:
        for group in self._groups():
            first, last = group[0][2], group[-1][3]
            try:
                features = self._slice(self._features, first, last)
                boxes = None if self._boxes is None else self._slice(self._boxes, first, last)
                spatial = None if self._spatial is None else self._slice(self._spatial, first, last)
            except Exception as error:
                raise self._damage(error) from error
            for image_id, row, start, end in group:
                part = slice(start - first, end - first)
                yield self._image(
                    image_id,
                    row,
                    features[part],
                    None if boxes is None else boxes[part],
                    None if spatial is None else spatial[part],
                )

    def _read_table(self) -> list[tuple[ImageId, int, int, int]]:
        """Returns (image id, row, start, end) in file order, regions counted over the whole file."""
        raise NotImplementedError

    def _slice(self, dataset: h5py.Dataset, start: int, end: int) -> np.ndarray:
        """Returns regions ``start`` to ``end`` of a dataset, (end - start, columns)."""
        return dataset[start:end]

    def _groups(self) -> Iterator[list[tuple[ImageId, int, int, int]]]:
        """Yields neighbouring images that are read at once: HDF5 is slow image by image."""
        limit = max(1, _BLOCK_BYTES // (self.dim * self.dtype.itemsize))
        group: list[tuple[ImageId, int, int, int]] = []
        for entry in self._table:
            if group and (entry[3] - group[0][2] > limit or entry[2] != group[-1][3]):
                yield group
                group = []
            group.append(entry)
        if group:
            yield group

    def _image(
        self,
        image_id: ImageId,
        row: int,
        features: np.ndarray,
        boxes: np.ndarray | None,
        spatial: np.ndarray | None,
    ) -> ImageRegions:
        record = f"row {row}"
        if boxes is None:
            boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (len(features), 1))
            return ImageRegions(image_id, features, boxes, (1, 1), record)
        if not np.isfinite(boxes).all() or (spatial is not None and not np.isfinite(spatial).all()):
            raise DataError("a box holds NaN or infinity", file=self.path, record=f"{record}, image {image_id}")
        size = image_size(boxes, spatial) if len(boxes) else (1, 1)
        if size is None:
            raise DataError(
                "image_bb and spatial_features contradict each other",
                file=self.path,
                record=f"{record}, image {image_id}",
            )
        return ImageRegions(image_id, features, boxes, size, record)

    def _assumptions(self) -> Iterator[str]:
        if self._boxes is None:
            yield "no boxes: every region gets the box 0, 0, 1, 1 of an image of size 1 x 1"
        elif self._spatial is None:
            yield "no spatial_features: an image's size is the farthest corner of its boxes"

    def _dataset(self, name: str) -> h5py.Dataset:
        dataset = self._file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise DataError(f"lacks the dataset {name} of the {self.layout} layout", file=self.path)
        offset = dataset.id.get_offset() if dataset.chunks is None else None
        end = None if offset is None else offset + dataset.size * dataset.dtype.itemsize
        if end is not None and end > self.path.stat().st_size:
            raise DataError(f"truncated: {name} would end at byte {end}", file=self.path, mend="fetch it again")
        return dataset

    def _beside(self, name: str, columns: int) -> h5py.Dataset | None:
        """Returns an optional dataset with a row for each region."""
        if name not in self._file:
            return None
        dataset = self._dataset(name)
        regions = self._features.shape[:-1]
        if dataset.shape[:-1] != regions or dataset.shape[-1] < columns or dataset.dtype.kind != "f":
            raise DataError(
                f"{name} of shape {dataset.shape} does not fit image_features of {self._features.shape}",
                file=self.path,
            )
        return dataset

    def _damage(self, error: Exception) -> VqaGsError:
        if isinstance(error, VqaGsError):
            return error
        return DataError(
            f"damaged or truncated: {type(error).__name__}: {error}",
            file=self.path,
            mend="fetch the file again",
        )
