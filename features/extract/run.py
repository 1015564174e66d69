"""From image files and boxes to a region store: parallel, resumable, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from features.extract._journal import Batch, Journal
from features.extract.backbone import Backbone
from features.extract.images import load_image
from features.geometry import grid_boxes
from features.layout import ImageId
from features.writer import RegionStoreWriter
from vqa_gs.common.errors import DataError, UsageError, VqaGsError
from vqa_gs.common.files import StrPath, require_file

Item = tuple[ImageId, StrPath, "np.ndarray | None"]
"""Image id, image file, boxes (n, 4) in pixels of the upright image; None: the whole and a 3 x 3 grid."""

Progress = Callable[[int, int | None], None]
"""Called with the images done and their total, None where it is not known."""

_BATCHES_AHEAD = 2


@dataclass
class ExtractSummary:
    """What an extraction did.

    Attributes:
        out: the store.
        images: images in it.
        regions: regions in it.
        dim: numbers a region.
        dtype: the features' type.
        weights: ``"pretrained"``, ``"random"`` or a path.
        note: a sentence on the weights.
        resumed: how many images an earlier, unfinished call had done.
        fingerprint: the store's fingerprint.
        content_hash: the store's content hash.
    """

    out: Path
    images: int
    regions: int
    dim: int
    dtype: str
    weights: str
    note: str
    resumed: int
    fingerprint: str
    content_hash: str


def extract_regions(
    items: Iterable[Item],
    backbone: Backbone,
    out: StrPath,
    dtype: str = "float16",
    batch_size: int = 16,
    progress: Progress | None = None,
    *,
    workers: int | None = None,
) -> ExtractSummary:
    """Extracts the regions of images into a region store, which appears whole or not at all.

    A call that was killed or met a broken image leaves its finished batches in a hidden journal beside
    ``out``; the next call with the same backbone, ``dtype`` and ``batch_size`` takes them over, up to the
    first item that changed (id, boxes, or the image file's size or time). The store's bytes do not depend on
    whether that happened nor on the number of workers.

    Args:
        items: (image id, path, boxes) in the order of the store.
        backbone: of ``load_backbone``.
        out: the store to write.
        dtype: ``"float16"`` or ``"float32"``.
        batch_size: images a worker takes at a time, and the step in which work is kept.
        progress: called after every batch.
        workers: threads that decode images and run the network, each on one core; None: as many as torch may
            use.

    Raises:
        DataError: an image is missing or broken, its boxes are not boxes, or an id occurs twice.
        UsageError: settings make no sense, or another call is writing the same store.
    """
    if batch_size < 1 or (workers is not None and workers < 1):
        raise UsageError("batch size and workers must be at least 1")
    if dtype not in ("float16", "float32"):
        raise UsageError(f"features cannot be stored as {dtype}", mend="choose float16 or float32")
    total = len(items) if hasattr(items, "__len__") else None  # type: ignore[arg-type]
    made_with = {
        "fingerprint": backbone.fingerprint,
        "dtype": dtype,
        "batch_size": batch_size,
        "device": backbone.device,
    }
    kind = np.dtype(dtype)
    resumed = 0
    # Opened in this order, the store is in place before the journal goes.
    writer = RegionStoreWriter(out, dim=backbone.dim, dtype=kind, fingerprint=backbone.fingerprint)
    with (
        Journal(Path(out), made_with, backbone.dim, kind) as journal,
        _single_threaded_workers(workers if backbone.device == "cpu" else 1) as pool,
        writer,
    ):
        for batch, key, outcome in _outcomes(items, backbone, journal, pool, batch_size):
            if isinstance(outcome, Batch):
                finished, is_new = outcome, False
                resumed += len(batch)
            else:
                finished, is_new = outcome.result(), True
            for position, (image_id, path, _) in enumerate(batch):
                _add(writer, image_id, path, finished, position)
            if is_new:
                journal.append(key, finished)
            if progress is not None:
                progress(len(writer), total)
    assert writer.content_hash is not None
    return ExtractSummary(
        out=Path(out),
        images=len(writer),
        regions=writer.regions,
        dim=backbone.dim,
        dtype=dtype,
        weights=backbone.weights,
        note=backbone.note,
        resumed=resumed,
        fingerprint=backbone.fingerprint,
        content_hash=writer.content_hash,
    )


def _outcomes(
    items: Iterable[Item], backbone: Backbone, journal: Journal, pool: _Pool, batch_size: int
) -> Iterator[tuple[list[Item], str, Batch | Future[Batch]]]:
    """Yields each batch with its outcome in order, keeping the workers busy with the batches behind it."""
    waiting: deque[tuple[list[Item], str, Batch | Future[Batch]]] = deque()
    stream = iter(items)
    while batch := list(islice(stream, batch_size)):
        key = _key(batch)
        outcome: Batch | Future[Batch] | None = journal.replay(key)
        if outcome is None:
            outcome = pool.executor.submit(_compute, batch, backbone)
        waiting.append((batch, key, outcome))
        if len(waiting) > pool.workers + _BATCHES_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _compute(batch: list[Item], backbone: Backbone) -> Batch:
    inputs, sizes, boxes = [], [], []
    for image_id, path, corners in batch:
        try:
            image = load_image(path)
        except VqaGsError as error:
            raise DataError(error.problem, file=error.file, record=f"image {image_id}", mend=error.mend) from error
        sizes.append(image.size)
        boxes.append(_checked_boxes(image_id, path, corners, image.size))
        inputs.append(backbone.prepare(image))
    return Batch(sizes, boxes, backbone.extract_prepared(torch.stack(inputs), sizes, boxes))


def _checked_boxes(image_id: ImageId, path: StrPath, corners: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    if corners is None:
        return grid_boxes(*size)
    boxes = np.asarray(corners, np.float32)
    problem = None
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) == 0:
        problem = f"boxes of shape {boxes.shape}, expected (regions, 4)"
    elif not np.isfinite(boxes).all():
        problem = "a box holds NaN or infinity"
    elif (boxes[:, 2:] < boxes[:, :2]).any():
        problem = "a box ends before it begins"
    elif (boxes[:, :2] > np.array(size)).any() or (boxes[:, 2:] < 0).any():
        problem = f"a box lies outside the image of {size[0]} x {size[1]}"
    if problem:
        raise DataError(problem, file=path, record=f"image {image_id}", mend="boxes are x1, y1, x2, y2 in pixels")
    return boxes


def _add(writer: RegionStoreWriter, image_id: ImageId, path: StrPath, batch: Batch, position: int) -> None:
    try:
        writer.add(image_id, batch.features[position], batch.boxes[position], batch.sizes[position])
    except DataError as error:
        raise DataError(error.problem, file=error.file or path, record=error.record, mend=error.mend) from error


def _key(batch: list[Item]) -> str:
    """Returns a digest of everything the outcome of a batch depends on besides the backbone."""
    digest = hashlib.sha256()
    for image_id, path, corners in batch:
        status = os.stat(require_file(path, "image"))
        facts = [
            str(image_id),
            isinstance(image_id, str),
            os.fspath(path),
            status.st_size,
            status.st_mtime_ns,
        ]
        digest.update(json.dumps(facts).encode())
        digest.update(b"grid" if corners is None else np.asarray(corners, np.float32).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Pool:
    executor: ThreadPoolExecutor
    workers: int


@contextmanager
def _single_threaded_workers(workers: int | None) -> Iterator[_Pool]:
    """Yields threads that each run torch on one core.

    Images side by side scale better than one image's layers cut into pieces, above all where other programs
    use the machine too, and what a worker computes does not depend on how many there are.
    """
    before = torch.get_num_threads()
    count = workers or before
    torch.set_num_threads(1)
    executor = ThreadPoolExecutor(count, "extract", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield _Pool(executor, count)
    finally:
        # After an error the batches still waiting are of no use to anyone.
        executor.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)
