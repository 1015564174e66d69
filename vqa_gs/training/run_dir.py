"""A run directory: what it records, its logs, its checkpoints."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import torch

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import atomic_path, sync_folder, write_json, write_text
from vqa_gs.common.provenance import environment
from vqa_gs.training.config import RunConfig, load_config, save_config

Row = dict[str, Any]


class RunDirectory:
    """The folder of one run.

    Args:
        path: the folder; made when it does not exist.
        config: the run's settings; those of an earlier call for the same folder must be equal.

    Raises:
        UsageError: the folder holds a run with other settings, or something else.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        saved = path / "config.yaml"
        if saved.exists():
            earlier = load_config(saved)
            if earlier != config:
                raise UsageError(
                    f"{path} holds a run with other settings ({_first_difference(earlier, config)})",
                    mend="choose another --out, or remove the folder",
                )
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"{path} exists and is no run directory", mend="choose another --out")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot be made: {error.strerror}", file=path, mend="choose a writable place") from error
        if not saved.exists():
            with atomic_path(saved) as temporary:
                save_config(config, temporary)

    @property
    def is_done(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "done").exists()

    def record(self, facts: dict[str, Any]) -> None:
        """Writes run.json: the facts, versions, machine and git revision."""
        write_json(self.path / "run.json", {**facts, "environment": environment()})

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Writes the checkpoint atomically."""
        with atomic_path(self.path / "checkpoint.pt") as temporary:
            torch.save(state, temporary)

    def load_checkpoint(self, device: torch.device) -> dict[str, Any] | None:
        """Returns the checkpoint, None where there is none.

        Raises:
            DataError: the file is damaged; only tensors and plain containers are ever loaded from it.
        """
        file = self.path / "checkpoint.pt"
        if not file.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # a damaged archive raises many types
            raise DataError(
                f"is not a readable checkpoint: {error}", file=file, mend="remove it to train from the start"
            ) from error
        return state

    def finish(self) -> None:
        """Marks the run as complete; the checkpoint is not needed any more."""
        write_text(self.path / "done", time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))
        (self.path / "checkpoint.pt").unlink(missing_ok=True)
        sync_folder(self.path)


def _first_difference(one: RunConfig, other: RunConfig) -> str:
    def walk(a: Any, b: Any, name: str) -> str | None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in {**a, **b}:
                found = walk(a.get(key), b.get(key), f"{name}.{key}" if name else key)
                if found:
                    return found
            return None
        return None if a == b else f"{name} was {a!r}, is {b!r}"

    return walk(one.to_dict(), other.to_dict(), "") or "they differ"


class CsvLog:
    """Rows as CSV: held as a list, written whole, so that a resumed run's log is that of an uninterrupted one.

    Args:
        path: the file.
        columns: its columns.
        rows: rows of before the interruption.
    """

    def __init__(self, path: Path, columns: list[str], rows: list[Row]) -> None:
        self.path, self.columns, self.rows = path, columns, list(rows)
        text = io.StringIO()
        csv.writer(text).writerow(columns)
        for row in self.rows:
            csv.writer(text).writerow([row.get(column, "") for column in columns])
        write_text(path, text.getvalue())

    def append(self, row: Row) -> None:
        """Adds a row at the end of the file."""
        self.rows.append(row)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([row.get(column, "") for column in self.columns])


class Averages:
    """Running averages of what objectives report, as exact sums in float64."""

    def __init__(self, state: dict[str, list[float]] | None = None) -> None:
        self.values: dict[str, list[float]] = {name: list(pair) for name, pair in (state or {}).items()}

    def add(self, sums: dict[str, float], counts: dict[str, float]) -> None:
        """Adds sums and counts of the same names."""
        for name, total in sums.items():
            pair = self.values.setdefault(name, [0.0, 0.0])
            pair[0] += total
            pair[1] += counts[name]

    def means(self) -> dict[str, float]:
        """Returns sum / count of each name that was counted at all."""
        return {name: total / count for name, (total, count) in self.values.items() if count > 0}
