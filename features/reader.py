"""The open file behind a region store, of which each process has its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import h5py
import numpy as np
from vqa_gs.features import layout
from vqa_gs.features.index import StoreIndex, damage
from vqa_gs.features.memory import all_finite, copy_alone, empty

from vqa_gs.common.errors import DataError
from vqa_gs.common.lazy import torch

# Images to be widened are read in pieces of at most this many bytes: few enough to stay in a cache, and enough for the
# processor to find its stride in reading and in writing, and for large pages.
PIECE = 1 << 21
# So much is asked of the disk at a time before any of it is waited for: enough to keep its queue full.
_AHEAD = 64 << 20
_IOV_LIMIT = 1 << 30
_CHUNK_CACHE = (8 << 20, 64 << 20)
# Reads only what is in memory already.
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class OpenStore:
    """What one process holds of a store: the open file, the boxes, the buffer rows are read into."""

    def __init__(self, path: Path, index: StoreIndex) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self._path = path
        self._index = index
        self._row_bytes = index.dim * index.dtype.itemsize
        self._staging = _Staging()
        # Which images were seen to be finite: they need not be looked through every time.
        self._is_finite = np.zeros(len(index.ids), bool)
        self._file: h5py.File | None = None
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            if index.identity != StoreIndex.identity_of(os.fstat(self._descriptor)):
                raise DataError(
                    "the file was replaced or changed while in use",
                    file=path,
                    mend="start again with the new file",
                )
            # Images are asked for at random: read-ahead would fetch their neighbours for nothing.
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            with h5py.File(path, "r") as file:
                self.boxes: np.ndarray = file[layout.BOXES][:]
                chunks = file[layout.FEATURES].chunks
            if index.offset is None:
                # HDF5 unpacks a chunk anew for every image in it unless the chunk fits into its cache.
                unpacked = 0 if chunks is None else 4 * int(np.prod(chunks)) * index.dtype.itemsize
                self._file = h5py.File(path, "r", rdcc_nbytes=int(np.clip(unpacked, *_CHUNK_CACHE)))
                self._dataset = self._file[layout.FEATURES]
                self._low_level = self._dataset.id
                self._space, self._kind = self._low_level.get_space(), h5py.h5t.py_create(index.dtype)
                self._spaces: dict[int, h5py.h5s.SpaceID] = {}
        except Exception as error:
            self.close()
            raise damage(path, error) from error

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """What the store says of each region beside its box; 4 bytes a region each, read on first use."""
        try:
            with h5py.File(self._path, "r") as file:
                return {name: file[layout.column_path(name)][:] for name in self._index.columns}
        except Exception as error:
            raise damage(self._path, error) from error

    def close(self) -> None:
        """Closes the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        # In a forked child this closes the child's copy of the descriptor; the parent's stays open.
        descriptor, self._descriptor = getattr(self, "_descriptor", -1), -1
        if descriptor >= 0:
            os.close(descriptor)

    def read_rows(self, start: int, end: int, target: np.ndarray) -> None:
        """Reads regions ``start`` to ``end`` into ``target`` (end - start, D), of the file's type."""
        if self._file is None:
            assert self._index.offset is not None
            self._read_bytes(self._index.offset + start * self._row_bytes, target.reshape(-1).view(np.uint8).data)
            return
        try:
            target[...] = self._dataset[start:end]
        except Exception as error:
            raise damage(self._path, error) from error

    def blocks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (first region, (n, D) as stored) of all regions, about ``size`` bytes each, in memory used again."""
        regions = int(self._index.first[-1])
        step = min(regions, max(1, size // self._row_bytes))
        kind = torch.float16 if self._index.dtype.itemsize == 2 else torch.float32
        buffer = empty((step, self._index.dim), kind).numpy()
        self._announce(0, _AHEAD)
        for start in range(0, regions, step):
            block = buffer[: min(step, regions - start)]
            self._announce(start * self._row_bytes + _AHEAD, block.nbytes)
            self.read_rows(start, start + len(block), block)
            yield start, block

    def _announce(self, position: int, length: int) -> None:
        """Lets the disk fetch what will be read; of itself it fetches nothing ahead in a file read at random."""
        if self._index.offset is not None and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, self._index.offset + position, length, os.POSIX_FADV_WILLNEED)

    def _read_bytes(self, offset: int, target: memoryview) -> None:
        while target:
            # One call reads at most 2 GB, and may be cut short by a signal.
            done = os.preadv(self._descriptor, (target[:_IOV_LIMIT],), offset)
            if done == 0:
                raise DataError("the file was cut short while in use", file=self._path, mend=layout.REMAKE_HINT)
            target, offset = target[done:], offset + done

    def _read_or_announce(self, offsets: list[int], targets: list[memoryview]) -> list[int]:
        """Reads what is in memory; lets the disk begin to fetch the rest and returns its positions."""
        read, descriptor = os.preadv, self._descriptor
        missing = []
        for position, (offset, target) in enumerate(zip(offsets, targets, strict=True)):
            try:
                if read(descriptor, (target,), offset, _NOWAIT) == len(target):
                    continue
            except OSError:  # nothing of it is there, or the file system cannot tell
                pass
            os.posix_fadvise(descriptor, offset, len(target), os.POSIX_FADV_WILLNEED)
            missing.append(position)
        return missing

    def fill(self, features: torch.Tensor, rows: np.ndarray) -> int | None:
        """Fills ``features`` (B, R, D) with the regions of the images ``rows`` of the index, then zeros.

        Args:
            features: contiguous; of the file's type, or float32.
            rows: (B,) int64; none of these images has more than R regions.

        Returns:
            The position of an image that holds a number that is not finite; None if none does.
        """
        first = self._index.first[rows]
        lengths = self._index.first[rows + 1] - first
        task = _Task(
            features,
            ((self._index.offset or 0) + first * self._row_bytes).tolist(),
            first.tolist(),
            lengths.tolist(),
            (lengths * self._row_bytes).tolist(),
            set(np.nonzero(~self._is_finite[rows])[0].tolist()),
            max(1, PIECE // max(1, features.shape[1] * self._row_bytes)),
        )
        bad = self._fill(task, first)
        if bad is None:
            self._is_finite[rows] = True
            for position in np.nonzero(lengths < features.shape[1])[0].tolist():
                features[position, task.lengths[position] :].zero_()
        return bad

    def _fill(self, task: _Task, first: np.ndarray) -> int | None:
        images = len(first)
        if self._file is not None:
            # Images that share a chunk are read one after the other, so that it is unpacked once.
            return self._fill_part(task, np.argsort(first, kind="stable").tolist(), self._unpack)
        if task.features.element_size() == self._index.dtype.itemsize:
            return self._fill_part(task, range(images), self._read_in_place)
        return self._fill_part(task, range(images), self._read_and_widen)

    def _fill_part(self, task: _Task, order: Sequence[int], read: _Read) -> int | None:
        """Reads the images at some positions: those in memory first, while the disk fetches the others."""
        window = max(1, _AHEAD // max(1, task.features.shape[1] * self._row_bytes))
        for low in range(0, len(order), window):
            left: Sequence[int] = order[low : low + window]
            for waits in (False, True) if _NOWAIT and self._file is None else (True,):
                missing: list[int] = []
                for at in range(0, len(left), task.piece):
                    late, bad = read(task, left[at : at + task.piece], waits)
                    missing += late
                    if bad is not None:
                        return bad
                left = missing
        return None

    def _read(self, task: _Task, part: Sequence[int], targets: list[memoryview], waits: bool) -> _Outcome:
        """Reads the bytes of the images at some positions, those in memory only unless it waits."""
        offsets = [task.offsets[position] for position in part]
        missing: list[int] = []
        if waits:
            for offset, target in zip(offsets, targets, strict=True):
                self._read_bytes(offset, target)
        else:
            missing = [part[place] for place in self._read_or_announce(offsets, targets)]
        if task.unseen:
            for position, target in zip(part, targets, strict=True):
                is_new = position in task.unseen and position not in missing
                if is_new and not all_finite(np.frombuffer(target, self._index.dtype)):
                    return missing, position
        return missing, None

    def _read_in_place(self, task: _Task, part: Sequence[int], waits: bool) -> _Outcome:
        """Reads images straight to where they belong."""
        content, width = task.content, task.features.shape[1] * self._row_bytes
        return self._read(task, part, [content[at * width : at * width + task.sizes[at]] for at in part], waits)

    def _unpack(self, task: _Task, part: Sequence[int], waits: bool) -> _Outcome:
        """Lets HDF5 read images, straight to where they belong or, to be widened, into the cache."""
        target = task.features.numpy()
        is_same = target.dtype == self._index.dtype
        staging = self._staging
        staging.reserve(0 if is_same else max(task.lengths[position] for position in part) * self._index.dim)
        for position in part:
            begin, length = task.begins[position], task.lengths[position]
            block = target[position, :length] if is_same else staging.block(length, self._index.dim)
            try:
                # What h5py's own indexing does, without making everything anew for every image.
                space = self._spaces.get(length)
                if space is None:
                    space = self._spaces[length] = h5py.h5s.create_simple(block.shape)
                self._space.select_hyperslab((begin, 0), block.shape)
                self._low_level.read(space, self._space, block, self._kind)
            except Exception as error:
                raise damage(self._path, error) from error
            if position in task.unseen and not all_finite(block):
                return [], position
            if not is_same:
                staging.widen(0, task.features[position, :length])
        return [], None

    def _read_and_widen(self, task: _Task, part: Sequence[int], waits: bool) -> _Outcome:
        """Reads float16 images into the cache and widens them from there."""
        staging = self._staging
        staging.reserve(task.piece * task.features[0].numel())
        ends = list(accumulate(task.sizes[position] for position in part))
        targets = [staging.content[end - task.sizes[position] : end] for position, end in zip(part, ends, strict=True)]
        missing, bad = self._read(task, part, targets, waits)
        if bad is not None:
            return missing, bad
        run = task.features[part[0] : part[-1] + 1]
        if not missing and ends[-1] == 2 * run.numel():  # all in a row, none shorter than the longest
            staging.widen(0, run)
            return missing, None
        for position, end in zip(part, ends, strict=True):
            if position not in missing:
                regions = task.features[position, : task.lengths[position]]
                staging.widen(end // 2 - regions.numel(), regions)
        return missing, None


_Outcome = tuple[list[int], int | None]
"""Positions of images that have to be waited for; that of one that is not finite."""
_Read = Callable[["_Task", Sequence[int], bool], _Outcome]


@dataclass(frozen=True)
class _Task:
    """A batch to be filled.

    Attributes:
        features: (B, R, D), where to.
        offsets: where each image's bytes begin in the file.
        begins: where its regions begin in the dataset.
        lengths: how many they are.
        sizes: how many bytes.
        unseen: positions of images that have to be looked through for NaN.
        piece: how many images are read between two looks at what is missing.
    """

    features: torch.Tensor
    offsets: list[int]
    begins: list[int]
    lengths: list[int]
    sizes: list[int]
    unseen: set[int]
    piece: int

    @cached_property
    def content(self) -> memoryview:
        """The batch's bytes."""
        return self.features.numpy().reshape(-1).view(np.uint8).data


class _Staging:
    """A buffer for float16 numbers that are to be widened, small enough to stay in a core's cache."""

    def __init__(self) -> None:
        self._make(0)

    def _make(self, numbers: int) -> None:
        # Not of NumPy: the system copies to addresses that are multiples of 64 twice as fast.
        self._numbers = empty((numbers,), torch.float16)
        self.content = self._numbers.numpy().view(np.uint8).data

    def reserve(self, numbers: int) -> None:
        """Makes room for so many numbers; what was there may be lost."""
        if len(self._numbers) < numbers:
            self._make(max(numbers, PIECE // 2))

    def block(self, regions: int, dim: int) -> np.ndarray:
        """Returns the first numbers as an array (regions, dim)."""
        return self._numbers[: regions * dim].view(regions, dim).numpy()

    def widen(self, start: int, target: torch.Tensor) -> None:
        """Copies the numbers from ``start`` on into a contiguous float32 tensor."""
        copy_alone(target, self._numbers[start : start + target.numel()])
