"""The process that reads arrays by name for ``record_process.ArrayProcess``; run by a fork server.

Arguments of ``main``: the kind of file, its path, a path beside it or "", how many times its stored bytes and how many
bytes at any rate an array may unpack to, the largest record. Output, everything behind its length as an unsigned 64-bit
little-endian number: an object of JSON ({"images": n} or {"error": text}); for each image an object {"key", "parts":
[[name, type, shape], ...]} and then the bytes of each part, or {"key", "error"}; at the end {}.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

MEMORY = 4 << 30
_NAMES = {
    "id": ("image_id", "img_id", "id", "__key__", "key", "image", "image_name", "file_name", "imageId"),
    "of_images": ("features", "feature", "x", "image_features", "image_feature", "embeddings", "embedding", "tokens"),
}
_OTHERS: tuple[str, ...]
_OTHERS = ("boxes", "bbox", "bboxes", "img_w", "image_w", "image_width", "width", "img_h", "image_h", "image_height")
_OTHERS += ("height", "num_boxes", "num_bbox", "obj_id", "objects_id", "class", "objects", "obj_conf", "objects_conf")
_OTHERS += ("class_score", "attr_id", "attrs_id", "attribute", "attr_conf", "attrs_conf", "attribute_score", "cls_prob")
_SUFFIXES = ("_features", "_boxes", "_cls_prob")
_CODECS = {"blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "bytes", "transpose", "crc32c"}
_CODECS |= {"sharding_indexed"}

Parts = dict[str, Any]


class _Limits:
    ratio = 100
    free = 16 << 20
    largest = 1 << 30

    def check(self, name: str, size: int, stored: int) -> None:
        """Raises ValueError where an array is larger than what is stored of it can honestly be."""
        if size > self.largest:
            raise ValueError(f"{name} has {size:,} bytes, more than {self.largest >> 30} GB for one image")
        if size > max(self.free, self.ratio * stored):
            raise ValueError(f"{name} has {size:,} bytes, of which {stored:,} are stored")


_LIMITS = _Limits()


def _hdf5_array(file: Any, name: str) -> Any:
    import h5py

    item = file[name]
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or item.is_virtual or item.external:
        raise ValueError(f"{name} is no array of numbers of this file")
    size = item.size * item.dtype.itemsize
    stored = min(item.id.get_storage_size(), os.stat(file.file.filename).st_size)
    _LIMITS.check(name, size, stored)
    return item[()]


def _is_own(file: Any, name: str) -> bool:
    import h5py

    return isinstance(file.get(name, getlink=True), h5py.HardLink)


def _hdf5_groups(path: str, beside: str) -> Iterator[Any]:
    import h5py

    wanted = {*_NAMES["of_images"], *_OTHERS}
    with h5py.File(path, "r") as file:
        yield len(file)
        for key in file:
            try:
                if not _is_own(file, key):
                    raise ValueError("is a link to another place")
                group = file[key]
                if not isinstance(group, h5py.Group):
                    raise ValueError("is no group")
                names = [name for name in group if name in wanted and _is_own(group, name)]
                yield key, {name: _hdf5_array(group, name) for name in names}
            except Exception as error:
                yield key, error


def _hdf5_names(path: str, beside: str) -> Iterator[Any]:
    import h5py

    with h5py.File(path, "r") as file:
        names = set(file)
        keys = {name[: -len(suffix)]: None for name in sorted(names) for suffix in _SUFFIXES if name.endswith(suffix)}
        yield len(keys)
        for key in keys:
            try:
                if key + "_features" not in names:
                    raise ValueError(f"there is no {key}_features, though there is more of this image")
                there = [suffix for suffix in _SUFFIXES if key + suffix in names and _is_own(file, key + suffix)]
                yield key, {suffix[1:]: _hdf5_array(file, key + suffix) for suffix in there}
            except Exception as error:
                yield key, error


def _arrow(path: str, beside: str) -> Iterator[Any]:
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    schema, count, batches = _tables(path)
    names = {name: place for place, name in enumerate(schema.names)}
    key_name = next((name for name in _NAMES["id"] if name in names), None)
    features = next((name for name in _NAMES["of_images"] if name in names), None)
    if key_name is None or features is None:
        lacking = "image_id" if key_name is None else "features"
        raise _Other(f"no column {lacking}; it has {', '.join(schema.names[:20])}")
    wanted = [features, *(name for name in _OTHERS if name in names)]
    yield count
    left = max(_LIMITS.free, _LIMITS.ratio * os.stat(path).st_size)
    for batch in batches:
        batch.validate(full=True)
        left -= batch.nbytes
        if left < 0:
            raise ValueError("its columns are far larger than the file")
        keys = batch.column(names[key_name])
        columns = {name: batch.column(names[name]) for name in wanted}
        for row in range(batch.num_rows):
            key = keys[row].as_py()
            try:
                if isinstance(key, bool) or not isinstance(key, int | str):
                    raise ValueError(f"its id is {key!r}"[:200])
                parts = {name: _arrow_array(name, column[row]) for name, column in columns.items()}
                yield key, {name: values for name, values in parts.items() if values is not None}
            except Exception as error:
                yield str(key)[:200], error


def _tables(path: str) -> tuple[Any, int | None, Any]:
    import pyarrow
    import pyarrow.parquet

    with open(path, "rb") as stream:
        magic = stream.read(6)
    if magic[:4] == b"PAR1":
        file = pyarrow.parquet.ParquetFile(path)
        return file.schema_arrow, file.metadata.num_rows, file.iter_batches(batch_size=32, use_threads=False)
    source = pyarrow.memory_map(path)
    if magic == b"ARROW1":
        reader = pyarrow.ipc.open_file(source)
        return reader.schema, None, (reader.get_batch(n) for n in range(reader.num_record_batches))
    reader = pyarrow.ipc.open_stream(source)
    return reader.schema, None, reader


def _arrow_array(name: str, scalar: Any) -> Any:
    """Returns a cell as an array: a number, nested lists of equal lengths, or the bytes of float32."""
    import numpy
    import pyarrow

    if not scalar.is_valid:
        return None
    if isinstance(scalar, pyarrow.ExtensionScalar):
        scalar = scalar.value
    if isinstance(scalar, pyarrow.BinaryScalar | pyarrow.LargeBinaryScalar) and not isinstance(
        scalar, pyarrow.StringScalar | pyarrow.LargeStringScalar
    ):
        return numpy.frombuffer(scalar.as_py(), "<f4")
    if not isinstance(scalar, pyarrow.ListScalar | pyarrow.LargeListScalar | pyarrow.FixedSizeListScalar):
        return numpy.asarray(scalar.as_py())
    values, shape = scalar.values, []
    while True:
        shape.append(len(values))
        kind = values.type
        if not (
            pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)
        ):
            break
        if values.null_count:
            raise ValueError(f"{name} has lists that are missing")
        inner = values.flatten()
        if len(values) and not pyarrow.types.is_fixed_size_list(kind):
            lengths = values.value_lengths().to_numpy(zero_copy_only=False)
            if (lengths != lengths[0]).any():
                raise ValueError(f"{name} has lists of different lengths")
        values = inner
    if values.null_count:
        raise ValueError(f"{name} has numbers that are missing")
    flat = values.to_numpy(zero_copy_only=False)
    total = 1
    for place in range(len(shape) - 1):
        total *= shape[place] or 1
        shape[place + 1] //= total
    return flat.reshape(shape)


def _zarr(path: str, beside: str) -> Iterator[Any]:
    keys = sorted(name for name in os.listdir(path) if not name.startswith(".") and os.path.isdir(f"{path}/{name}"))
    yield len(keys)
    for key in keys:
        try:
            parts = {"features": _zarr_array(path, key)}
            if beside:
                parts["boxes"] = _zarr_array(beside, key)
            yield key, parts
        except Exception as error:
            yield key, error


def _zarr_array(root: str, key: str) -> Any:
    """Returns an array, once it is known that none of its codecs runs anything."""
    import zarr

    folder = f"{root}/{key}"
    stored = 0
    for parent, _, files in os.walk(folder):
        stored += sum(os.stat(f"{parent}/{name}").st_size for name in files)
    for name in (".zarray", "zarr.json"):
        if os.path.exists(f"{folder}/{name}"):
            if os.path.getsize(f"{folder}/{name}") > 1 << 20:
                raise ValueError(f"its {name} is larger than any of an array")
            with open(f"{folder}/{name}", encoding="utf-8") as stream:
                _refuse_codecs(json.load(stream))
    array = zarr.open_array(folder, mode="r")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"an array of {array.dtype}")
    size, chunk = array.dtype.itemsize, array.dtype.itemsize
    for length in array.shape:
        size *= length
    for length in array.chunks:
        chunk *= length
    _LIMITS.check(key, max(size, chunk), stored)
    if array.nchunks_initialized < array.nchunks:
        raise ValueError(f"{array.nchunks - array.nchunks_initialized} of its {array.nchunks} chunks are missing")
    return array[...]


def _refuse_codecs(value: Any) -> None:
    """Raises ValueError where metadata names a codec that is no plain compressor: there is one that unpickles."""
    if isinstance(value, list):
        for inner in value:
            _refuse_codecs(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in ("compressor", "filters", "codecs", "index_codecs") and inner is not None:
                for codec in inner if isinstance(inner, list) else [inner]:
                    name = codec.get("id", codec.get("name")) if isinstance(codec, dict) else codec
                    if name not in _CODECS:
                        raise ValueError(f"the codec {str(name)[:40]!r}, which is no plain compressor")
            _refuse_codecs(inner)


class _Other(Exception):
    """The file is whole, and not of the layout."""


def _send(head: dict[str, Any], arrays: Any = ()) -> None:
    out = sys.stdout.buffer
    content = json.dumps(head).encode("ascii")
    out.write(struct.pack("<Q", len(content)) + content)
    for values in arrays:
        out.write(struct.pack("<Q", values.nbytes))
        out.write(values.reshape(-1).data)


def _answer(kind: str, path: str, beside: str) -> None:
    import numpy

    readers = {"hdf5-groups": _hdf5_groups, "hdf5-names": _hdf5_names, "arrow": _arrow, "zarr": _zarr}
    records = readers[kind](path, beside)
    _send({"images": next(records)})
    # It is asked how many there are before any is asked for.
    sys.stdout.buffer.flush()
    for key, parts in records:
        if isinstance(parts, Exception):
            _send({"key": key, "error": f"{type(parts).__name__}: {parts}"[:500]})
            continue
        arrays = {name: numpy.ascontiguousarray(values) for name, values in parts.items()}
        # What is contiguous already keeps its axes; numpy makes one axis of none.
        head = [[name, arrays[name].dtype.str, list(numpy.shape(parts[name]))] for name in arrays]
        if any(values.dtype.kind not in "fiub" for values in arrays.values()):
            _send({"key": key, "error": "a part of it is no array of numbers"})
            continue
        if sum(values.nbytes for values in arrays.values()) > _LIMITS.largest:
            _send({"key": key, "error": f"has more than {_LIMITS.largest >> 30} GB"})
            continue
        _send({"key": key, "parts": head}, arrays.values())
    _send({})
    sys.stdout.buffer.flush()


def prepare(kind: str) -> None:
    """Imports what reads a kind of file."""
    import numpy  # noqa: F401

    with suppress(ImportError):  # reading says so
        for name in {"arrow": ("pyarrow.parquet", "pyarrow.compute"), "zarr": ("zarr",)}.get(kind, ("h5py",)):
            importlib.import_module(name)


def main(kind: str, path: str, beside: str, ratio: str, free: str, largest: str) -> None:
    """Writes the records."""
    _LIMITS.ratio, _LIMITS.free, _LIMITS.largest = int(ratio), int(free), int(largest)
    try:
        _answer(kind, path, beside)
    except _Other as error:
        _send({"error": str(error), "mend": "rename the columns, or see docs/features.md for RegionStoreWriter"})
    except Exception as error:
        _send({"error": f"{type(error).__name__}: {error}"[:500]})
    sys.stdout.buffer.flush()
