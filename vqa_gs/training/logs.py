"""The logs of a run: CSV and TensorBoard files that a resumed run continues as if it had never stopped."""

from __future__ import annotations

import csv
import io
import os
import socket
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqa_gs.common.files import append_text, write_text, writing
from vqa_gs.training.processes import Processes

Row = dict[str, Any]


class CsvLog:
    """Rows as CSV. The rows of before an interruption are written anew, so what came after the checkpoint is gone.

    Args:
        path: the file.
        columns: its columns.
        rows: rows of before the interruption.
    """

    def __init__(self, path: Path, columns: list[str], rows: list[Row]) -> None:
        self.path, self.columns = path, columns
        write_text(path, self._text([dict(zip(columns, columns, strict=True)), *rows]))

    def append(self, row: Row) -> None:
        """Adds a row at the end of the file."""
        with writing(self.path):
            append_text(self.path, self._text([row]))

    def _text(self, rows: list[Row]) -> str:
        text = io.StringIO()
        csv.writer(text).writerows([row.get(column, "") for column in self.columns] for row in rows)
        return text.getvalue()


class EventLog:
    """Scalars in TensorBoard's format.

    TensorBoard's own writer hands events to a thread, which reports a full disk on standard error and nowhere else.
    This one writes where it is called.

    Args:
        folder: the folder TensorBoard is pointed at.
        first_step: events of earlier files from this step on are void: they came after the checkpoint.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        # Not at the top: importing TensorBoard takes a second that other commands need not wait.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        self._path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        with writing(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "xb")  # noqa: SIM115
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if first_step:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=first_step, session_log=start))

    def add(self, values: dict[str, float], step: int) -> None:
        """Adds scalars by name."""
        from torch.utils.tensorboard.summary import scalar

        for name, value in values.items():
            self._write(self._event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        with writing(self._path):
            self._records.flush()

    def close(self) -> None:
        """Closes the file."""
        with writing(self._path):
            self._records.close()

    def _write(self, event: Any) -> None:
        with writing(self._path):
            self._records.write(event.SerializeToString())


class Averages:
    """Running averages of what objectives report, as exact sums in float64.

    Args:
        state: ``values`` of before an interruption.

    Attributes:
        values: sum and count by name.
    """

    def __init__(self, state: dict[str, list[float]] | None = None) -> None:
        self.values: dict[str, list[float]] = {name: list(pair) for name, pair in (state or {}).items()}

    def add(self, name: str, total: float, count: float) -> None:
        """Adds a sum and what it is to be divided by."""
        pair = self.values.setdefault(name, [0.0, 0.0])
        pair[0] += total
        pair[1] += count

    def means(self) -> dict[str, float]:
        """Returns sum / count of each name that was counted at all."""
        return {name: total / count for name, (total, count) in self.values.items() if count > 0}


class Meter:
    """Averages over the steps since the last log row and over those since the epoch began, of all processes.

    What steps report stays on their device until it is asked for, so that a GPU is not waited for at every step.

    Args:
        processes: all of them.
        recent: sums and counts since the last log row, of before an interruption.
        epoch: sums and counts since the epoch began, of before an interruption.
    """

    def __init__(self, processes: Processes, recent: Row | None = None, epoch: Row | None = None) -> None:
        self.processes = processes
        self.recent, self.epoch = Averages(recent), Averages(epoch)
        self._names: list[str] = []
        self._waiting: list[Tensor] = []

    def add(self, sums: dict[str, Tensor], counts: dict[str, Tensor]) -> None:
        """Takes a step's sums and counts; every step and process reports the same names."""
        self._names = list(sums)
        values = [*sums.values(), *(counts[name] for name in self._names)]
        self._waiting.append(torch.stack([value.detach().double() for value in values]))

    def collect(self) -> None:
        """Moves what steps reported from their device into the averages."""
        if not self._waiting:
            return
        count = len(self._names)
        for row in self.processes.sum(torch.stack(self._waiting).cpu()).tolist():
            for name, total, number in zip(self._names, row[:count], row[count:], strict=True):
                self.recent.add(name, total, number)
                self.epoch.add(name, total, number)
        self._waiting.clear()

    def take_recent(self) -> dict[str, float]:
        """Returns the means since the last call and starts anew."""
        self.collect()
        means, self.recent = self.recent.means(), Averages()
        return means

    def take_epoch(self) -> dict[str, float]:
        """Returns the means of the epoch and starts anew."""
        self.collect()
        means, self.epoch = self.epoch.means(), Averages()
        return means
