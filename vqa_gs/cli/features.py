"""`vqa-gs features convert | info`."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.cli._shared import dispatch, new_parser, progress_bar


def convert(words: Sequence[str]) -> None:
    """Converts foreign feature files into one region store."""
    from features.convert import convert as convert_files

    parser = new_parser("features convert", "Convert region features to the native store.")
    parser.add_argument("sources", nargs="+", type=str, help="feature files; several become one store")
    parser.add_argument("--out", type=str, required=True, help="the store to write")
    parser.add_argument("--format", type=str, default="auto", help="the sources' format (default: recognised)")
    parser.add_argument("--dtype", choices=["float16", "float32"], default=None, help="default: the sources' own")
    given = parser.parse_args(list(words))
    with progress_bar("converting") as report:
        summary = convert_files(given.sources, given.out, given.format, given.dtype, report)
    print(f"{given.out}: {summary.images:,} images, {summary.regions:,} regions of {summary.dim} x {summary.dtype}")


def info(words: Sequence[str]) -> None:
    """Prints what a region store holds."""
    from features.info import describe, render

    parser = new_parser("features info", "Tell what a region store holds.")
    parser.add_argument("store", type=str, help="the store")
    print(render(describe(parser.parse_args(list(words)).store)))


def run(words: Sequence[str]) -> None:
    """Runs a sub-command."""
    dispatch("features", {"convert": convert, "info": info}, words)
