"""`vqa-gs demo`: the whole path on a world it draws itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli.parsing import new_parser, progress_bar
from vqa_gs.common.errors import UsageError
from vqa_gs.common.terminal import page
from vqa_gs.demo.objects import ObjectWorldSettings
from vqa_gs.demo.settings import WorldSettings


def run(words: Sequence[str]) -> None:
    """Draws the world, trains three arms, prints a table and the report's path."""
    parser = new_parser(
        "demo",
        "Train and compare three arms on a drawn world of changing priors.",
        "vqa-gs demo\nvqa-gs demo --world.train_images 300 --epochs 12 --out runs/small    # a quicker one",
        common=("world.train_images", "world.seed"),
    )
    parser.add_argument("--out", type=str, default="runs/demo", help="folder for everything the demo makes")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm; a verdict needs three")
    parser.add_argument("--epochs", type=int, default=None, help="epochs of each run (default: what the arms need)")
    parser.add_class_arguments(WorldSettings, "world")
    parser.add_argument("--prepare-only", action="store_true", help="write world, regions and pairs, train nothing")
    objects = "write the world of named objects (COCO instances, one object removed) and its regions, train nothing"
    parser.add_argument("--objects-only", action="store_true", help=objects)
    parser.add_class_arguments(ObjectWorldSettings, "objects")
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[], help="without training: stores with noise of these strengths"
    )
    given = parser.parse_args(list(words))
    if given.noise and not (given.prepare_only or given.objects_only):
        raise UsageError("--noise goes with --prepare-only or --objects-only")
    from vqa_gs.demo.object_world import write_object_world
    from vqa_gs.demo.run import prepare_demo, run_demo
    from vqa_gs.demo.stores import draw_and_extract

    console = page()
    if given.objects_only:
        settings = ObjectWorldSettings(**vars(given.objects))
        drawn, store = draw_and_extract(
            write_object_world, Path(given.out), console, progress_bar, settings, given.noise
        )
        print(f"{drawn.root}, {store}")
        return
    world = WorldSettings(**vars(given.world))
    if given.prepare_only:
        prepared = prepare_demo(Path(given.out), console, progress_bar, world, given.noise)
        print(f"{prepared.world.root}, {prepared.store}, {prepared.pairs}")
        return
    report = run_demo(Path(given.out), given.seeds, console, progress_bar, world, given.epochs)
    print(f"report: {report}")
