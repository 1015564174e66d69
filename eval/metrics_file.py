"""The metrics file: what `vqa-gs evaluate` and training write is what every report reads."""

from __future__ import annotations

from typing import Any

import msgspec
from vqa_gs.eval.breakdown import BREAKDOWNS
from vqa_gs.eval.runs import METRICS_FORMAT, SplitMetrics

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file, write_json
from vqa_gs.data.json_files import decode_any, read_content

_MEND = "make it again with `vqa-gs evaluate`"


def read_text(path: StrPath, what: str) -> str:
    """Reads a text file.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    file = require_file(path, what)
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the {what} file cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the {what} file is not UTF-8 text", file=file, mend="make it again") from error


def read_metrics(path: StrPath) -> SplitMetrics:
    """Reads a metrics file; breakdowns that are not known here are left out.

    Raises:
        DataError: it is missing, damaged, or not of this format.
    """
    raw = decode_any(read_content(path, "metrics")[0], file=path, expected="metrics")
    found = raw.get("format") if isinstance(raw, dict) else None
    if found != METRICS_FORMAT:
        raise DataError(
            f"not a metrics file: its format is {found!r}, expected {METRICS_FORMAT!r}", file=path, mend=_MEND
        )
    try:
        metrics = msgspec.convert(raw, SplitMetrics)
        sections = {
            name: BREAKDOWNS[name].from_json(section)
            for name, section in metrics.breakdowns.items()
            if name in BREAKDOWNS.names()
        }
    except msgspec.ValidationError as error:
        raise DataError(f"not a metrics file of this version: {error}", file=path, mend=_MEND) from error
    return msgspec.structs.replace(metrics, breakdowns=sections)


def metrics_to_json(metrics: SplitMetrics) -> dict[str, Any]:
    """Returns the content of a metrics file as plain containers."""
    sections = {name: section.to_json() for name, section in metrics.breakdowns.items()}
    plain = msgspec.to_builtins(msgspec.structs.replace(metrics, breakdowns=sections))
    return {
        "format": METRICS_FORMAT,
        **{name: value for name, value in plain.items() if value is not None or name == "overall"},
    }


def write_metrics(path: StrPath, metrics: SplitMetrics) -> None:
    """Writes a metrics file, whole or not at all."""
    write_json(path, metrics_to_json(metrics))
