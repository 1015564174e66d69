"""Nested selection: arms are chosen on a study's other datasets, its last one is opened by ``--final``, and counted.

A study that names a ``final`` dataset trains on the others, which hold no question of its tests, until it is called
with ``--final``. Then one arm of each list is taken by its accuracy there, and what is opened, with what, is written
down: in ``final.json`` of the study's folder, and in the ledger ``openings.jsonl`` beside the study's file, which
belongs under version control and tells how often a test split was looked at.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import open_own, sha256_file, write_json
from vqa_gs.common.provenance import git_revision
from vqa_gs.eval.run_files import load_run
from vqa_gs.eval.runs import flatten
from vqa_gs.study.plan import Opening, PlannedRun, StudyPlan, opening_file
from vqa_gs.study.results import measures_of
from vqa_gs.study.spec import Choice, StudySpec

LEDGER = "openings.jsonl"


def open_final(plan: StudyPlan) -> Opening:
    """Chooses the arms of the final dataset, and records that its tests are opened.

    Called again with the same choice, settings and seeds it records nothing; with others it is another opening, and
    the arms of the earlier ones stay in the report.

    Raises:
        UsageError: the study names no final dataset, or the runs it chooses by are not all done.
        DataError: the ledger or the record of an earlier opening is damaged, or cannot be written.
    """
    final = plan.spec.final
    if final is None:
        raise UsageError("--final: the study names no final dataset", file=plan.spec.file, mend="add the part `final`")
    chosen = {name: _best(plan, choice, f"final.choose.{name}") for name, choice in final.choose.items()}
    arms = list(dict.fromkeys([*final.arms, *(max(values, key=lambda arm: values[arm]) for values in chosen.values())]))
    runs = [run for run in plan.every_run if run.dataset == final.dataset and run.arm.name in arms]
    settings = [(run.arm.name, run.config.to_dict()) for run in runs]
    opening = Opening(
        id=hashlib.sha256(msgspec.json.encode([str(plan.out.resolve()), settings])).hexdigest(),
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        study=plan.spec.file.name,
        dataset=final.dataset,
        arms=arms,
        seeds=list(dict.fromkeys(run.seed for run in runs)),
        chosen=chosen,
        splits=_test_hashes(runs),
        git_revision=git_revision(),
    )
    opening = recorded(opening, plan.spec.file.with_name(LEDGER))
    if plan.opening is not None:
        opening.arms = list(dict.fromkeys([*plan.opening.arms, *opening.arms]))
    write_json(opening_file(plan.out), msgspec.to_builtins(opening))
    return opening


def _best(plan: StudyPlan, choice: Choice, record: str) -> dict[str, float]:
    """Returns the mean of each of some arms over the runs of all datasets but the final one, in percent."""
    means = {}
    for arm in choice.among:
        runs = plan.chosen([arm])
        undone = [run for run in runs if run.status != "done"]
        if undone:
            raise UsageError(
                f"{undone[0].title} is not done, and arms are chosen by it",
                file=plan.spec.file,
                record=record,
                mend="run the study without --final first",
            )
        means[arm] = statistics.fmean(_value(run, choice, plan.spec, record) for run in runs)
    return means


def _value(run: PlannedRun, choice: Choice, spec: StudySpec, record: str) -> float:
    metrics = load_run(run.folder).metrics
    found = measures_of(metrics[choice.split]) if choice.split in metrics else {}
    quantity = found.get((choice.kind, choice.name))
    if quantity is None or quantity.value is None:
        kinds = ", ".join(sorted({f"{kind} {name}".strip() for kind, name in found})[:8]) or "no such split"
        raise UsageError(
            f"{run.title} has no measure {choice.kind} {choice.name!r} on {choice.split}",
            file=spec.file,
            record=record,
            mend=f"it has {kinds}",
        )
    return quantity.value


def _test_hashes(runs: Sequence[PlannedRun]) -> dict[str, str]:
    """Returns the SHA-256 of the first file of each test split; it stands for the split in the ledger."""
    found: dict[str, str] = {}
    for world, run in {run.world: run for run in reversed(runs)}.items():
        for name, part in asdict(run.config.data)["tests"].items():
            files = [value for value in flatten(part).values() if isinstance(value, str) and Path(value).is_file()]
            if files:
                found[name if world is None else f"{name}, world {world}"] = sha256_file(files[0])
    return found


def recorded(opening: Opening, ledger: Path) -> Opening:
    """Writes a line into the ledger, unless this opening has one, and counts the earlier ones of each split.

    Raises:
        DataError: the ledger is damaged, a link, or cannot be written.
    """
    try:
        with os.fdopen(open_own(ledger, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the shards of one study open it once
            file.seek(0)
            lines = file.read().splitlines()
            earlier = [_parsed(line, ledger, row) for row, line in enumerate(lines, 1)]
            same = next((one for one in earlier if one.id == opening.id), None)
            if same is not None:
                return same
            opening.before = {
                name: sum(digest in one.splits.values() for one in earlier) for name, digest in opening.splits.items()
            }
            file.write(msgspec.json.encode(opening) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror}", file=ledger, mend="keep the study's file where it can be"
        ) from error
    return opening


def _parsed(line: bytes, ledger: Path, row: int) -> Opening:
    try:
        return msgspec.json.decode(line, type=Opening)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"is no record of an opening: {error}", file=ledger, record=f"line {row}") from error


def told(opening: Opening) -> list[str]:
    """Returns what a report says of an opening, a sentence each."""
    counts = ", ".join(f"{name} {count}" for name, count in opening.before.items())
    found = [
        f"The tests of “{opening.dataset}” were opened on {opening.time[:10]} for {len(opening.arms)} arms;"
        f" openings before that by {LEDGER}: {counts or 'none'}"
    ]
    for name, values in opening.chosen.items():
        ranked = sorted(values.items(), key=lambda item: -item[1])
        listed = ", ".join(f"“{arm}” {value:.1f}" for arm, value in ranked)
        found.append(f"Chosen as “{name}” without those tests: “{ranked[0][0]}” (of {listed})")
    return found
