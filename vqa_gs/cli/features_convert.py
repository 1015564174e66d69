"""`vqa-gs features convert | export | rename`: between region stores and the files of other code, and other ids."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vqa_gs.cli.parsing import new_parser, progress_bar

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from vqa_gs.features.convert import ConvertSummary
    from vqa_gs.features.layout import ImageId

IDS_HELP = "auto (COCO names are numbers), number (the one at a name's end), text, or a JSON or CSV file of name, id"


def convert(words: Sequence[str]) -> None:
    """Converts foreign feature files into one region store."""
    from vqa_gs.features.convert import ON_ERROR, plan_conversion
    from vqa_gs.features.convert import convert as convert_files
    from vqa_gs.features.formats import FORMATS
    from vqa_gs.features.reading.grids import LAYOUTS, GridHints
    from vqa_gs.features.recognise import RECIPE, UnknownFormat

    parser = new_parser(
        "features convert",
        "Convert region features to the native store.",
        "vqa-gs features convert train36.hdf5 --out regions.h5",
    )
    add = parser.add_argument
    add("sources", nargs="+", type=str, help="feature files or folders; several become one store")
    add("--out", type=str, required=True, help="the store to write")
    add("--format", type=str, default="auto", help=f"auto (recognised) or one of {', '.join(FORMATS.names())}")
    add("--dtype", choices=["float16", "float32"], default=None, help="default: the sources' own")
    add("--on-error", choices=list(ON_ERROR), default="fail", help="at a damaged record")
    add("--ids", type=str, default="auto", help=IDS_HELP)
    add("--for", nargs="+", type=str, default=[], help="questions JSON whose images have to be there")
    add("--layout", choices=list(LAYOUTS), default=None, help="of grids: numbers before or behind rows and columns")
    add("--width", type=int, default=None, help="of grids: numbers a cell, which tell the axes apart")
    add("--dry-run", action="store_true", help="tell what would be read and written, and write nothing")
    given = parser.parse_args(list(words))
    hints, wanted = GridHints(given.layout, given.width), images_of(given["for"])
    try:
        if given.dry_run:
            _tell_plan(
                given,
                plan_conversion(
                    given.sources, given.out, given.format, given.dtype, ids=given.ids, hints=hints, wanted=wanted
                ),
            )
            return
        with progress_bar("converting") as report:
            summary = convert_files(
                given.sources,
                given.out,
                given.format,
                given.dtype,
                report,
                on_error=given.on_error,
                ids=given.ids,
                hints=hints,
                wanted=wanted,
            )
    except UnknownFormat:
        print(RECIPE, file=sys.stderr)
        raise
    _tell_notes(summary)
    for text in summary.skipped:
        print(f"left out: {text}", file=sys.stderr)
    print(
        f"{given.out}: {summary.images:,} images, {summary.regions:,} regions of {summary.dim} x"
        f" {summary.dtype}{_kept(summary)}"
    )
    if summary.skipped:
        print(f"{len(summary.skipped):,} damaged images were left out")


def images_of(files: Sequence[str]) -> dict[str, list[ImageId]]:
    """Returns the images that the questions of each file are about."""
    from vqa_gs.data.questions import read_questions

    return {path: [question.image_id for question in read_questions(path)] for path in files}


def _tell_plan(given: Namespace, plan: ConvertSummary) -> None:
    _tell_notes(plan)
    formats = ", ".join(dict.fromkeys(plan.formats))
    images = f"{plan.images:,} images" if plan.images else "images that only reading counts"
    print(f"recognised: {formats}, {len(plan.formats):,} source{'s' if len(plan.formats) > 1 else ''}")
    print(f"would write {given.out}: {images}, regions of {plan.dim} x {plan.dtype}{_kept(plan)}")
    if given["for"]:
        told = "all images are there" if plan.naming else "whether all images are there, only reading tells"
        print(f"{', '.join(given['for'])}: {told}")


def _tell_notes(summary: ConvertSummary) -> None:
    for text in summary.notes:
        print(f"note: {text}", file=sys.stderr)
    for text in summary.naming:
        print(text, file=sys.stderr)


def _kept(summary: ConvertSummary) -> str:
    return f", with {', '.join(summary.columns)}" if summary.columns else ""


def export(words: Sequence[str]) -> None:
    """Writes a region store in the format of other code."""
    from vqa_gs.features.export import export as export_store
    from vqa_gs.features.formats import writable_names

    parser = new_parser(
        "features export",
        "Write a region store in the format of other code.",
        "vqa-gs features export regions.h5 --format hdf5-36 --out train36.hdf5",
    )
    parser.add_argument("store", type=str, help="the store")
    parser.add_argument("--format", type=str, required=True, help=", ".join(writable_names()))
    parser.add_argument(
        "--out", type=str, required=True, help="the file (of npz: the folder) to write; an HDF5 file's index beside it"
    )
    parser.add_argument(
        "--id-template", type=str, default="{}", help="image ids in a TSV or names of files: COCO_train2014_{:012d}"
    )
    given = parser.parse_args(list(words))
    with progress_bar("exporting") as report:
        lost = export_store(given.store, given.out, given.format, id_template=given.id_template, progress=report)
    for text in lost:
        print(f"note: {text}", file=sys.stderr)
    print(f"{given.out}: written as {given.format}")


def rename(words: Sequence[str]) -> None:
    """Gives the images of a region store other ids."""
    from vqa_gs.features.rename import rename as rename_store

    parser = new_parser(
        "features rename",
        "Copy a region store under other image ids; features are not computed again.",
        "vqa-gs features rename regions.h5 --ids number --out renamed.h5",
    )
    parser.add_argument("store", type=str, help="the store")
    parser.add_argument("--ids", type=str, required=True, help=IDS_HELP)
    parser.add_argument("--out", type=str, required=True, help="the store to write")
    given = parser.parse_args(list(words))
    with progress_bar("renaming") as report:
        lines = rename_store(given.store, given.out, given.ids, report)
    print("\n".join([*lines, f"{given.out}: written"]))
