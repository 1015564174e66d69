"""Turning public feature files into a region store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from vqa_gs.features.layout import COLUMNS, ImageId
from vqa_gs.features.naming import RULES, Naming, missing_of
from vqa_gs.features.reading.grids import LAYOUTS, GridHints
from vqa_gs.features.reading.source import Damaged, RegionSource, refuse_damaged
from vqa_gs.features.recognise import formats_of, open_source
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.phases import phase

Progress = Callable[[int, int | None], None]
"""Called with the images done and their total, None where it is not known."""

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
        naming: which rule gave how many ids, a line each.
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
    naming: list[str] = field(default_factory=list)
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
    hints: GridHints | None = None,
    wanted: Mapping[str, Collection[ImageId]] | None = None,
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
            (TSV, file names); ``"text"``: all ids become text, as they are written; ``"number"``: the number at a
            name's end; or a file that maps names to ids, see ``naming.read_mapping``: images not in it are left out.
        hints: what grids do not say of themselves.
        wanted: name of a questions file -> the images its questions are about, all of which have to be there; where
            the sources list their images, this is looked at first.

    Returns:
        What was written.

    Raises:
        DataError: a source is missing, damaged or of no known format, or sources do not fit together.
        UsageError: no sources, or ``format``, ``dtype``, ``on_error`` or ``ids`` is not known.
    """
    if on_error not in ON_ERROR:
        raise UsageError(f"on_error is {on_error!r}", mend=f"choose {' or '.join(ON_ERROR)}")
    with _opened(sources, out, format, dtype, hints) as (paths, opened, summary):
        if wanted:
            ahead = _ids_ahead(opened, Naming(ids))
            if ahead is not None:
                missing_of(wanted, ahead, ids)
        writer = RegionStoreWriter(out, dim=summary.dim, dtype=summary.dtype, fingerprint="", columns=summary.columns)
        total = _total(opened)
        with phase("converting", total, "images") as far, writer:
            copying = _Copying(writer, summary, Naming(ids), on_error == "skip")

            def copied() -> None:
                far(1)
                if progress is not None:
                    progress(far.done, total)

            for path, source in zip(paths, opened, strict=True):
                copying.copy(path, source, copied)
            if summary.skipped and not len(writer):
                raise DataError(f"all {len(summary.skipped):,} images are damaged: {summary.skipped[0]}", file=paths[0])
            if not len(writer) and copying.naming.rule not in RULES:
                raise DataError("names none of the images", file=ids, mend="map names, as the source has them, to ids")
            if wanted:
                missing_of(wanted, copying.ids, ids)
            writer.fingerprint = summary.fingerprint = _fingerprint(summary.formats, opened)
            summary.images, summary.regions = len(writer), writer.regions
            summary.naming = list(copying.naming.lines())
            if copying.unnamed:
                summary.notes.append(f"{copying.unnamed:,} images were left out, {ids} does not name them")
    return summary


def plan_conversion(
    sources: StrPath | Sequence[StrPath],
    out: StrPath,
    format: str = "auto",
    dtype: str | None = None,
    *,
    ids: str = "auto",
    hints: GridHints | None = None,
    wanted: Mapping[str, Collection[ImageId]] | None = None,
) -> ConvertSummary:
    """Returns what ``convert`` would do, as far as it can be told without reading all; nothing is written.

    ``images`` is 0 where only reading tells, ``regions`` always; the ids' lines are there where the sources list their
    images.

    Raises:
        DataError, UsageError: as ``convert``, for what is known ahead.
    """
    with _opened(sources, out, format, dtype, hints) as (_, opened, summary):
        naming = Naming(ids)
        ahead = _ids_ahead(opened, naming)
        if ahead is not None and wanted:
            missing_of(wanted, ahead, ids)
        summary.images = len(ahead) if ahead is not None else _total(opened) or 0
        summary.naming = list(naming.lines())
    return summary


def _ids_ahead(sources: list[RegionSource], naming: Naming) -> list[ImageId] | None:
    """Returns the ids that the store will have; None where a source does not list its images."""
    ids: list[ImageId] = []
    for source in sources:
        names = source.listed()
        if names is None:
            return None
        found = (naming.id_of(name, untyped=source.untyped_ids) for name in names)
        ids += [image_id for image_id in found if image_id is not None]
    return ids


def _total(sources: list[RegionSource]) -> int | None:
    known = [source.images for source in sources]
    return None if None in known else sum(count or 0 for count in known)


@contextmanager
def _opened(
    sources: StrPath | Sequence[StrPath], out: StrPath, format: str, dtype: str | None, hints: GridHints | None
) -> Iterator[tuple[list[Path], list[RegionSource], ConvertSummary]]:
    """Yields what is read, open, and what of the result is known ahead."""
    given = [Path(sources)] if isinstance(sources, str | os.PathLike) else [Path(source) for source in sources]
    hints = hints or GridHints()
    if not given:
        raise UsageError("no feature file to convert")
    if dtype not in (None, "float16", "float32"):
        raise UsageError(f"features cannot be stored as {dtype}", mend="choose float16 or float32")
    if hints.layout not in (None, *LAYOUTS):
        raise UsageError(f"layout is {hints.layout!r}", mend=f"choose {' or '.join(LAYOUTS)}")
    for path in given:
        if Path(out).exists() and path.exists() and path.samefile(out):
            raise UsageError("the store would replace its own source", file=out, mend="choose another name")
        if path.is_fifo():
            raise DataError("is a pipe, expected a feature file or folder", file=path)
    found = [one for path in given for one in (formats_of(path) if format == "auto" else [(path, format)])]
    paths, names = [path for path, _ in found], [name for _, name in found]
    summary = ConvertSummary(Path(out), formats=names)
    with ExitStack() as stack:
        opened: list[RegionSource] = []
        for path, name in found:
            source = open_source(path, name, hints)
            stack.callback(source.close)
            opened.append(source)
        _check_alike(paths, opened)
        summary.dim = opened[0].dim
        summary.dtype = dtype or _stored_dtype(source.dtype for source in opened)
        summary.columns = tuple(name for name in COLUMNS if all(name in source.columns for source in opened))
        summary.notes = list(_notes(paths, opened, summary.columns))
        yield paths, opened, summary


class _Copying:
    """Puts sources into a writer, one after the other.

    Attributes:
        naming: what gives the ids.
        unnamed: how many images it gave none.
    """

    def __init__(self, writer: RegionStoreWriter, summary: ConvertSummary, naming: Naming, skip: bool) -> None:
        self._writer = writer
        self._summary = summary
        self.naming = naming
        self.unnamed = 0
        self._damaged: Damaged = self._skip if skip else refuse_damaged
        self._origin: dict[ImageId, Path] = {}

    @property
    def ids(self) -> Collection[ImageId]:
        """The ids of all images copied."""
        return self._origin.keys()

    def _skip(self, error: DataError) -> None:
        self._summary.skipped.append(str(error))

    def copy(self, path: Path, source: RegionSource, report: Callable[[], None]) -> None:
        """Copies the images of a source."""
        for image in source.read(self._damaged):
            record = f"{image.record}, image {image.image_id}"
            try:
                image_id = self.naming.id_of(image.image_id, untyped=source.untyped_ids)
            except DataError as error:
                self._damaged(DataError(error.problem, file=path, record=record, mend=error.mend))
                continue
            if image_id is None:
                self.unnamed += 1
                continue
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
            report()


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
