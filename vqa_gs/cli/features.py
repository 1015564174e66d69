"""`vqa-gs features extract | merge | convert | export | rename | info | check | stats | diff | show`."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.cli.features_convert import convert, export, rename
from vqa_gs.cli.features_extract import extract, merge
from vqa_gs.cli.features_look import check, diff, info, show, stats
from vqa_gs.cli.parsing import Handler, dispatch


def run(words: Sequence[str]) -> None:
    """Runs a sub-command."""
    handlers: dict[str, Handler] = {
        "extract": extract,
        "merge": merge,
        "convert": convert,
        "export": export,
        "rename": rename,
        "info": info,
        "check": check,
        "stats": stats,
        "diff": diff,
        "show": show,
    }
    dispatch("features", handlers, words)
