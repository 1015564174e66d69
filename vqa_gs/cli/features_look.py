"""`vqa-gs features info | check | stats | diff | show`: looking into region stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli.features_convert import images_of
from vqa_gs.cli.help import text_width
from vqa_gs.cli.parsing import new_parser, progress_bar
from vqa_gs.common.errors import DataError, UsageError

# Letters that the pictures of a page may take; groups of equal images on it, and images of each.
_PICTURES = 20_000_000
_GROUPS, _OF_GROUP = 12, 6


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
    wanted = images_of(given.questions)
    with progress_bar("checking") as progress:
        report = check_store(given.store, wanted, progress)
    print(render(report))
    if report.problems:
        number = len(report.problems)
        raise DataError(
            f"{number} problem{'s' if number > 1 else ''}, the first: {report.problems[0]}", file=given.store
        )
    print(f"{given.store}: in order")


def stats(words: Sequence[str]) -> None:
    """Tells what the numbers of a region store look like."""
    from vqa_gs.common.files import write_text
    from vqa_gs.features.naming import PictureFolder
    from vqa_gs.features.stats import facts
    from vqa_gs.features.stats import stats as stats_of
    from vqa_gs.features.stats_page import page
    from vqa_gs.features.thumbnails import Embedded

    parser = new_parser(
        "features stats",
        "Tell what a region store's numbers look like: lengths, dead dimensions, duplicates, images that stand out.",
        "vqa-gs features stats regions.h5 --html stats.html --image-dir images",
    )
    parser.add_argument("store", type=str, help="the store")
    parser.add_argument("--html", type=str, default=None, help="write a page")
    parser.add_argument("--image-dir", type=str, default=None, help="with the pictures of images that stand out")
    given = parser.parse_args(list(words))
    if given.image_dir and not given.html:
        raise UsageError("--image-dir is for the pictures of a page", mend="give --html too, or leave it out")
    folder = PictureFolder(Path(given.image_dir)) if given.image_dir else None
    with progress_bar("reading") as progress:
        found = stats_of(given.store, progress)
    width = max(len(name) for name, _ in facts(found))
    for name, text in facts(found):
        print(f"{name:<{width}}  {text}")
    if found.outliers:
        image_id, mean, distance = found.outliers[0]
        print(f"{'stands out':<{width}}  {image_id}: mean length {mean:.4g}, {distance:.1f} deviations from the median")
    if given.html:
        shown = [image_id for image_id, _, _ in found.outliers]
        shown += [image_id for same in found.duplicates[:_GROUPS] for image_id in same[:_OF_GROUP]]
        embedded = None if folder is None else Embedded(folder, _PICTURES)
        pictures = {} if embedded is None else {image_id: embedded[image_id] for image_id in shown}
        write_text(given.html, page(found, pictures))
        print(f"{given.html}: written")


def diff(words: Sequence[str]) -> None:
    """Compares two region stores."""
    from vqa_gs.features.diff import diff as diff_stores

    parser = new_parser(
        "features diff",
        "Compare two region stores: images, numbers, the largest difference, the first image that differs.",
        "vqa-gs features diff a.h5 b.h5",
    )
    parser.add_argument("a", type=str, help="a store")
    parser.add_argument("b", type=str, help="another one")
    given = parser.parse_args(list(words))
    with progress_bar("comparing") as progress:
        found = diff_stores(given.a, given.b, progress)
    for line in found.lines:
        print(line)
    if found.lines:
        raise DataError(f"the stores differ: {found.lines[0]}", file=given.b)
    print(f"the same {found.images:,} images, to the last bit")


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
