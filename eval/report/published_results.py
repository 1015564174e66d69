"""Published results to set beside one's own, as they were printed; each table is a JSON file in `published`.

They stand under their own names and are never averaged, ranked or compared with scores computed here: most were
selected on the test set itself, and not all say how they were scored.
"""

from __future__ import annotations

from importlib import resources
from typing import Literal

import msgspec

from vqa_gs.common.errors import UsageError

_FOLDER = "vqa_gs.eval.report.published"


class PublishedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One method's accuracies in percent, with the digits they were printed with.

    Attributes:
        method: the method's name, with its base model where papers give several.
        overall: on all questions.
        yes_no: on yes/no questions; None where it was not printed, as for the next two.
        number: on number questions.
        other: on the others.
        in_domain: of the same model, on the in-domain test that the table names; None where it was not printed.
        selected_on: ``validation`` if the method was selected on data held out from training, ``fixed`` if it is the
            last epoch of a number fixed before, ``test`` if on the test set, ``unknown`` if that is not known.
    """

    method: str
    overall: str
    yes_no: str | None = msgspec.field(name="yes/no", default=None)
    number: str | None = None
    other: str | None = None
    in_domain: str | None = None
    selected_on: Literal["validation", "fixed", "test", "unknown"]


class PublishedTable(msgspec.Struct, frozen=True):
    """Published results on one test set.

    Attributes:
        test: the test set's name.
        questions: how many questions it has.
        source: where the numbers come from.
        rows: the methods, as the table lists them.
        in_domain: the name of the in-domain test of the same models, "" for none.
    """

    test: str
    questions: int
    source: str
    rows: tuple[PublishedResult, ...]
    in_domain: str = ""


def published_names() -> list[str]:
    """Returns the names of the tables, sorted."""
    files = resources.files(_FOLDER).iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def load_published(name: str) -> PublishedTable:
    """Loads a table.

    Raises:
        UsageError: there is no table of that name.
    """
    if name not in published_names():
        names = ", ".join(published_names())
        raise UsageError(f"there are no published results called {name!r}", mend=f"choose one of {names}")
    return msgspec.json.decode((resources.files(_FOLDER) / f"{name}.json").read_bytes(), type=PublishedTable)
