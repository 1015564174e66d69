"""Which format a file or folder is in; where it is in none, what was found, what that looks like, and the way out."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vqa_gs.features.formats import FORMATS, HintedFormat
from vqa_gs.features.layout import FORMAT
from vqa_gs.features.reading.grids import GridHints
from vqa_gs.features.reading.probe import HDF5_SIGNATURE, look
from vqa_gs.features.reading.source import RegionSource
from vqa_gs.features.reading.tsv import head_rows

from vqa_gs.common.errors import DataError, UsageError

RECIPE = """\
Anything else comes in with five lines of Python:
    from vqa_gs.features.writer import RegionStoreWriter
    with RegionStoreWriter("regions.h5", dim=2048, fingerprint="what they are, made by what") as writer:
        for image_id, features, boxes, size in YOUR_IMAGES:  # int or text, (R, 2048), (R, 4) in pixels, (width, height)
            writer.add(image_id, features, boxes, size)
"""

_MOST = 6


def _mend() -> str:
    return f"known are {', '.join(FORMATS.names())}; --format names one that is not recognised"


class UnknownFormat(DataError):
    """What was found is in no known format; `RECIPE` is of use."""


def formats_of(path: Path) -> list[tuple[Path, str]]:
    """Returns what is to be read of a path, and the format of each: itself, or the files of a folder.

    Raises:
        DataError: it does not exist, or no format recognises it.
    """
    if not path.exists():
        raise DataError("no such feature file or folder", file=path, mend="check the path")
    name = _of_itself(path)
    if name is not None:
        return [(path, name)]
    if not path.is_dir():
        raise _unknown_file(path)
    inside = [(file, found) for file in sorted(path.iterdir()) if file.is_file() and (found := _of_itself(file))]
    if not inside:
        raise _unknown_folder(path)
    kinds = sorted({name for _, name in inside})
    if len(kinds) > 1:
        told = ", ".join(f"{file.name} ({name})" for file, name in inside[:_MOST])
        raise DataError(f"a folder with files of several formats: {told}", file=path, mend="name the files themselves")
    return inside


def detect_format(path: Path) -> str:
    """Returns the name of the format a file, or all of a folder, is in; as `formats_of`."""
    return formats_of(path)[0][1]


def _of_itself(path: Path) -> str | None:
    return next((name for name in FORMATS if FORMATS[name].detect(path)), None)


def open_source(path: Path, name: str, hints: GridHints) -> RegionSource:
    """Opens a file or folder in a format.

    Raises:
        DataError: it is missing or damaged; where it is of another format, that is told.
        UsageError: hints were given that the format has no use for.
    """
    if not path.exists():
        raise DataError("no such feature file or folder", file=path, mend="check the path")
    known = FORMATS[name]
    try:
        if hints:
            if not isinstance(known, HintedFormat):
                raise UsageError(f"--layout and --width are for grids, {path} is {name}", mend="leave them out")
            return known.open_with(path, hints)
        return known.open(path)
    except DataError as error:
        found = _of_itself(path)
        if found in (None, name):
            raise
        mend = f"it looks like {found}: --format {found}"
        raise DataError(error.problem, file=error.file, record=error.record, mend=mend) from error


def _unknown_folder(path: Path) -> DataError:
    suffixes: dict[str, list[str]] = {}
    for parent, _, files in os.walk(path):
        for name in files:
            suffixes.setdefault(os.path.splitext(name)[1].lower() or "no suffix", []).append(os.path.join(parent, name))
        if sum(map(len, suffixes.values())) > 100_000:
            break
    if not suffixes:
        return UnknownFormat("a folder without files of a known feature format: it is empty", file=path)
    counts = sorted(suffixes.items(), key=lambda item: -len(item[1]))
    told = ", ".join(f"{len(names):,} {suffix}" for suffix, names in counts[:_MOST])
    hint = next((text for suffix, text in _LOOKS.items() if suffix in suffixes), "")
    first = Path(min(counts[0][1]))
    inner = "; ".join(_inside(first))
    text = f"a folder without files of a known feature format, it has {told}"
    if inner:
        text += f"; {first.name} is {inner}"
    return UnknownFormat(text + hint, file=path, mend=_mend())


_LOOKS = {
    ".jpg": ": these are pictures, `vqa-gs features extract --images` makes features of them",
    ".jpeg": ": these are pictures, `vqa-gs features extract --images` makes features of them",
    ".png": ": these are pictures, `vqa-gs features extract --images` makes features of them",
    ".tsv.gz": ": unpack them first",
    ".pkl": ": pickles of no known kind are not read",
}


def _unknown_file(path: Path) -> DataError:
    with open(path, "rb") as file:
        is_hdf5 = file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    if not is_hdf5:
        found = "; ".join(_inside(path))
        return UnknownFormat(
            "none of the known feature formats" + (f": {found}" if found else ""), file=path, mend=_mend()
        )
    facts = look(path)
    if facts.format == FORMAT:
        return DataError(
            "is a region store already",
            file=path,
            mend="use it as it is; `features rename` gives it other ids, `features export` other formats",
        )
    parts = [f"{name} {shape}" for name, shape in sorted(facts.datasets.items())[:_MOST]]
    parts += [f"{name}/ with {', '.join(inner[:_MOST]) or 'nothing'}" for name, inner in sorted(facts.groups.items())]
    text = f"HDF5 of no known layout, it holds: {'; '.join(parts) or 'nothing'}"
    if facts.groups and not facts.datasets:
        text += ". It looks like a group an image, which is read where a group has a dataset features"
    elif any(len(shape) in (2, 3) and shape[-1] >= 64 for shape in facts.datasets.values()):
        text += ". It looks like features under another name"
    return UnknownFormat(text, file=path, mend=_mend())


def _inside(path: Path) -> Iterator[str]:
    """Yields what a file is, as far as its first bytes tell."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        yield "empty"
    elif head[:2] == b"\x1f\x8b":
        yield "packed by gzip: unpack it first"
    elif head[:4] == b"PK\x03\x04":
        with suppress(Exception), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            yield f"an archive of {len(names):,} files, {', '.join(names[:3])}"
    elif head[:6] == b"\x93NUMPY":
        with suppress(Exception):
            yield f"a NumPy array, {head[10 : head.index(b'}') + 1].decode('ascii')}"
    elif head[:1] == b"\x80":
        yield "a pickle, or a torch file of before 1.6; what may be in one is not run"
    elif b"\t" in head:
        row = head_rows(path)[0].split(b"\t")
        shown = ", ".join(repr(part[:20].decode("utf-8", "replace")) for part in row[:_MOST])
        yield f"rows of {len(row)} fields separated by tabs: {shown}"
    elif head[:1] in (b"{", b"["):
        yield "JSON"
