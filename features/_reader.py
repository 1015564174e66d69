"""The open file behind a region store, of which each process has its own."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch

from features import layout
from features._index import StoreIndex, damage
from features._memory import all_finite
from vqa_gs.common.errors import DataError

# Images to be widened are read in pieces of about this many bytes: few enough to stay in a core's cache.
PIECE = 1 << 20
# So much is asked of the disk at a time before any of it is waited for: enough to keep its queue full.
_AHEAD = 64 << 20
_IOV_LIMIT = 1 << 30
# Torch cuts copies of 2^15 numbers and more into threads. They would fight with those of the step that is computed
# meanwhile; one thread, given less at a time, reads faster than a step takes.
_ONE_THREAD = (1 << 15) - 1
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
        self._staging = torch.empty(0, dtype=torch.float16)
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
            self._read_bytes(start, target.reshape(-1).view(np.uint8).data)
            return
        try:
            target[...] = self._dataset[start:end]
        except Exception as error:
            raise damage(self._path, error) from error

    def _read_bytes(self, start: int, target: memoryview) -> None:
        assert self._index.offset is not None
        position = self._index.offset + start * self._row_bytes
        while target:
            # One call reads at most 2 GB, and may be cut short by a signal.
            done = os.preadv(self._descriptor, (target[:_IOV_LIMIT],), position)
            if done == 0:
                raise DataError("the file was cut short while in use", file=self._path, mend=layout.REMAKE_HINT)
            target, position = target[done:], position + done

    def _read_or_announce(self, start: int, target: memoryview) -> bool:
        """Reads what is in memory; if it is not, lets the disk begin to fetch it and returns False."""
        assert self._index.offset is not None
        position = self._index.offset + start * self._row_bytes
        try:
            if os.preadv(self._descriptor, (target,), position, _NOWAIT) == len(target):
                return True
        except OSError:  # nothing of it is there, or the file system cannot tell
            pass
        os.posix_fadvise(self._descriptor, position, len(target), os.POSIX_FADV_WILLNEED)
        return False

    def fill(self, features: torch.Tensor, rows: np.ndarray) -> int | None:
        """Fills ``features`` (B, R, D) with the regions of the images ``rows`` of the index, then zeros.

        Args:
            features: contiguous; of the file's type, or float32.
            rows: (B,) int64; none of these images has more than R regions.

        Returns:
            The position of an image that holds a number that is not finite; None if none does.
        """
        images, longest, _ = features.shape
        first = self._index.first[rows]
        task = _Task(features, rows, first.tolist(), (self._index.first[rows + 1] - first).tolist())
        # Images that share a chunk are read one after the other, so that it is unpacked once.
        order = list(range(images)) if self._file is None else np.argsort(first, kind="stable").tolist()
        image_bytes = max(1, longest * self._row_bytes)
        window, piece = max(1, _AHEAD // image_bytes), max(1, PIECE // image_bytes)
        if self._file is not None:
            read = self._unpack
        elif features.element_size() == self._index.dtype.itemsize:
            read = self._read_in_place
        else:
            read = self._read_and_widen
        for low in range(0, images, window):
            left = order[low : low + window]
            for waits in (False, True) if _NOWAIT and self._file is None else (True,):
                missing: list[int] = []
                for at in range(0, len(left), piece):
                    bad = read(task, left[at : at + piece], missing, waits)
                    if bad is not None:
                        return bad
                left = missing
        return None

    def _read_in_place(self, task: _Task, part: list[int], missing: list[int], waits: bool) -> int | None:
        """Reads images straight to where they belong."""
        target = task.features.numpy()
        width = target.shape[1] * self._row_bytes
        content = target.reshape(-1).view(np.uint8).data
        for position in part:
            length = task.lengths[position]
            place = content[position * width : position * width + length * self._row_bytes]
            if waits:
                self._read_bytes(task.begins[position], place)
            elif not self._read_or_announce(task.begins[position], place):
                missing.append(position)
                continue
            if length < target.shape[1]:
                target[position, length:] = 0
            row = task.rows[position]
            if not self._is_finite[row]:
                if not all_finite(target[position, :length]):
                    return position
                self._is_finite[row] = True
        return None

    def _unpack(self, task: _Task, part: list[int], missing: list[int], waits: bool) -> int | None:
        """Lets HDF5 read images, straight to where they belong or, to be widened, into the cache."""
        target = task.features.numpy()
        is_same = target.dtype == self._index.dtype
        staged, source = self._stage(0 if is_same else max(task.lengths[position] for position in part))
        for position in part:
            begin, length = task.begins[position], task.lengths[position]
            block = target[position, :length] if is_same else staged[:length]
            try:
                # What h5py's own indexing does, without making everything anew for every image.
                space = self._spaces.get(length)
                if space is None:
                    space = self._spaces[length] = h5py.h5s.create_simple(block.shape)
                self._space.select_hyperslab((begin, 0), block.shape)
                self._low_level.read(space, self._space, block, self._kind)
            except Exception as error:
                raise damage(self._path, error) from error
            if not is_same:
                _widen(task.features[position, :length], source[:length])
            if length < target.shape[1]:
                target[position, length:] = 0
            row = task.rows[position]
            if not self._is_finite[row]:
                if not all_finite(block):
                    return position
                self._is_finite[row] = True
        return None

    def _read_and_widen(self, task: _Task, part: list[int], missing: list[int], waits: bool) -> int | None:
        """Reads float16 images into the cache and widens them from there."""
        staged, source = self._stage(sum(task.lengths[position] for position in part))
        content = staged.reshape(-1).view(np.uint8).data
        there, at = [], 0
        for position in part:
            begin, length = task.begins[position], task.lengths[position]
            place = content[at * self._row_bytes : (at + length) * self._row_bytes]
            if waits:
                self._read_bytes(begin, place)
            elif not self._read_or_announce(begin, place):
                missing.append(position)
                continue
            there.append(position)
            at += length
        if not there:
            return None
        rows = task.rows[there]
        if not self._is_finite[rows].all():
            ends = np.cumsum([task.lengths[position] for position in there]).tolist()
            for position, begin, end in zip(there, [0, *ends], ends, strict=False):
                if not all_finite(staged[begin:end]):
                    return position
            self._is_finite[rows] = True
        low, high = there[0], there[-1] + 1
        longest = task.features.shape[1]
        if at == len(there) * longest and there == list(range(low, high)):
            _widen(task.features[low:high], source[:at])
            return None
        at = 0
        for position in there:
            length = task.lengths[position]
            _widen(task.features[position, :length], source[at : at + length])
            if length < longest:
                task.features[position, length:].zero_()
            at += length
        return None

    def _stage(self, regions: int) -> tuple[np.ndarray, torch.Tensor]:
        """Returns the buffer for so many float16 regions, as an array and as a tensor."""
        if self._staging.numel() < regions * self._index.dim:
            # Of torch and not of NumPy: the system copies to addresses that are multiples of 64 twice as fast.
            self._staging = torch.empty(regions * self._index.dim, dtype=torch.float16)
        source = self._staging[: regions * self._index.dim].view(regions, self._index.dim)
        return source.numpy(), source


@dataclass(frozen=True)
class _Task:
    """A batch to be filled: where to, which images, and where each one's regions begin and how many they are."""

    features: torch.Tensor
    rows: np.ndarray
    begins: list[int]
    lengths: list[int]


def _widen(target: torch.Tensor, source: torch.Tensor) -> None:
    target, source = target.view(-1), source.view(-1)
    pieces = 1 if torch.get_num_threads() == 1 else -(-source.numel() // _ONE_THREAD)
    for wide, narrow in zip(target.chunk(pieces), source.chunk(pieces), strict=True):
        wide.copy_(narrow)
