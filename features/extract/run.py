"""From image files and boxes to a region store: parallel, resumable, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from vqa_gs.features.extract.backbones import Backbone
from vqa_gs.features.extract.boxes import BoxSource
from vqa_gs.features.extract.boxes.grid import Grid
from vqa_gs.features.extract.journal import Batch, Journal
from vqa_gs.features.extract.listing import Item
from vqa_gs.features.extract.regions import RegionLimits
from vqa_gs.features.extract.workers import Pending, Workers
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file

Progress = Callable[[int, int | None], None]
"""Called with the images done and their total, None where it is not known."""

BATCH = 16
_BATCHES_AHEAD = 2
ON_ERROR = ("stop", "skip")


@dataclass
class ExtractSummary:
    """What an extraction did.

    Attributes:
        out: the store.
        images: images in it.
        regions: regions in it.
        dim: numbers a region.
        dtype: the features' type.
        resumed: how many images an earlier, unfinished call had done.
        skipped: a line for each image that was left out.
    """

    out: Path
    images: int
    regions: int
    dim: int
    dtype: str
    resumed: int
    skipped: list[str] = field(default_factory=list)


def fingerprint_of(backbone: Backbone, source: BoxSource | None = None) -> str:
    """Returns what a store of these features says of how they were made, as JSON."""
    if source is None:
        return backbone.fingerprint
    return json.dumps({**json.loads(backbone.fingerprint), "boxes": source.facts}, sort_keys=True)


def extract_regions(
    items: Iterable[Item],
    backbone: Backbone,
    out: StrPath,
    dtype: str = "float16",
    batch_size: int = BATCH,
    progress: Progress | None = None,
    *,
    boxes: BoxSource | None = None,
    workers: int | None = None,
    on_error: str = "stop",
) -> ExtractSummary:
    """Extracts the regions of images into a region store, which appears whole or not at all.

    A call that was killed or met a broken image leaves its finished batches in a hidden journal beside
    ``out``; the next call with the same backbone, boxes, ``dtype`` and ``batch_size`` takes them over, up to the
    first item that changed (id, boxes, or the image file's size or time). The store's bytes do not depend on
    whether that happened nor on the number of workers.

    Args:
        items: (image id, path, boxes) in the order of the store.
        backbone: of ``load_backbone``.
        out: the store to write.
        dtype: ``"float16"`` or ``"float32"``.
        batch_size: images a worker takes at a time, and the step in which work is kept.
        progress: called after every batch, and within batches that take long.
        boxes: gives the boxes of the items that have none; None: the whole image and a 3 x 3 grid.
        workers: threads that decode images and, without a GPU, run the network, each on one core; None: as many
            as torch may use.
        on_error: ``"stop"`` at an image that is missing, broken or has no boxes, or ``"skip"`` it and go on.

    Raises:
        DataError: an image is missing or broken, its boxes are not boxes, or an id occurs twice.
        UsageError: settings make no sense, or another call is writing the same store.
    """
    if batch_size < 1 or (workers is not None and workers < 1):
        raise UsageError("batch size and workers must be at least 1")
    if dtype not in ("float16", "float32"):
        raise UsageError(f"features cannot be stored as {dtype}", mend="choose float16 or float32")
    if on_error not in ON_ERROR:
        raise UsageError(f"at an error there is no {on_error!r}", mend=f"choose {' or '.join(ON_ERROR)}")
    total = len(items) if hasattr(items, "__len__") else None  # type: ignore[arg-type]
    skips = on_error == "skip"
    fingerprint = fingerprint_of(backbone, boxes)
    source = Grid(RegionLimits(10, 10)) if boxes is None else boxes
    made_with = {
        "fingerprint": fingerprint,
        "dtype": dtype,
        "batch_size": batch_size,
        "device": backbone.device,
    }
    kind = np.dtype(dtype)
    done = resumed = 0
    skipped: list[str] = []

    def tell(images: int) -> None:
        if progress is not None:
            progress(images, total)

    def tell_within(before: int, images: int) -> None:
        tell(before + images)

    # Opened in this order, the store is in place before the journal goes.
    writer = RegionStoreWriter(out, dim=backbone.dim, dtype=kind, fingerprint=fingerprint, columns=source.columns)
    with (
        Journal(Path(out), made_with, backbone.dim, kind, source.columns) as journal,
        Workers(backbone, source, skips, workers or torch.get_num_threads()).at_work() as pool,
        writer,
    ):
        for batch, key, outcome in _outcomes(items, journal, pool, batch_size, skips):
            if isinstance(outcome, Batch):
                finished, is_new = outcome, False
                resumed += len(batch)
            else:
                finished, is_new = outcome.result(partial(tell_within, done)), True
            if finished.failures and not skips:
                raise DataError(finished.failures[0][1])
            for number in range(len(finished.positions)):
                _add(writer, batch, finished, number)
            skipped += [message for _, message in finished.failures]
            if is_new:
                journal.append(key, finished)
            done += len(batch)
            tell(done)
        if skipped and not len(writer):
            raise DataError(f"none of {len(skipped)} images could be used; the first: {skipped[0]}")
    return ExtractSummary(
        out=Path(out),
        images=len(writer),
        regions=writer.regions,
        dim=backbone.dim,
        dtype=dtype,
        resumed=resumed,
        skipped=skipped,
    )


def is_finished(out: StrPath, items: list[Item], fingerprint: str, dtype: str) -> bool:
    """Returns whether a store is what extracting these images would give, as far as can be told without doing it.

    It is of the same fingerprint, younger than every image file, and lacks none but those that are broken.
    """
    path = Path(out)
    if not path.exists():
        return False
    try:
        with RegionStore(path) as store:
            there = [item for item in items if item[0] in store]
            if (store.fingerprint, store.dtype.name) != (fingerprint, dtype) or len(there) != len(store):
                return False
            if list(store.image_ids) != [item[0] for item in there]:
                return False
    except DataError:
        return False
    born = path.stat().st_mtime_ns
    # What was left out must be older too: a file that was mended since belongs into the store.
    return all(_status(item[1])[1] <= born for item in items)


def _outcomes(
    items: Iterable[Item], journal: Journal, pool: Workers, batch_size: int, skips: bool
) -> Iterator[tuple[list[Item], str, Batch | Pending]]:
    """Yields each batch with its outcome in order, keeping the workers busy with the batches behind it."""
    waiting: deque[tuple[list[Item], str, Batch | Pending]] = deque()
    stream = iter(items)
    while batch := list(islice(stream, batch_size)):
        key = _key(batch, skips)
        outcome: Batch | Pending | None = journal.replay(key)
        if outcome is None:
            outcome = pool.submit(batch)
        waiting.append((batch, key, outcome))
        if len(waiting) > pool.count + _BATCHES_AHEAD:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _add(writer: RegionStoreWriter, batch: list[Item], done: Batch, number: int) -> None:
    image_id, path, _ = batch[done.positions[number]]
    regions = done.regions[number]
    columns = {name: regions.columns[name] for name in writer.columns}
    try:
        writer.add(image_id, regions.features, regions.boxes, done.sizes[number], columns)
    except DataError as error:
        raise DataError(error.problem, file=error.file or path, record=error.record, mend=error.mend) from error


def _key(batch: list[Item], skips: bool) -> str:
    """Returns a digest of everything the outcome of a batch depends on besides the backbone and the boxes."""
    digest = hashlib.sha256()
    for image_id, path, corners in batch:
        if not skips:
            require_file(path, "image")
        facts = [str(image_id), isinstance(image_id, str), os.fspath(path), *_status(path)]
        digest.update(json.dumps(facts).encode())
        digest.update(b"source" if corners is None else np.asarray(corners, np.float32).tobytes())
    return digest.hexdigest()


def _status(path: StrPath) -> tuple[int, int]:
    """Returns a file's size and time of change; zeros where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
