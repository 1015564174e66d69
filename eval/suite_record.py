"""What a suite was, beside the metrics it left in a folder: its tests in order, what was left out, and why."""

from __future__ import annotations

from pathlib import Path

import msgspec
from vqa_gs.eval.runs import Domain

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, write_json
from vqa_gs.common.names import require_file_names
from vqa_gs.data.json_files import decode_any, read_content

FORMAT = "vqa-gs-suite-record"
FOLDER = "suites"


class RecordedTest(msgspec.Struct, frozen=True):
    """One test as it was evaluated.

    Attributes:
        title: what tables call it.
        side: on which side of the shift it lies.
        splits: what its metrics are filed under, one for each rule, the main one first.
        published: the table of published results on it.
    """

    title: str
    side: Domain
    splits: list[str]
    published: str | None = None


class SuiteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A suite as it was evaluated.

    Attributes:
        title: the suite's title.
        file: the suite file.
        sha256: its hash.
        tests: those that were there, in order.
        left_out: what was not, a sentence each.
        notes: what to beware of, a sentence each.
        answers: ``as written``, or ``free-form`` where short answers were taken out of long ones.
    """

    title: str
    file: str
    sha256: str
    tests: list[RecordedTest]
    left_out: list[str] = []
    notes: list[str] = []
    answers: str = "as written"


def record_file(folder: Path, name: str) -> Path:
    """Returns where the record of a suite lies in a run's folder."""
    return folder / FOLDER / f"{name}.json"


def write_record(folder: Path, name: str, record: SuiteRecord) -> Path:
    """Writes the record of a suite into a run's folder, and returns its path."""
    file = record_file(folder, name)
    write_json(file, {"format": FORMAT, **msgspec.to_builtins(record)})
    return file


def read_record(path: StrPath) -> SuiteRecord:
    """Reads a record.

    Raises:
        DataError: it is missing, damaged or of another layout.
    """
    raw = decode_any(read_content(path, "suite record")[0], file=path, expected="a suite record")
    found = raw.get("format") if isinstance(raw, dict) else None
    mend = "make it again with `vqa-gs evaluate --suite`"
    if found != FORMAT:
        raise DataError(f"no suite record: its format is {found!r}, expected {FORMAT!r}", file=path, mend=mend)
    try:
        record = msgspec.convert(raw, SuiteRecord)
    except msgspec.ValidationError as error:
        raise DataError(f"no suite record of this version: {error}", file=path, mend=mend) from error
    require_file_names([split for test in record.tests for split in test.splits], str(path))
    return record


def read_records(folder: Path) -> dict[str, SuiteRecord]:
    """Reads the records in a run's folder, by the suites' names."""
    return {file.stem: read_record(file) for file in sorted((folder / FOLDER).glob("*.json"))}
