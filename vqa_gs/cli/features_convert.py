"""`vqa-gs features convert | export`: between region stores and the files of other code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vqa_gs.cli.parsing import new_parser, progress_bar


def convert(words: Sequence[str]) -> None:
    """Converts foreign feature files into one region store."""
    from vqa_gs.features.convert import IDS, ON_ERROR
    from vqa_gs.features.convert import convert as convert_files
    from vqa_gs.features.formats import FORMATS

    parser = new_parser(
        "features convert",
        "Convert region features to the native store.",
        "vqa-gs features convert train36.hdf5 --out regions.h5",
    )
    parser.add_argument("sources", nargs="+", type=str, help="feature files or folders; several become one store")
    parser.add_argument("--out", type=str, required=True, help="the store to write")
    parser.add_argument(
        "--format", type=str, default="auto", help=f"auto (recognised) or one of {', '.join(FORMATS.names())}"
    )
    parser.add_argument("--dtype", choices=["float16", "float32"], default=None, help="default: the sources' own")
    parser.add_argument("--on-error", choices=list(ON_ERROR), default="fail", help="at a damaged record")
    parser.add_argument(
        "--ids", choices=list(IDS), default="auto", help="auto: COCO names become numbers; text: as they are written"
    )
    given = parser.parse_args(list(words))
    with progress_bar("converting") as report:
        summary = convert_files(
            given.sources, given.out, given.format, given.dtype, report, on_error=given.on_error, ids=given.ids
        )
    for text in summary.notes:
        print(f"note: {text}", file=sys.stderr)
    for text in summary.skipped:
        print(f"left out: {text}", file=sys.stderr)
    kept = f", with {', '.join(summary.columns)}" if summary.columns else ""
    print(
        f"{given.out}: {summary.images:,} images, {summary.regions:,} regions of {summary.dim} x {summary.dtype}{kept}"
    )
    if summary.skipped:
        print(f"{len(summary.skipped):,} damaged images were left out")


def export(words: Sequence[str]) -> None:
    """Writes a region store in the format of older code."""
    from vqa_gs.features.export import export as export_store

    parser = new_parser(
        "features export",
        "Write a region store in the format of older code.",
        "vqa-gs features export regions.h5 --format hdf5-36 --out train36.hdf5",
    )
    parser.add_argument("store", type=str, help="the store")
    parser.add_argument("--format", type=str, required=True, help="hdf5-36, hdf5-adaptive, tsv or tsv-10")
    parser.add_argument("--out", type=str, required=True, help="the file to write; an HDF5 file's index goes beside it")
    parser.add_argument(
        "--id-template", type=str, default="{}", help="image ids in a TSV, such as COCO_train2014_{:012d}"
    )
    given = parser.parse_args(list(words))
    with progress_bar("exporting") as report:
        lost = export_store(given.store, given.out, given.format, id_template=given.id_template, progress=report)
    for text in lost:
        print(f"note: {text}", file=sys.stderr)
    print(f"{given.out}: written as {given.format}")
