"""Turning public feature files into a region store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from vqa_gs.features.formats import FORMATS, detect_format
from vqa_gs.features.ids import coco_id, id_of_text
from vqa_gs.features.layout import COLUMNS, ImageId
from vqa_gs.features.reading.source import Damaged, RegionSource, refuse_damaged
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.phases import phase

Progress = Callable[[int, int | None], None]
"""Called with the images done and their total, None where it is not known."""

IDS = ("auto", "text")
ON_ERROR = ("fail", "skip")


@dataclass
class ConvertSummary:
    """What a conversion did.

    Attributes:
        out: the store.
        images: images written.
        regions: regions written.
        dim: numbers a region.
        dtype: the features' type in the store.
        formats: the sources' formats, in their order.
        columns: what is kept of each region beside its box.
        fingerprint: the store's fingerprint.
        notes: what had to be assumed, a line each.
        skipped: the damaged records left out, a line each: file, record, what is wrong.
    """

    out: Path
    images: int = 0
    regions: int = 0
    dim: int = 0
    dtype: str = ""
    formats: list[str] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    fingerprint: str = ""
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def convert(
    sources: StrPath | Sequence[StrPath],
    out: StrPath,
    format: str = "auto",
    dtype: str | None = None,
    progress: Progress | None = None,
    *,
    on_error: str = "fail",
    ids: str = "auto",
) -> ConvertSummary:
    """Converts feature files into one region store, image by image in bounded memory.

    The store appears whole or not at all. Its fingerprint records each source's format and SHA-256.

    Args:
        sources: a file or folder, or several whose images are put together in this order (train and val, say).
        out: the store to write.
        format: a registered format's name, or ``"auto"`` to recognise each source's.
        dtype: ``"float16"`` or ``"float32"``; None keeps the sources' (float64 becomes float32).
        progress: called after every image.
        on_error: ``"fail"`` at the first damaged record (truncated, of a wrong length, NaN, an id that was there
            before), or ``"skip"`` it.
        ids: ``"auto"``: COCO names become the numbers in them, and so do numbers where the source has text only
            (TSV, file names); ``"text"``: all ids become text, as they are written.

    Returns:
        What was written.

    Raises:
        DataError: a source is missing, damaged or of no known format, or sources do not fit together.
        UsageError: no sources, or ``format``, ``dtype``, ``on_error`` or ``ids`` is not known.
    """
    paths = [Path(sources)] if isinstance(sources, str | os.PathLike) else [Path(source) for source in sources]
    if not paths:
        raise UsageError("no feature file to convert")
    if dtype not in (None, "float16", "float32"):
        raise UsageError(f"features cannot be stored as {dtype}", mend="choose float16 or float32")
    for name, value, known in (("on_error", on_error, ON_ERROR), ("ids", ids, IDS)):
        if value not in known:
            raise UsageError(f"{name} is {value!r}", mend=f"choose {' or '.join(known)}")
    for path in paths:
        if Path(out).exists() and path.exists() and path.samefile(out):
            raise UsageError("the store would replace its own source", file=out, mend="choose another name")
        if path.is_fifo():
            raise DataError("is a pipe, expected a feature file or folder", file=path)
    names = [detect_format(path) if format == "auto" else format for path in paths]
    formats = [FORMATS[name] for name in names]
    summary = ConvertSummary(Path(out), formats=names)
    with ExitStack() as stack:
        opened: list[RegionSource] = []
        for path, reader in zip(paths, formats, strict=True):
            if not path.exists():
                raise DataError("no such feature file or folder", file=path, mend="check the path")
            source = reader.open(path)
            stack.callback(source.close)
            opened.append(source)
        _check_alike(paths, opened)
        summary.dim = opened[0].dim
        summary.dtype = dtype or _stored_dtype(source.dtype for source in opened)
        summary.columns = tuple(name for name in COLUMNS if all(name in source.columns for source in opened))
        summary.notes = list(_notes(paths, opened, summary.columns))
        writer = RegionStoreWriter(out, dim=summary.dim, dtype=summary.dtype, fingerprint="", columns=summary.columns)
        known_totals = [source.images for source in opened]
        total = None if None in known_totals else sum(count or 0 for count in known_totals)
        with phase("converting", total, "images") as far, writer:
            copying = _Copying(writer, summary, ids, on_error == "skip")

            def copied() -> None:
                far(1)
                if progress is not None:
                    progress(far.done, total)

            for path, source in zip(paths, opened, strict=True):
                copying.copy(path, source, copied)
            if summary.skipped and not len(writer):
                raise DataError(f"all {len(summary.skipped):,} images are damaged: {summary.skipped[0]}", file=paths[0])
            writer.fingerprint = summary.fingerprint = _fingerprint(names, opened)
            summary.images, summary.regions = len(writer), writer.regions
    return summary


class _Copying:
    """Puts sources into a writer, one after the other."""

    def __init__(self, writer: RegionStoreWriter, summary: ConvertSummary, ids: str, skip: bool) -> None:
        self._writer = writer
        self._summary = summary
        self._ids = ids
        self._damaged: Damaged = self._skip if skip else refuse_damaged
        self._origin: dict[ImageId, Path] = {}

    def _skip(self, error: DataError) -> None:
        self._summary.skipped.append(str(error))

    def copy(self, path: Path, source: RegionSource, report: Callable[[], None]) -> None:
        """Copies the images of a source."""
        named = 0
        for image in source.read(self._damaged):
            record = f"{image.record}, image {image.image_id}"
            image_id = self._id(image.image_id, source.untyped_ids)
            if image_id in self._origin:
                other = self._origin[image_id]
                problem = f"the image is also in {other}" if other != path else "the image occurs twice"
                self._damaged(DataError(problem, file=path, record=record))
                continue
            columns = {name: image.columns[name] for name in self._summary.columns}
            try:
                self._writer.add(image_id, image.features, image.boxes, image.size, columns)
            except DataError as error:
                # The writer knows the image only; the user needs the place in the source.
                if error.file is not None:
                    raise
                self._damaged(DataError(error.problem, file=path, record=record, mend=error.mend))
                continue
            self._origin[image_id] = path
            named += isinstance(image_id, int) and isinstance(image.image_id, str) and not image.image_id.isdigit()
            report()
        if named:
            self._summary.notes.append(f"{path}: {named:,} COCO names became the numbers in them")

    def _id(self, image_id: ImageId, is_untyped: bool) -> ImageId:
        if self._ids == "text":
            return str(image_id)
        if not isinstance(image_id, str):
            return image_id
        if is_untyped:
            return id_of_text(image_id)
        # Text of digits may be meant as text where the source tells text from numbers; COCO's long names never are.
        number = None if image_id.isdigit() else coco_id(image_id)
        return image_id if number is None else number


def _check_alike(paths: list[Path], sources: list[RegionSource]) -> None:
    for path, source in zip(paths[1:], sources[1:], strict=True):
        if source.dim != sources[0].dim:
            raise DataError(
                f"regions of {source.dim} numbers, those of {paths[0]} have {sources[0].dim}",
                file=path,
                mend="convert files of the same extractor only",
            )


def _notes(paths: list[Path], sources: list[RegionSource], columns: tuple[str, ...]) -> Iterable[str]:
    for path, source in zip(paths, sources, strict=True):
        yield from (f"{path}: {note}" for note in source.notes)
        if lost := [name for name in source.columns if name not in columns]:
            yield f"{path}: left out, as not all sources have it: {', '.join(lost)}"


def _stored_dtype(kinds: Iterable[np.dtype]) -> str:
    """Returns float16 where all sources are, float32 for everything wider."""
    return "float16" if all(kind.itemsize == 2 for kind in kinds) else "float32"


def _fingerprint(names: list[str], sources: list[RegionSource]) -> str:
    """Returns where features came from; without file names, which say nothing of the content."""
    origins = [{"format": name, "sha256": source.digests()} for name, source in zip(names, sources, strict=True)]
    return json.dumps({"made_by": "convert", "sources": origins}, sort_keys=True)
