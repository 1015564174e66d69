"""A study's suite: whether a run was put to it, and putting it to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vqa_gs.common.errors import VqaGsError
from vqa_gs.eval.metrics_file import read_metrics
from vqa_gs.eval.suite.loaded import Reader
from vqa_gs.eval.suite.spec import Suite
from vqa_gs.eval.suite_record import read_record, record_file


def is_tested(folder: Path, suite: Suite) -> bool:
    """Whether a run was put to a suite as it is now, with every test that is there now."""
    try:
        record = read_record(record_file(folder, suite.name))
    except VqaGsError:
        return False
    tested = {test.splits[0] for test in record.tests if test.splits}
    return record.sha256 == suite.sha256 and set(Reader(suite).tests_there()) <= tested


def is_done(folder: Path, suite: Suite | None) -> bool:
    """Whether a run is trained, and put to the suite where there is one."""
    return (folder / "done").exists() and (suite is None or is_tested(folder, suite))


def put_to(folder: Path, suite: Suite, device: str) -> None:
    """Answers and scores the tests of a suite with a finished run; says nothing."""
    from vqa_gs.eval.suite.evaluate import evaluate_suite
    from vqa_gs.tasks.vqa.suite import RunAnswers
    from vqa_gs.training.opened import load

    evaluate_suite(suite, RunAnswers(load(folder, device), keep_in=folder), folder)


def tested_on(folder: Path, suite: Suite) -> Iterator[tuple[str, str]]:
    """Yields the files that a run was tested on, with the hashes they had."""
    try:
        record = read_record(record_file(folder, suite.name))
    except VqaGsError:
        return
    for test in record.tests:
        for split in test.splits[:1]:
            for name, source in read_metrics(folder / "metrics" / f"{split}.json").sources.items():
                if source.sha256 and name != "results":
                    yield source.path, source.sha256
