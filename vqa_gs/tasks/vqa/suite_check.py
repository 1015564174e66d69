"""What a suite asks of a run before it is trained: that testing will work; and on what epochs are chosen."""

from __future__ import annotations

from pathlib import Path

from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import sha256_file
from vqa_gs.eval.suite.loaded import LoadedTest, Reader
from vqa_gs.eval.suite.spec import Suite, split_of
from vqa_gs.features.joined import open_stores
from vqa_gs.features.store import RegionStore
from vqa_gs.tasks.vqa.settings import DataConfig, SplitConfig

_HELD_OUT = "iid_val"


def choose_on(suite: Suite, data: DataConfig) -> None:
    """Has epochs chosen on the suite's own in-domain questions, where it has some and the run names none.

    Whether they are there is found out by `require_suite`.
    """
    selection = suite.spec.selection
    if selection is not None and data.iid_val is None:
        files = (suite.find(names) or suite.first(names) for names in (selection.questions, selection.annotations))
        questions, annotations = map(str, files)
        data.iid_val = SplitConfig(questions, annotations)


def require_suite(suite: Suite, data: DataConfig) -> list[str]:
    """Refuses what testing on a suite would refuse, before anything is trained.

    Args:
        suite: the suite.
        data: where the run's data are; `choose_on` was called with it.

    Returns:
        What is not there, a sentence each.

    Raises:
        DataError: a file of the suite is damaged, or an image has no regions.
        UsageError: none of its tests is there, nor what it has epochs chosen on, or a test has the name of a split of
            the run and other questions.
    """
    from vqa_gs.tasks.vqa.examples import require_images  # here: torch is for those who train

    _require_selection(suite, data)
    stores: dict[Path | None, RegionStore] = {}
    reader = Reader(suite)
    there = False
    for test in reader:
        _refuse_other_split(suite, test, data)
        if test.features not in stores:
            stores[test.features] = open_stores([test.features] if test.features else data.stores())
        require_images(test.asked.questions, stores[test.features])
        there = True
    if not there:
        raise UsageError("none of its tests is there", file=suite.file, mend=f"look what {suite.folder} should hold")
    return reader.left_out


def _require_selection(suite: Suite, data: DataConfig) -> None:
    selection = suite.spec.selection
    if selection is None or data.iid_val is None:
        return
    own = (selection.questions, selection.annotations)
    given = (data.iid_val.questions, data.iid_val.annotations)
    absent = [names for names in own if suite.find(names) is None and str(suite.first(names)) in given]
    if absent:
        raise UsageError(
            f"the suite's own in-domain questions are not there: {suite.told(absent[0])}",
            file=suite.file,
            mend="put them there, or name others in data.iid_val",
        )


def _refuse_other_split(suite: Suite, test: LoadedTest, data: DataConfig) -> None:
    """Raises `UsageError` where training writes metrics of other questions under the name of a test."""
    own: dict[str, SplitConfig | None] = {_HELD_OUT: data.iid_val, **data.tests}
    for rule in test.spec.scoring:
        name = split_of(test.name, rule, test.spec.scoring[0])
        if name not in own:
            continue
        split, digests = own[name], list(test.asked.questions.sources.values())
        files = [] if split is None else [split.questions, split.annotations][: len(digests)]
        if [sha256_file(file) for file in files] != digests:
            raise UsageError(
                f"the test {name} is of other questions than the run's split of that name",
                file=suite.file,
                mend="rename the test in the suite file, or the split in data.tests",
            )
