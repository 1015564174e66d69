"""`vqa-gs pairs build | info | show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from vqa_gs.cli.parsing import dispatch, instantiated, new_parser, progress_bar
from vqa_gs.common.errors import UsageError
from vqa_gs.common.phases import phase

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from vqa_gs.data.questions import QuestionSet

_EXAMPLE = """
vqa-gs pairs build --kind same-question --questions train_questions.json \\
    --annotations train_annotations.json --features regions.h5 --out pairs.h5
"""
# Characters of all pictures in a page together: 400 of them, about.
_PICTURES = 16_000_000


def _add_questions(parser: ArgumentParser) -> None:
    """Adds the options that `_read_questions` reads, and those of the regions."""
    from vqa_gs.pair_builders.classes.regions import ClassSettings

    parser.add_argument("--questions", type=str, required=True, help="questions JSON")
    parser.add_argument("--annotations", type=str, required=True, help="annotations JSON")
    parser.add_argument("--edited-questions", type=str, default=None, help="counterfactual questions JSON")
    parser.add_argument("--edited-annotations", type=str, default=None, help="counterfactual annotations JSON")
    parser.add_argument("--features", type=str, nargs="+", default=None, help="region store, or several")
    parser.add_class_arguments(ClassSettings, "regions")


def _read_questions(given: Namespace) -> tuple[QuestionSet, QuestionSet | None]:
    from vqa_gs.data.edited import read_edited_set
    from vqa_gs.data.questions import read_question_set

    if bool(given.edited_questions) != bool(given.edited_annotations):
        raise UsageError("--edited-questions and --edited-annotations go together")
    edited = read_edited_set(given.edited_questions, given.edited_annotations) if given.edited_questions else None
    with phase("reading the questions"):
        return read_question_set(given.questions, given.annotations), edited


def build(words: Sequence[str]) -> None:
    """Builds a pair table; several kinds go into one."""
    from vqa_gs.features.joined import open_stores
    from vqa_gs.pair_builders.builder import BUILDERS
    from vqa_gs.pair_builders.describe import describe, render
    from vqa_gs.pair_builders.evidence_source import EVIDENCE
    from vqa_gs.pair_builders.part import Part
    from vqa_gs.pair_builders.selection_rule import SELECTIONS
    from vqa_gs.pair_builders.sources import PairSources
    from vqa_gs.pair_builders.table import concatenate, write_pair_table

    parser = new_parser("pairs build", "Build a table of counterfactual pairs.", _EXAMPLE, common=("regions.names",))
    kinds, rules = ", ".join(BUILDERS.names()), ", ".join(SELECTIONS.names())
    parser.add_argument("--kind", action="append", required=True, help=f"{kinds}; may be repeated")
    parser.add_argument(
        "--select",
        action="append",
        default=None,
        help=f"{rules}; may be repeated, applied in order; none: keep all. Where regions have names (--regions.names), "
        "kinds that look for partners select by named, agreed and cap unless told",
    )
    _add_questions(parser)
    parser.add_argument("--pair-list", type=str, default=None, help="JSON list of question id pairs")
    parser.add_argument("--glove", type=str, default=None, help="word vectors, for words near a class's name")
    parser.add_argument("--out", type=str, required=True, help="the table to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of what a builder chooses at random")
    taken = {"regions"}
    parts: list[Part[Any]] = [registry[name] for registry in (BUILDERS, SELECTIONS, EVIDENCE) for name in registry]
    for part in parts:
        if part.option in taken:
            raise UsageError(f"two parts would have the options --{part.option}", mend="give the plug-in another name")
        taken.add(part.option)
        parser.add_class_arguments(part.Settings, part.option)
    given = parser.parse_args(list(words))
    settings = instantiated(parser, given)
    told = given.select
    if told is not None and "none" in told:
        if len(told) > 1:
            raise UsageError("--select none keeps all pairs; other rules contradict it", mend="leave one of them out")
        told = []
    questions, edited = _read_questions(given)
    sources = PairSources(
        questions,
        open_stores(given.features) if given.features else None,
        edited,
        Path(given.pair_list) if given.pair_list else None,
        settings.regions,
        given.glove,
        {name: settings[EVIDENCE[name].option] for name in EVIDENCE},
    )
    # Before anything is built: a name that is not known would else be told after the first kind's minutes.
    builders, _ = [BUILDERS[kind] for kind in given.kind], [SELECTIONS[name] for name in told or ()]
    tables = []
    for builder in builders:
        with progress_bar(f"pairs: {builder.name}") as report:
            of_kind = settings[builder.option]
            # Elsewhere the names of regions say what to mask, not which pairs to choose.
            default = getattr(of_kind, "where_named", ()) if settings.regions.names else ()
            chosen = [(name, settings[SELECTIONS[name].option]) for name in (default if told is None else told)]
            table = builder.build(sources, of_kind, given.seed, report, chosen)
        # Each kind: one that a selection leaves nothing of would silently be missing.
        tables.append(table.require_pairs(given.out))
    table = concatenate(tables) if len(tables) > 1 else tables[0]
    with phase("writing the table"):
        write_pair_table(given.out, table)
    with phase("counting"):
        described = render(describe(table, questions, edited))
    print(described)


def info(words: Sequence[str]) -> None:
    """Prints the statistics of a pair table."""
    from vqa_gs.data.questions import read_question_set
    from vqa_gs.pair_builders.describe import describe, render
    from vqa_gs.pair_builders.table import read_pair_table

    parser = new_parser("pairs info", "Tell what a pair table holds.", "vqa-gs pairs info pairs.h5")
    parser.add_argument("table", type=str, help="the pair table")
    parser.add_argument("--questions", type=str, default=None, help="questions JSON, for counts by question type")
    parser.add_argument("--annotations", type=str, default=None, help="annotations JSON")
    given = parser.parse_args(list(words))
    questions = read_question_set(given.questions, given.annotations) if given.questions else None
    print(render(describe(read_pair_table(given.table), questions)))


def show(words: Sequence[str]) -> None:
    """Writes a page that shows pairs."""
    from vqa_gs.common.files import write_text
    from vqa_gs.features.joined import open_stores
    from vqa_gs.features.naming import PictureFolder
    from vqa_gs.features.thumbnails import Embedded
    from vqa_gs.pair_builders.classes.regions import read_region_classes
    from vqa_gs.pair_builders.ends import Ends
    from vqa_gs.pair_builders.gallery.content import Gallery, sample
    from vqa_gs.pair_builders.gallery.page import render_gallery
    from vqa_gs.pair_builders.table import read_pair_table

    parser = new_parser(
        "pairs show",
        "Write a page to look at pairs with; it needs nothing but itself.",
        "vqa-gs pairs show pairs.h5 --html pairs.html --questions Q.json --annotations A.json",
        common=("regions.names",),
    )
    parser.add_argument("table", type=str, help="the pair table")
    parser.add_argument("--html", type=str, required=True, help="the page to write")
    _add_questions(parser)
    parser.add_argument("--image-dir", type=str, default=None, help="a folder with the pictures, at any depth")
    parser.add_argument("--pairs", type=int, default=200, help="show so many at most, of all kinds alike")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pairs")
    given = parser.parse_args(list(words))
    regions = instantiated(parser, given).regions
    if given.pairs < 1:
        raise UsageError(f"{given.pairs} pairs cannot be shown", mend="give --pairs 1 or more")
    if regions.names is not None and given.features is None:
        raise UsageError("classes of regions need the regions", mend="name their store with --features")
    table = read_pair_table(given.table, require_pairs=True)
    ends = Ends(*_read_questions(given))
    store = open_stores(given.features) if given.features else None
    classes = read_region_classes(store, regions) if store is not None and regions.names is not None else None
    pictures = Embedded(PictureFolder(Path(given.image_dir)), _PICTURES) if given.image_dir else None
    content = Gallery(table, ends, store, classes, pictures)
    pairs = sample(table, given.pairs, given.seed)
    write_text(given.html, render_gallery(f"Pairs of {Path(given.table).name}", content.payload(pairs)))
    print(f"{given.html}: {len(pairs)} of {len(table)} pairs")


def run(words: Sequence[str]) -> None:
    """Runs a sub-command."""
    dispatch("pairs", {"build": build, "info": info, "show": show}, words)
