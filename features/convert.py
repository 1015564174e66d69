"""Turning public feature files into a region store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.formats import FORMATS, ImageRegions, RegionSource, detect_format
from features.layout import ImageId
from features.writer import RegionStoreWriter
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file, sha256_file

Progress = Callable[[int, int | None], None]
"""Called with the images done and their total, None where it is not known."""


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
        fingerprint: the store's fingerprint.
        content_hash: the store's content hash.
        notes: what had to be assumed, a line each.
    """

    out: Path
    images: int = 0
    regions: int = 0
    dim: int = 0
    dtype: str = ""
    formats: list[str] = field(default_factory=list)
    fingerprint: str = ""
    content_hash: str = ""
    notes: list[str] = field(default_factory=list)


def convert(
    sources: StrPath | Sequence[StrPath],
    out: StrPath,
    format: str = "auto",
    dtype: str | None = None,
    progress: Progress | None = None,
) -> ConvertSummary:
    """Converts feature files into one region store, image by image in bounded memory.

    The store appears whole or not at all. Its fingerprint records each source's format and SHA-256, which
    takes one reading more of every source.

    Args:
        sources: a file, or several whose images are put together in this order (train and val, say).
        out: the store to write.
        format: a registered format's name, or ``"auto"`` to recognise each source's.
        dtype: ``"float16"`` or ``"float32"``; None keeps the sources' (float64 becomes float32).
        progress: called after every image.

    Returns:
        What was written.

    Raises:
        DataError: a source is missing, damaged or of no known format, or sources do not fit together.
        UsageError: no sources, or ``format`` or ``dtype`` is not known.
    """
    paths = [Path(sources)] if isinstance(sources, str | os.PathLike) else [Path(source) for source in sources]
    if not paths:
        raise UsageError("no feature file to convert")
    if dtype not in (None, "float16", "float32"):
        raise UsageError(f"features cannot be stored as {dtype}", mend="choose float16 or float32")
    for path in paths:
        require_file(path, "feature")
        if Path(out).exists() and path.samefile(out):
            raise UsageError("the store would replace its own source", file=out, mend="choose another name")
    names = [detect_format(path) if format == "auto" else format for path in paths]
    formats = [FORMATS[name] for name in names]
    summary = ConvertSummary(Path(out), formats=names)
    with ExitStack() as stack:
        opened: list[RegionSource] = []
        for path, reader in zip(paths, formats, strict=True):
            source = reader.open(path)
            stack.callback(source.close)
            opened.append(source)
        _check_alike(paths, opened)
        summary.dim = opened[0].dim
        summary.dtype = dtype or _stored_dtype(source.dtype for source in opened)
        summary.notes = [f"{path}: {note}" for path, source in zip(paths, opened, strict=True) for note in source.notes]
        summary.fingerprint = _fingerprint(names, opened)
        writer = RegionStoreWriter(out, dim=summary.dim, dtype=summary.dtype, fingerprint=summary.fingerprint)
        with writer:
            _copy(paths, opened, writer, progress)
            summary.images, summary.regions = len(writer), writer.regions
    assert writer.content_hash is not None
    summary.content_hash = writer.content_hash
    return summary


def _copy(paths: list[Path], sources: list[RegionSource], writer: RegionStoreWriter, progress: Progress | None) -> None:
    known = [source.images for source in sources]
    total = None if None in known else sum(count or 0 for count in known)
    origin: dict[ImageId, Path] = {}
    for path, source in zip(paths, sources, strict=True):
        for image in source:
            if image.image_id in origin:
                other = origin[image.image_id]
                raise DataError(
                    f"the image is also in {other}" if other != path else "the image occurs twice",
                    file=path,
                    record=_record(image),
                )
            try:
                writer.add(image.image_id, image.features, image.boxes, image.size)
            except DataError as error:
                # The writer knows the image only; the user needs the place in the source.
                if error.file is not None:
                    raise
                raise DataError(error.problem, file=path, record=_record(image), mend=error.mend) from error
            origin[image.image_id] = path
            if progress is not None:
                progress(len(writer), total)


def _record(image: ImageRegions) -> str:
    return f"{image.record}, image {image.image_id}"


def _check_alike(paths: list[Path], sources: list[RegionSource]) -> None:
    for path, source in zip(paths[1:], sources[1:], strict=True):
        if source.dim != sources[0].dim:
            raise DataError(
                f"regions of {source.dim} numbers, those of {paths[0]} have {sources[0].dim}",
                file=path,
                mend="convert files of the same extractor only",
            )


def _stored_dtype(kinds: Iterable[np.dtype]) -> str:
    """Returns float16 where all sources are, float32 for everything wider."""
    return "float16" if all(kind.itemsize == 2 for kind in kinds) else "float32"


def _fingerprint(names: list[str], sources: list[RegionSource]) -> str:
    """Returns where features came from; without file names, which say nothing of the content."""
    origins = [
        {"format": name, "sha256": [sha256_file(file) for file in source.files]}
        for name, source in zip(names, sources, strict=True)
    ]
    return json.dumps({"made_by": "convert", "sources": origins}, sort_keys=True)
