"""Tables with a row an image: Parquet, Arrow files and streams, or a folder of them (extra ``parquet``).

A column ``image_id``, a column ``features`` of lists of lists of numbers (or of numbers, with ``num_boxes`` or boxes
that say how many regions there are; or bytes of float32), and where present ``boxes``, ``width``, ``height`` and what
a detector said, under any of the names of ``reading/parts.py``. What is written has these names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.layout import COLUMNS, ImageId
from vqa_gs.features.reading.array_source import ArraySource
from vqa_gs.features.reading.folder import has_suffix
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import atomic_path

_SUFFIXES = (".parquet", ".arrow", ".feather")
_INSTALL = "pip install pyarrow"
_ROWS_AT_ONCE = 32


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    return [path]


class Parquet:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is such a file by its magic number or its name, or a folder with one."""
        try:
            if path.is_dir():
                return has_suffix(path, _SUFFIXES)
            with open(path, "rb") as file:
                head = file.read(6)
        except OSError:
            return False
        return head[:4] == b"PAR1" or head == b"ARROW1" or (path.suffix == ".arrow" and head[:4] == b"\xff" * 4)

    def open(self, path: Path) -> ArraySource:
        """Opens a file or a folder; DataError where no row can be read."""
        if not find_spec("pyarrow"):
            raise DataError("reading Arrow and Parquet needs the package pyarrow", file=path, mend=_INSTALL)
        files = _files(path)
        if not files:
            raise DataError(f"no files *{', *'.join(_SUFFIXES)} in it", file=path, mend="check the path")
        return ArraySource(path, files, "arrow", "Arrow")

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a store as Parquet, ids as they are; see ``WritableFormat``."""
        if not find_spec("pyarrow"):
            raise UsageError("writing Parquet needs the package pyarrow", mend=_INSTALL)
        import pyarrow
        import pyarrow.parquet

        is_text = isinstance(store.image_ids[0], str)
        number = pyarrow.float16() if store.dtype.itemsize == 2 else pyarrow.float32()
        kinds: dict[str, Any] = {
            "image_id": pyarrow.string() if is_text else pyarrow.int64(),
            "width": pyarrow.int32(),
            "height": pyarrow.int32(),
            "num_boxes": pyarrow.int32(),
            "boxes": pyarrow.list_(pyarrow.float32()),
            "features": pyarrow.list_(number),
        }
        kinds |= {name: pyarrow.list_(pyarrow.from_numpy_dtype(COLUMNS[name])) for name in store.columns}
        schema = pyarrow.schema(list(kinds.items()), {"fingerprint": store.fingerprint})
        with (
            atomic_path(out) as path,
            # Floats do not repeat: a dictionary of them only costs.
            pyarrow.parquet.ParquetWriter(path, schema, use_dictionary=False, compression="zstd") as writer,
        ):
            for low in range(0, len(store), _ROWS_AT_ONCE):
                ids = store.image_ids[low : low + _ROWS_AT_ONCE]
                images = [store[image_id] for image_id in ids]
                values: dict[str, Any] = {
                    "image_id": ids,
                    "width": [int(image.size[0]) for image in images],
                    "height": [int(image.size[1]) for image in images],
                    "num_boxes": [len(image.boxes) for image in images],
                    "boxes": [image.boxes for image in images],
                    "features": [image.features.astype(store.dtype) for image in images],
                }
                values |= {name: [image.columns[name] for image in images] for name in store.columns}
                arrays = [_column(values[name], kinds[name]) for name in kinds]
                writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
                yield from range(low + 1, low + len(ids) + 1)


def _column(values: Any, kind: Any) -> Any:
    """Returns a column; lists are put together from arrays without a detour over Python's numbers."""
    import pyarrow

    if not pyarrow.types.is_list(kind):
        return pyarrow.array(values, kind)
    first = np.cumsum([0, *(part.size for part in values)]).astype(np.int32)
    flat = np.concatenate([np.ascontiguousarray(part).reshape(-1) for part in values])
    return pyarrow.ListArray.from_arrays(pyarrow.array(first), pyarrow.array(flat, kind.value_type))


FORMATS.register("parquet")(Parquet())
