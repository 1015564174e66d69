"""The open file behind a region store, of which each process has its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch

from features import layout
from features._index import StoreIndex, damage
from vqa_gs.common.errors import DataError

# Rows are read and widened in pieces of about this many bytes: few enough to stay in a core's cache.
PIECE = 1 << 20
_PIECES_AHEAD = 2
_IOV_LIMIT = 1 << 30


class OpenStore:
    """What one process holds of a store: the open file, the boxes, the buffer rows are read into."""

    def __init__(self, path: Path, index: StoreIndex) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self._path = path
        self._index = index
        self._row_bytes = index.dim * index.dtype.itemsize
        self._staging = np.empty(0, np.uint8)
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
            if index.offset is None:
                self._file = h5py.File(path, "r")
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
        if self._index.offset is not None:
            self._read_bytes(start, target.reshape(-1).view(np.uint8).data)
            return
        assert self._file is not None
        try:
            target[...] = self._file[layout.FEATURES][start:end]
        except Exception as error:
            raise damage(self._path, error) from error

    def _read_bytes(self, start: int, target: memoryview) -> None:
        assert self._index.offset is not None
        position = self._index.offset + start * self._row_bytes
        while target:
            # One call reads at most 2 GB, and may be cut short by a signal.
            done = os.preadv(self._descriptor, [target[:_IOV_LIMIT]], position)
            if done == 0:
                raise DataError("the file was cut short while in use", file=self._path, mend=layout.REMAKE_HINT)
            target, position = target[done:], position + done

    def fill(self, features: torch.Tensor, starts: np.ndarray, counts: np.ndarray) -> range | None:
        """Fills ``features`` (B, R, D): ``counts[b]`` of the file's rows from ``starts[b]`` on, then zeros.

        Returns:
            The first images among which one may hold a number that is not finite; None if surely none does.
        """
        images, longest, dim = features.shape
        flat = features.view(images, longest * dim)
        per_piece = max(1, PIECE // max(1, longest * self._row_bytes))
        suspects: range | None = None
        pieces = [range(low, min(low + per_piece, images)) for low in range(0, images, per_piece)]
        for piece in pieces[:_PIECES_AHEAD]:
            self._announce(starts, counts, piece)
        for number, piece in enumerate(pieces):
            for ahead in pieces[number + _PIECES_AHEAD : number + _PIECES_AHEAD + 1]:
                self._announce(starts, counts, ahead)
            self._fill_piece(features, starts, counts, piece)
            block = flat[piece.start : piece.stop].reshape(-1)
            if suspects is None and not torch.isfinite(torch.dot(block, block)):
                suspects = piece
        return suspects

    def _announce(self, starts: np.ndarray, counts: np.ndarray, piece: range) -> None:
        """Lets the disk work on rows that are read a little later; nearly free when they are in memory."""
        if self._index.offset is None or not hasattr(os, "posix_fadvise"):
            return
        for position in piece:
            at = self._index.offset + int(starts[position]) * self._row_bytes
            os.posix_fadvise(self._descriptor, at, int(counts[position]) * self._row_bytes, os.POSIX_FADV_WILLNEED)

    def _fill_piece(self, features: torch.Tensor, starts: np.ndarray, counts: np.ndarray, piece: range) -> None:
        dim = self._index.dim
        begins, lengths = starts[piece.start : piece.stop].tolist(), counts[piece.start : piece.stop].tolist()
        if self._index.dtype == np.float32:
            # Nothing to widen: straight to where the rows belong.
            for position, begin, length in zip(piece, begins, lengths, strict=True):
                self.read_rows(begin, begin + length, features[position, :length].numpy())
                features[position, length:].zero_()
            return
        total = sum(lengths)
        if len(self._staging) < total * self._row_bytes:
            self._staging = np.empty(total * self._row_bytes, np.uint8)
        staged = self._staging[: total * self._row_bytes].view(self._index.dtype).reshape(total, dim)
        at = 0
        for begin, end in _runs(begins, lengths):
            self.read_rows(begin, end, staged[at : at + end - begin])
            at += end - begin
        source = torch.from_numpy(staged)
        if total == len(piece) * features.shape[1]:
            features[piece.start : piece.stop].view(total, dim).copy_(source)
            return
        at = 0
        for position, length in zip(piece, lengths, strict=True):
            features[position, :length].copy_(source[at : at + length])
            features[position, length:].zero_()
            at += length


def _runs(begins: list[int], lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Yields (begin, end) of the row ranges, those that follow on each other in the file as one."""
    begin, end = begins[0], begins[0] + lengths[0]
    for next_begin, length in zip(begins[1:], lengths[1:], strict=True):
        if next_begin != end:
            yield begin, end
            begin = next_begin
        end = next_begin + length
    yield begin, end
