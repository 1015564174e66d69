"""`vqa-gs split image-groups`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli.parsing import new_parser
from vqa_gs.common.errors import DataError, UsageError


def image_groups(words: Sequence[str]) -> None:
    """Finds near-duplicate images, which must not be on both sides of a split."""
    from vqa_gs.data.image_groups import write_image_groups
    from vqa_gs.data.questions import read_question_set
    from vqa_gs.features.joined import open_stores
    from vqa_gs.pair_builders.nearest import image_groups as found

    parser = new_parser(
        "split image-groups",
        "Find groups of near-duplicate images, for changing-priors.",
        "vqa-gs split image-groups --questions Q.json --features regions.h5 --out groups.json",
    )
    parser.add_argument("--questions", type=str, nargs="+", required=True, help="questions JSON, or several")
    parser.add_argument("--out", type=str, required=True, help="JSON file to write: a list of lists of image ids")
    parser.add_argument(
        "--features", type=str, nargs="+", default=None, help="region store of their images, or several"
    )
    parser.add_argument(
        "--distance", type=float, default=None, help="1 - cosine of mean regions, at most this is alike"
    )
    parser.add_argument("--pictures", type=str, default=None, help="folder of the images, compared by their hashes")
    parser.add_argument(
        "--picture-ids", type=str, default="auto", help="how names give ids: auto, number, text or a file"
    )
    parser.add_argument("--hash-bits", type=int, default=8, help="of 64, at most so many may differ")
    given = parser.parse_args(list(words))
    if bool(given.features) != (given.distance is not None):
        raise UsageError("--features and --distance go together")
    if not given.features and not given.pictures:
        raise UsageError("nothing tells which images are alike", mend="give --features and --distance, or --pictures")
    ids = list(dict.fromkeys(image for file in given.questions for image in read_question_set(file).image_ids))
    links = []
    if given.features:
        store = open_stores(given.features)
        missing = next((image for image in ids if image not in store), None)
        if missing is not None:
            raise DataError(f"has no regions of image {missing!r}", file=given.features[0], mend="name all its stores")
        links.append(found.alike_regions(ids, store, given.distance))
    if given.pictures:
        links.append(found.alike_pictures(ids, Path(given.pictures), given.picture_ids, given.hash_bits))
    groups = found.image_groups(ids, links)
    write_image_groups(given.out, groups)
    grouped, largest = sum(map(len, groups)), max(map(len, groups), default=0)
    print(f"{given.out}: {len(groups):,} groups of {grouped:,} of {len(ids):,} images, the largest of {largest:,}")
