"""What happens to a batch of images: read, find boxes, make as large as the network takes them, run the network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from vqa_gs.features.extract.backbones import Backbone
from vqa_gs.features.extract.boxes import BoxSource, NetworkRegions
from vqa_gs.features.extract.images import load_image
from vqa_gs.features.extract.journal import Batch
from vqa_gs.features.extract.listing import Item
from vqa_gs.features.extract.regions import Described, Found
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError, VqaGsError
from vqa_gs.common.files import StrPath

_TELL_EVERY = 0.5


@dataclass
class _Ready:
    """Images that only the networks are left to do something with."""

    positions: list[int] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)
    inputs: list[torch.Tensor] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    found: list[Found | None] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Pending:
    """A batch that is being done.

    Attributes:
        future: its outcome.
        images: how many of its images are done, as one number in a list.
    """

    future: Future[Batch]
    images: list[int]

    def result(self, told: Callable[[int], None]) -> Batch:
        """Waits for the outcome, telling from time to time how many images are done."""
        while not wait([self.future], _TELL_EVERY).done:
            if self.images[0]:
                told(self.images[0])
        return self.future.result()


class Workers:
    """Threads that do batches, on as many cores as there are workers.

    Without a GPU each batch is one thread's from the file to the features, on one core: images side by side scale
    better than one image's layers cut into pieces, above all where other programs use the machine too, and what a
    worker computes does not depend on how many there are. With a GPU the threads read and prepare images ahead of
    one that keeps the GPU busy.

    Args:
        backbone: makes the features.
        source: gives the boxes of images that come without.
        skips: whether an image that cannot be read is left out; otherwise it stops everything.
        count: threads.
    """

    def __init__(self, backbone: Backbone, source: BoxSource, skips: bool, count: int) -> None:
        self.count = count
        self._backbone, self._source, self._skips = backbone, source, skips
        self._is_split = backbone.device != "cpu"
        self._pool = ThreadPoolExecutor(count, "extract", initializer=torch.set_num_threads, initargs=(1,))
        self._device = ThreadPoolExecutor(1, "network")

    @contextmanager
    def at_work(self) -> Iterator[Workers]:
        """Ends the threads on leaving; torch has one thread for each of them meanwhile."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield self
        finally:
            # After an error the batches still waiting are of no use to anyone.
            for pool in (self._pool, self._device):
                pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(before)

    def submit(self, batch: list[Item]) -> Pending:
        """Begins a batch; batches are done in the order they came."""
        done = [0]
        if not self._is_split:
            return Pending(self._pool.submit(lambda: self._finish(batch, self._prepare(batch), done)), done)
        ready = self._pool.submit(self._prepare, batch)
        return Pending(self._device.submit(lambda: self._finish(batch, ready.result(), done)), done)

    def _prepare(self, batch: list[Item]) -> _Ready:
        ready = _Ready()
        for position, (image_id, path, corners) in enumerate(batch):
            try:
                image = load_image(path)
                found = None
                if corners is not None:
                    found = Found(np.asarray(corners, np.float32))
                elif not isinstance(self._source, NetworkRegions):
                    found = self._source(image_id, image)
                if found is not None:
                    found = checked(found, image.size)
            except VqaGsError as error:
                told = _told(error, image_id, path)
                if not self._skips:
                    raise told from error
                ready.failures.append((position, str(told)))
                continue
            ready.positions.append(position)
            ready.inputs.append(self._backbone.prepare(image))
            ready.sizes.append(image.size)
            ready.found.append(found)
            ready.images.append(image)
        return ready

    def _finish(self, batch: list[Item], ready: _Ready, done: list[int]) -> Batch:
        backbone, source = self._backbone, self._source
        has_given = any(corners is not None for _, _, corners in batch)
        is_own = isinstance(source, NetworkRegions) and source.network is backbone and not has_given
        # On a processor images go through the network one by one anyway, and how far it is can be told.
        step = len(ready.images) if self._is_split else 1
        regions: list[Described] = []
        for low in range(0, len(ready.images), max(1, step)):
            part = slice(low, low + step)
            inputs, sizes = ready.inputs[part], ready.sizes[part]
            if is_own:
                assert isinstance(source, NetworkRegions)
                made = backbone.extract(inputs, sizes, limits=source.limits)
                for own, size in zip(made, sizes, strict=True):
                    checked(own, size)
            else:
                found = [
                    checked(source(batch[position][0], image), image.size) if boxes is None else boxes
                    for position, image, boxes in zip(
                        ready.positions[part], ready.images[part], ready.found[part], strict=True
                    )
                ]
                made = backbone.extract(inputs, sizes, found)
            regions += made
            done[0] += len(made)
        return Batch(ready.positions, ready.sizes, regions, ready.failures)


def _told(error: VqaGsError, image_id: ImageId, path: StrPath) -> DataError:
    """Returns an error that names the image's id and, whatever file it is about, the image's file."""
    problem = error.problem if error.file in (None, os.fspath(path)) else f"{error.problem} in {error.file}"
    return DataError(problem, file=path, record=f"image {image_id}", mend=error.mend)


def checked(found: Found, size: tuple[int, int]) -> Found:
    """Returns an image's boxes if they are boxes in it; the whole image where there are none."""
    boxes = found.boxes
    problem = None
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        problem = f"boxes of shape {boxes.shape}, expected (regions, 4)"
    elif not np.isfinite(boxes).all():
        problem = "a box holds NaN or infinity"
    elif (boxes[:, 2:] < boxes[:, :2]).any():
        problem = "a box ends before it begins"
    elif (boxes[:, :2] > np.array(size)).any() or (boxes[:, 2:] < 0).any():
        problem = f"a box lies outside the image of {size[0]} x {size[1]}"
    if problem:
        raise DataError(problem, mend="boxes are x1, y1, x2, y2 in pixels")
    if len(boxes):
        return found
    whole = np.array([[0, 0, *size]], np.float32)
    # -1: no class, and no confidence in any.
    return Found(whole, {name: np.full(1, -1 if name in ("class", "attribute") else 0) for name in found.columns})
