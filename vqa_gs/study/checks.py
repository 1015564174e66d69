"""Whether a study may go on in its folder: the files its runs name are there, and finished runs are still its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from vqa_gs.common.errors import DataError, UsageError, found_in
from vqa_gs.common.files import sha256_file
from vqa_gs.data.glove import require_glove
from vqa_gs.features.joined import open_stores
from vqa_gs.study.plan import PlannedRun
from vqa_gs.study.spec import StudySpec
from vqa_gs.study.tested import tested_on
from vqa_gs.tasks.vqa.suite_check import require_suite
from vqa_gs.training.run_dir import RunDirectory


def require_data(runs: Sequence[PlannedRun], spec: StudySpec) -> None:
    """Refuses settings that name files which are not there, once all that is to be prepared is prepared.

    Raises:
        UsageError: a file is missing, or a package that word vectors are in.
        DataError: the file of word vectors is missing.
    """
    for glove in dict.fromkeys(getattr(run.config.data, "glove", None) for run in runs):
        if glove:
            with found_in(spec.file):
                require_glove(glove)
    for run in runs:
        missing = next((file for file in run.config.data.files() if not Path(file).exists()), None)
        if missing is not None:
            raise UsageError(
                f"the file {missing} is not there",
                file=spec.file,
                record=f"arms.{run.arm.name}",
                mend=f"check the path, relative to {Path.cwd()}, or add a step to `prepare` that makes it",
            )


def require_suites(runs: Sequence[PlannedRun]) -> dict[str, list[str]]:
    """Refuses what testing on the suite would refuse.

    Args:
        runs: runs of a study; those that are done are passed over, and of those with the same files one is looked at.

    Returns:
        What is left out of each suite, by its title.

    Raises:
        DataError, UsageError: see `vqa_gs.tasks.vqa.suite_check.require_suite`.
    """
    left_out: dict[str, list[str]] = {}
    seen: set[str] = set()
    for run in runs:
        if run.suite is None or run.status == "done":
            continue
        data = run.config.data
        key = repr((run.suite.folder, data.stores(), data.iid_val, data.tests))
        if key in seen:
            continue
        seen.add(key)
        found = left_out.setdefault(run.suite.spec.title, [])
        found += [reason for reason in require_suite(run.suite, data) if reason not in found]
    return left_out


def refuse_linked(out: Path, runs: Sequence[PlannedRun]) -> None:
    """Raises DataError where a folder between a study's and a run's is a link: runs would be written elsewhere."""
    places = dict.fromkeys(place for run in runs for place in (run.folder, *run.folder.parents) if out in place.parents)
    for place in places:
        if place.is_symlink():
            raise DataError(
                "is a link, a folder of the study was expected",
                file=place,
                mend="remove it; --out itself may be a link",
            )


def require_ours(runs: Sequence[PlannedRun], spec: StudySpec) -> None:
    """Refuses runs whose settings or data changed since they were trained.

    Raises:
        UsageError: one did; the line says in what.
        DataError: the record of a finished run is damaged.
    """
    hashes: dict[tuple[str, ...], str | None] = {}
    for run in runs:
        try:
            RunDirectory(run.folder, run.config).refuse_other()
        except UsageError as error:
            raise UsageError(
                error.problem, file=spec.file, mend=f"remove {run.folder} to train it anew, or choose another --out"
            ) from error
        if run.status != "done":
            continue
        data = run.config.data
        tested = tested_on(run.folder, run.suite) if run.suite else ()
        for source, trained_on in (*_sources(run.folder).items(), *tested):
            # A run records one hash for its region stores, under the first one's name.
            stores = tuple(data.stores())
            key = stores if source in stores[:1] else (source,)
            if key not in hashes:
                hashes[key] = content_hash(key, stores=key == stores)
            if hashes[key] not in (None, trained_on):
                raise UsageError(
                    f"{source} changed since {run.folder} was trained",
                    file=spec.file,
                    mend="remove that folder to train it anew, or choose another --out",
                )


def _sources(folder: Path) -> dict[str, str]:
    try:
        record: Any = msgspec.json.decode((folder / "run.json").read_bytes())
        return {str(path): str(digest) for path, digest in record["sources"].items()}
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError("is no finished run's record", file=folder / "run.json", mend=f"remove {folder}") from error


def content_hash(paths: tuple[str, ...], stores: bool) -> str | None:
    """Returns the hash that a run records of a file, or of its region stores; None where one is not there any more."""
    if not all(Path(path).is_file() for path in paths):
        return None
    return open_stores(list(paths)).content_hash if stores else sha256_file(paths[0])
