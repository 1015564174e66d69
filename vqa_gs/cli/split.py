"""`vqa-gs split changing-priors | image-groups | check`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from vqa_gs.cli.parsing import dispatch, new_parser
from vqa_gs.common.errors import UsageError
from vqa_gs.common.terminal import page


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _answers(top: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{answer} {100 * share:.0f}" for answer, share in top[:3])


def _print(shifts: Sequence[Any], summary: Mapping[str, Any], shown: int) -> None:
    table = Table(title="answer priors by question type, in %", box=None, pad_edge=False)
    for name in ("question type", "train", "test", "distance", "prior hits", "shared", "most common, train", "test"):
        table.add_column(name, justify="right" if name in ("train", "distance", "prior hits", "shared") else "left")
    for shift in shifts[:shown]:
        numbers = (shift.total_variation, shift.train_prior_hits, shift.shared)
        tops = (shift.top_train, shift.top_test)
        table.add_row(
            shift.question_type, f"{shift.train:,}", f"{shift.test:,}", *map(_percent, numbers), *map(_answers, tops)
        )
    console = page()
    console.print(table)
    if len(shifts) > shown:
        console.print(f"... and {len(shifts) - shown} more types (--top-types)")
    console.print(
        f"all types, weighted by test questions: total variation {_percent(summary['total_variation'])} %, "
        f"Jensen-Shannon {_percent(summary['jensen_shannon'])} % of a bit; training's most common answer is right for "
        f"{_percent(summary['train_prior_hits'])} % of the test questions (majority answers compared)"
    )


def _subsets(words: Sequence[str]) -> dict[str, set[Any]]:
    """Returns the question ids of each named subset, of all its files."""
    from vqa_gs.eval.results import read_id_list

    found: dict[str, set[Any]] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not re.fullmatch(r"\w[\w-]*", name):
            raise UsageError(f"--subset {word!r} is not name=FILE")
        found.setdefault(name, set()).update(read_id_list(file))
    return found


def changing_priors(words: Sequence[str]) -> None:
    """Re-splits a dataset so that answer priors change between training and test."""
    from vqa_gs.common.files import write_json
    from vqa_gs.common.provenance import environment
    from vqa_gs.data import changing_priors as splitter
    from vqa_gs.data.image_groups import read_image_groups
    from vqa_gs.data.priors import prior_shift, shift_document
    from vqa_gs.data.questions import read_question_sets
    from vqa_gs.data.split import hold_out, without_images
    from vqa_gs.data.write_questions import write_question_set

    parser = new_parser(
        "split changing-priors",
        "Split questions by groups of question type and answer.",
        "vqa-gs split changing-priors --questions Q.json --annotations A.json --out split",
    )
    parser.add_argument("--questions", type=str, nargs="+", required=True, help="questions JSON, or several")
    parser.add_argument("--annotations", type=str, nargs="+", required=True, help="annotations JSON, one each")
    parser.add_argument("--out", type=str, required=True, help="folder of the split's files")
    parser.add_argument(
        "--without-images-of", type=str, nargs="+", default=[], help="questions JSON whose images are left out"
    )
    parser.add_argument(
        "--subset",
        type=str,
        nargs="+",
        default=[],
        help="name=FILE: a list of question ids, split too; a name may have several files",
    )
    parser.add_argument(
        "--groups", type=str, default="question_type,answer", help=f"fields: {', '.join(splitter.GROUP_FIELDS)}"
    )
    parser.add_argument("--test-share", type=float, default=1 / 3, help="share of the questions that test gets")
    parser.add_argument(
        "--overlap", type=float, default=0.0, help="share of each group that goes to the other side, 0 to 0.5"
    )
    parser.add_argument(
        "--by",
        type=str,
        choices=["question", "image-group"],
        default="question",
        help="image-group: an image stays on one side, and its questions of the other side are left out",
    )
    parser.add_argument(
        "--image-groups", type=str, default=None, help="file of `split image-groups`: near-duplicates stay together too"
    )
    parser.add_argument("--val-share", type=float, default=0.1, help="share of training held out in-domain; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="seed of the assignment")
    parser.add_argument("--top-types", type=int, default=20, help="question types to print")
    given = parser.parse_args(list(words))
    if given.image_groups and given.by != "image-group":
        raise UsageError("--image-groups is of no use alone", mend="give --by image-group too")
    whole = read_question_sets(given.questions, given.annotations)
    whole = without_images(whole, given.without_images_of)
    subsets = _subsets(given.subset)
    fields = [name.strip() for name in given.groups.split(",") if name.strip()]
    outcome = splitter.changing_priors(whole, fields, given.test_share, given.seed, given.overlap)
    groups = read_image_groups(given.image_groups) if given.image_groups else {}
    if given.by == "image-group":
        outcome = splitter.one_side_an_image(whole, outcome, groups, given.seed)
    train, parts = whole.subset(outcome.train), {"ood_test": whole.subset(outcome.test)}
    if given.val_share:
        kept, held = hold_out(train, given.val_share, given.seed, groups)
        parts["iid_val"], train = train.subset(held), train.subset(kept)
    parts["train"] = train
    out = Path(given.out)
    for name, part in parts.items():
        write_question_set(part, out / f"{name}_questions.json.gz", out / f"{name}_annotations.json.gz")
        for subset, listed in subsets.items():
            if found := [key for key in part.question_ids if key in listed]:
                write_json(out / f"{name}_{subset}.json", found)
    assert train.annotations is not None
    shifts, summary = prior_shift(train.annotations, parts["ood_test"].annotations or [])
    test_images = set(parts["ood_test"].image_ids)
    summary |= {
        "groups": outcome.groups,
        "images_on_both_sides": len(test_images & set(train.image_ids)),
        "left_out": len(whole) - len(outcome.train) - len(outcome.test),
        "questions": {name: len(part) for name, part in parts.items()},
    }
    settings = {
        "without_images_of": given.without_images_of,
        "groups": fields,
        "test_share": given.test_share,
        "overlap": given.overlap,
        "by": given.by,
        "image_groups": given.image_groups,
        "val_share": given.val_share,
        "seed": given.seed,
    }
    document = shift_document(shifts, summary)
    write_json(
        out / "split.json", {"settings": settings, "sources": whole.sources, "environment": environment(), **document}
    )
    _print(shifts, summary, given.top_types)
    print(
        f"{out}: "
        + ", ".join(f"{name} {len(parts[name]):,}" for name in ("train", "iid_val", "ood_test") if name in parts)
        + " questions"
        + (f", {summary['left_out']:,} left out" if summary["left_out"] else "")
    )


def check(words: Sequence[str]) -> None:
    """Measures how far the answer priors of two annotation files lie apart."""
    from vqa_gs.common.files import write_json
    from vqa_gs.data.priors import prior_shift, shift_document
    from vqa_gs.data.questions import read_annotations

    parser = new_parser(
        "split check",
        "Tell how far the answer priors of two files differ.",
        "vqa-gs split check train_annotations.json test_annotations.json",
    )
    parser.add_argument("train", type=str, help="annotations JSON of the training split")
    parser.add_argument("test", type=str, help="annotations JSON of the test split")
    parser.add_argument("--out", type=str, default=None, help="JSON file for the whole measurement")
    parser.add_argument("--top-types", type=int, default=20, help="question types to print")
    given = parser.parse_args(list(words))
    if given.top_types < 1:
        raise UsageError(f"--top-types {given.top_types} prints nothing", mend="give 1 or more")
    shifts, summary = prior_shift(read_annotations(given.train), read_annotations(given.test))
    if given.out:
        write_json(given.out, shift_document(shifts, summary))
    _print(shifts, summary, given.top_types)


def run(words: Sequence[str]) -> None:
    """Runs a sub-command."""
    from vqa_gs.cli.split_images import image_groups

    dispatch("split", {"changing-priors": changing_priors, "image-groups": image_groups, "check": check}, words)
