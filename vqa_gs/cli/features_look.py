"""`vqa-gs features info | check | show`: looking into a region store."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.cli.help import text_width
from vqa_gs.cli.parsing import new_parser, progress_bar
from vqa_gs.common.errors import DataError


def info(words: Sequence[str]) -> None:
    """Prints what a region store holds."""
    from vqa_gs.features.info import describe, render

    parser = new_parser(
        "features info",
        "Tell what a region store holds.",
        "vqa-gs features info regions.h5",
    )
    parser.add_argument("store", type=str, help="the store")
    print(render(describe(parser.parse_args(list(words)).store), text_width()))


def check(words: Sequence[str]) -> None:
    """Reads a whole region store and says what is wrong with it."""
    from vqa_gs.data.questions import read_questions
    from vqa_gs.features.check import check as check_store
    from vqa_gs.features.check import render

    parser = new_parser(
        "features check",
        "Check a region store: structure, hash, numbers, boxes, the images of questions.",
        "vqa-gs features check regions.h5 --questions Q.json",
    )
    parser.add_argument("store", type=str, help="the store")
    parser.add_argument(
        "--questions", nargs="+", type=str, default=[], help="questions JSON whose images must be there"
    )
    given = parser.parse_args(list(words))
    wanted = {path: [question.image_id for question in read_questions(path)] for path in given.questions}
    with progress_bar("checking") as progress:
        report = check_store(given.store, wanted, progress)
    print(render(report))
    if report.problems:
        number = len(report.problems)
        raise DataError(
            f"{number} problem{'s' if number > 1 else ''}, the first: {report.problems[0]}", file=given.store
        )
    print(f"{given.store}: in order")


def show(words: Sequence[str]) -> None:
    """Draws the boxes of an image on its picture."""
    from vqa_gs.features.show import show as show_image

    parser = new_parser(
        "features show",
        "Draw the boxes of an image on its picture.",
        "vqa-gs features show regions.h5 --image-dir images --image-id 42 --out boxes.png",
    )
    parser.add_argument("store", type=str, help="the store")
    parser.add_argument("--image-dir", type=str, required=True, help="a folder with the pictures, at any depth")
    parser.add_argument("--image-id", type=str, required=True, help="the image")
    parser.add_argument("--out", type=str, required=True, help="the PNG to write")
    parser.add_argument("--top", type=int, default=None, help="draw the first so many boxes only")
    given = parser.parse_args(list(words))
    print(show_image(given.store, given.image_dir, given.image_id, given.out, given.top))
