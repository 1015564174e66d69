"""`vqa-gs data propagate`: questions asked again about images whose objects give the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vqa_gs.cli.parsing import instantiated, new_parser
from vqa_gs.common.phases import phase


def propagate(words: Sequence[str]) -> None:
    """Writes questions, annotations and pairs of questions asked again."""
    from vqa_gs.common.files import write_json
    from vqa_gs.data.questions import read_question_set
    from vqa_gs.data.write_questions import write_question_set
    from vqa_gs.features.joined import open_stores
    from vqa_gs.pair_builders.classes.regions import ClassSettings
    from vqa_gs.pair_builders.propagation import Settings, propagate
    from vqa_gs.pair_builders.sources import PairSources

    parser = new_parser(
        "data propagate",
        "Ask questions again about images whose annotated objects give the answer.",
        "vqa-gs data propagate --questions Q.json --annotations A.json --features regions.h5"
        " --regions.names names.json --out asked",
        common=("regions.names", "regions.classes"),
    )
    add = parser.add_argument
    add("--questions", type=str, required=True, help="questions JSON; only their images are asked about")
    add("--annotations", type=str, required=True, help="annotations JSON")
    add("--features", type=str, nargs="+", required=True, help="region store, or several")
    add("--out", type=str, required=True, help="folder for questions.json, annotations.json and pairs.json")
    add("--seed", type=int, default=0, help="seed of which images are looked at")
    parser.add_class_arguments(ClassSettings, "regions")
    parser.add_class_arguments(Settings, "made")
    given = parser.parse_args(list(words))
    settings = instantiated(parser, given)
    with phase("reading the questions"):
        questions = read_question_set(given.questions, given.annotations)
    with open_stores(given.features) as store, phase("asking again"):
        found = propagate(PairSources(questions, store, regions=settings.regions), settings.made, given.seed)
    out = Path(given.out)
    files = out / "questions.json", out / "annotations.json"
    write_question_set(replace(found.questions, sources=questions.sources), *files)
    write_json(out / "pairs.json", [list(pair) for pair in found.pairs])
    told = ", ".join(f"{count:,} {rule}" for rule, count in sorted(found.made.items()))
    print(f"{files[0]}, {files[1]}, {out / 'pairs.json'}: {len(found.pairs):,} questions asked again: {told}")
