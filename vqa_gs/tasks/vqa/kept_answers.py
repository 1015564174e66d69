"""Answers to a suite's tests as they are kept beside a run: taken again only where all they depend on is the same."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import msgspec

from vqa_gs import __version__
from vqa_gs.common.errors import DataError
from vqa_gs.common.files import sha256_file, write_bytes
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.eval.results import Result
from vqa_gs.eval.suite.loaded import LoadedTest
from vqa_gs.eval.suite_record import FOLDER
from vqa_gs.features.store import RegionStore
from vqa_gs.tasks.vqa.trained import TrainedModel

_FORMAT = "vqa-gs-suite-answers"
# What answers are computed by. Scoring and training are not: an answer does not change with them.
_PROGRAM = ("common", "contracts", "data", "features", "models", "objectives", "pipeline", "requirements", "tasks")
_OF_RUN = ("*.yaml", "*.json", "*.safetensors")
_NOT_OF_RUN = ("cost.json",)


class Rows(msgspec.Struct, omit_defaults=True):
    """Answers of a run to one test.

    Attributes:
        whole: to all its questions.
        relevant: from relevant regions alone, where the test has boxes.
        irrelevant: from irrelevant ones alone.
    """

    whole: list[Result]
    relevant: list[Result] = []
    irrelevant: list[Result] = []


class _Kept(msgspec.Struct):
    format: str
    inputs: dict[str, str]
    rows: Rows


def inputs_of(model: TrainedModel, test: LoadedTest, store: RegionStore, batch_size: int) -> dict[str, str] | None:
    """Returns all that a run's answers to a test depend on, hashes of it where it is long.

    That is the run's files, the questions as they are asked, the features by the hash that their store records, the
    boxes that matter, and what computes: the program, torch, the kind of device, and the questions at once, on which
    the last bits of a probability depend. None where a part of the model is a plug-in: what that depends on is not
    known.
    """
    if any(not type(part).__module__.startswith("vqa_gs.") for part in (model.model, *model.terms.values())):
        return None
    content = msgspec.json.encode(test.asked.questions.questions)
    found = {
        "run": _of_run(model.folder),
        "questions": hashlib.sha256(content).hexdigest(),
        "features": store.content_hash,
        "program": _program(),
        "torch": version("torch"),
        "device": f"{model.device.type}, {batch_size} at once, shared images: {model.predictor.share}",
    }
    if test.relevance is not None:
        found["relevant_boxes"] = sha256_file(test.relevance.source)
    return found


def read_kept(folder: Path, name: str, inputs: dict[str, str]) -> Rows | None:
    """Returns the answers to a test that are kept in a folder, None if none are, or they depend on something else."""
    file = _file(folder, name)
    try:
        kept = decode(read_content(file, "answers")[0], _Kept, file=file, expected="answers to a suite's test")
    except DataError:
        return None  # they are computed again
    return kept.rows if kept.format == _FORMAT and kept.inputs == inputs else None


def keep(folder: Path, name: str, inputs: dict[str, str], rows: Rows) -> None:
    """Keeps the answers to a test, unless a probability is no number, which no file can hold."""
    numbers = (value for row in rows.whole for value in (row.score, row.entropy) if value is not None)
    if all(map(math.isfinite, numbers)):
        write_bytes(_file(folder, name), msgspec.json.encode(_Kept(_FORMAT, inputs, rows)))


def _file(folder: Path, name: str) -> Path:
    return folder / FOLDER / "answers" / f"{name}.json"


def _of_run(folder: Path) -> str:
    return _hash_of(file for kind in _OF_RUN for file in sorted(folder.glob(kind)) if file.name not in _NOT_OF_RUN)


@cache
def _program() -> str:
    """Returns the hash of the source that answers are computed by."""
    files: list[Path] = []
    for name in _PROGRAM:
        module = import_module(f"vqa_gs.{name}")
        places = getattr(module, "__path__", None)
        files += sorted(file for place in places for file in Path(place).rglob("*.py")) if places else []
        files += [] if places else [Path(inspect.getfile(module))]
    return f"{__version__}, {_hash_of(files)}"


def _hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {sha256_file(file)}\n".encode())
    return digest.hexdigest()
