"""`vqa-gs features extract | merge | convert | export | info | check | show`."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.cli.features_convert import convert, export
from vqa_gs.cli.features_extract import extract, merge
from vqa_gs.cli.features_look import check, info, show
from vqa_gs.cli.parsing import Handler, dispatch


def run(words: Sequence[str]) -> None:
    """Runs a sub-command."""
    handlers: dict[str, Handler] = {
        "extract": extract,
        "merge": merge,
        "convert": convert,
        "export": export,
        "info": info,
        "check": check,
        "show": show,
    }
    dispatch("features", handlers, words)
