"""WebDataset's tar shards: one .tar (or .tar.gz), or a folder of them.

Members that follow on each other and have the same name up to its first point are one image: ``NAME.npy`` or
``NAME.pth`` its features (R, D), or in a dictionary what ``reading/parts.py`` knows; ``NAME.features.npy``,
``NAME.boxes.npy`` ... parts by name, ``NAME.json`` an object with ``width``, ``height`` and the like. Pictures and
texts are left out.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.formats.npy import rows
from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.folder import LARGEST_FILE
from vqa_gs.features.reading.grids import read_array
from vqa_gs.features.reading.parts import known_part, record_of_parts
from vqa_gs.features.reading.record import OtherLayout, Record, RecordSource

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import sha256_file
from vqa_gs.common.unpacking import require_plausible_size

_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_ARRAYS = (".npy", ".pth", ".pt")
_PIECE = 1 << 20

Key = tuple[Path, str]


class _Unpacked(io.RawIOBase):
    """A shard's bytes, unpacked where it is packed, and no more of them than is honest."""

    def __init__(self, path: Path) -> None:
        self._packed = path.stat().st_size
        with open(path, "rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
        self._file: Any = gzip.open(path) if is_packed else path.open("rb")  # noqa: SIM115 - closed by `close`
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._file.read(min(size, _PIECE) if size >= 0 else _PIECE)
        self._count += len(piece)
        require_plausible_size(self._packed, self._count)
        return piece

    def close(self) -> None:
        self._file.close()
        super().close()


def parse(members: dict[str, bytes]) -> Record:
    """Makes a record of an image's members, by what follows its name; any Exception where they are damaged."""
    parts: dict[str, Any] = {}
    for suffix, content in members.items():
        if suffix.endswith(".json"):
            values = json.loads(content)
            if not isinstance(values, dict):
                raise ValueError("its JSON is no object")
            parts |= {name: np.asarray(value) for name, value in values.items() if known_part(name)}
            continue
        value = read_array(content)
        if isinstance(value, dict):
            parts |= {name: part for name, part in value.items() if isinstance(name, str)}
            continue
        name = suffix.rsplit(".", 1)[0].lstrip(".").replace(".", "_")
        parts[name if known_part(name) else "features"] = value
    if "features" in parts:
        parts["features"] = rows(parts["features"])
    if any(isinstance(part, np.ndarray) and part.dtype.kind not in "fiub" for part in parts.values()):
        raise OtherLayout("a part of it is no array of numbers")
    return record_of_parts(parts)


class ShardSource(RecordSource[Key]):
    """Open shards."""

    parse = staticmethod(parse)

    def __init__(self, path: Path, files: list[Path]) -> None:
        self.path, self._files = path, files
        self.images = None
        self.look()

    def contents(self) -> Iterator[tuple[Key, Callable[[], Any]]]:
        """Yields the images shard by shard, in the order of their members."""
        for file in self._files:
            members = self._members(file)
            while True:
                # Damaged headers make tarfile raise nearly anything.
                try:
                    key, found = next(members)
                except StopIteration:
                    break
                except DataError:
                    raise
                except Exception as error:
                    raise DataError(
                        f"damaged or truncated: {type(error).__name__}: {error}", file=file, mend="fetch the file again"
                    ) from error
                yield (file, key), partial(_given, found)

    def _members(self, file: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
        with _Unpacked(file) as content, tarfile.open(fileobj=content, mode="r|") as archive:
            name, total = "", 0
            found: dict[str, bytes] = {}
            for member in archive:
                if member.isdir():
                    continue
                self._refuse_name(file, member)
                folder, base = os.path.split(member.name)
                stem, suffix = _split(base)
                if os.path.join(folder, stem) != name:
                    if found:
                        yield name, found
                    name, found, total = os.path.join(folder, stem), {}, 0
                if not suffix.endswith((*_ARRAYS, ".json")):
                    continue
                total += member.size
                if total > LARGEST_FILE:
                    raise ValueError(f"more than {LARGEST_FILE >> 30} GB for the image {name}")
                reader = archive.extractfile(member)
                assert reader is not None
                found[suffix] = reader.read()
                if len(found[suffix]) != member.size:
                    raise EOFError("the file ends within a member")
            if found:
                yield name, found

    def _refuse_name(self, file: Path, member: tarfile.TarInfo) -> None:
        name = member.name
        if not member.isreg() or member.sparse is not None or member.type == tarfile.GNUTYPE_SPARSE:
            problem = "is a link or a device, files were expected"
        elif name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or not name.isprintable():
            problem = "has a name that leads out of the archive"
        else:
            return
        raise DataError(problem, file=file, record=f"member {name[:200]}", mend="pack the shard again")

    def named(self, key: Key) -> tuple[ImageId, str]:
        """See ``RecordSource``."""
        return name_of_file(key[1]), f"member {key[1]} of {key[0].name}"

    def damage(self, key: Key, problem: str) -> DataError:
        """See ``RecordSource``."""
        return DataError(problem, file=key[0], record=f"image {self.named(key)[0]}", mend="fetch the file again")

    def digests(self) -> list[str]:
        """Returns the SHA-256 of each shard."""
        return [sha256_file(file) for file in self._files]


def _split(base: str) -> tuple[str, str]:
    """Returns an image's name and what follows it: from the first point on, as WebDataset splits."""
    point = base.find(".", 1)
    return (base, "") if point < 0 else (base[:point], base[point:])


def _given(members: dict[str, bytes]) -> dict[str, bytes]:
    return members


class WebDataset:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is a tar file by its name, or a folder with one."""
        if path.is_file():
            return path.name.endswith(_SUFFIXES)
        return bool(_shards(path))

    def open(self, path: Path) -> ShardSource:
        """Opens shards; DataError where no image of them can be read."""
        files = [path] if path.is_file() else _shards(path)
        if not files:
            raise DataError("no files *.tar in it", file=path, mend="check the path")
        return ShardSource(path, files)


def _shards(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(file for file in path.iterdir() if file.name.endswith(_SUFFIXES) and file.is_file())


FORMATS.register("webdataset")(WebDataset())
