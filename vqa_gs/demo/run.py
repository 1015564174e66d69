"""The embedded demonstration: a drawn world, regions from its pixels, pairs, three arms, a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import read_question_set
from vqa_gs.demo.stores import Bar, draw_and_extract
from vqa_gs.demo.world import World, WorldSettings, write_world
from vqa_gs.eval.report.write import summary_table, write_report
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.run_files import load_run
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import write_pair_table
from vqa_gs.training.config import RunConfig, config_from_dict
from vqa_gs.training.loop import train

ARMS = ("baseline", "pairs as data", "pairs + GS")
GS_WEIGHT = 5.0


def arm_config(world: World, store: Path, pairs: Path, arm: str, seed: int) -> RunConfig:
    """Returns the settings of one arm; the arms differ in the pairs and in the weight of gradient supervision only.

    Args:
        world: the drawn world.
        store: its region store.
        pairs: its pair table.
        arm: one of `ARMS`.
        seed: the run's seed.
    """

    def files(split: str) -> dict[str, str]:
        return {"questions": str(world.questions(split)), "annotations": str(world.annotations(split))}

    def looked_at(split: str) -> dict[str, str]:
        return {**files(split), "relevant_boxes": str(world.relevant_boxes(split))}

    data: dict[str, Any] = {
        "train": files("train"),
        "iid_val": looked_at("iid_val"),
        "tests": {"ood_test": looked_at("ood_test")},
        "features": str(store),
    }
    if arm != "baseline":
        data |= {"counterfactuals": files("edited"), "pairs": [str(pairs)]}
    return config_from_dict(
        {
            "name": arm,
            "seed": seed,
            "data": data,
            "model": {"hidden": 256, "word_dim": 100, "boxes": True, "standardize": True},
            "objectives": {"gradient_supervision": {"weight": GS_WEIGHT if arm == "pairs + GS" else 0.0}},
            "training": {
                "epochs": 40,
                "batch_size": 128,
                "pairs_per_batch": 25,
                "lr": 4e-3,
                "patience": 0,
                "log_every": 8,
            },
        }
    )


class Prepared(NamedTuple):
    """What the arms are trained on.

    Attributes:
        world: the drawn world.
        store: its region store.
        pairs: its pair table, originals and edits in the order of the world.
    """

    world: World
    store: Path
    pairs: Path


def prepare_demo(
    out: Path, console: Console, bar: Bar, settings: WorldSettings | None = None, noises: Sequence[float] = ()
) -> Prepared:
    """Writes the world, its region store and its pair table ``pairs.h5``; see `draw_and_extract`."""
    world, store = draw_and_extract(write_world, out, console, bar, settings, noises)
    pairs = out / "pairs.h5"
    originals = read_question_set(world.questions("train"), world.annotations("train"))
    edited = read_question_set(world.questions("edited"), world.annotations("edited"))
    sources = PairSources(originals, RegionStore(store), edited, world.edited_pairs)
    write_pair_table(pairs, BUILDERS["edited"].build(sources))
    return Prepared(world, store, pairs)


def run_demo(
    out: Path,
    seeds: int,
    console: Console,
    bar: Bar,
    settings: WorldSettings | None = None,
    epochs: int | None = None,
) -> Path:
    """Runs the demonstration; what is finished is not done again.

    Args:
        out: folder of the world, the store, the runs and the report.
        seeds: runs of each arm.
        console: where the table goes.
        bar: makes a progress bar.
        settings: of the world; the defaults when left out.
        epochs: of each run; those of `arm_config` when left out.

    Returns:
        The report's path.
    """
    if seeds < 1:
        raise UsageError(f"{seeds} seeds make no run", mend="give --seeds 1 or more")
    world, store, pairs = prepare_demo(out, console, bar, settings)
    runs = []
    for seed in range(seeds):
        for arm in ARMS:
            folder = out / "runs" / f"{arm.replace(' + ', '-').replace(' ', '-').lower()}-seed{seed}"
            console.print(f"training {arm}, seed {seed}", highlight=False)
            config = arm_config(world, store, pairs, arm, seed)
            if epochs is not None:
                config.training = replace(config.training, epochs=epochs)
            train(config, folder)
            runs.append(load_run(folder))
    console.print(summary_table(runs, console.width))
    title = "Demo world: accuracy in and out of domain"
    return write_report(runs, out / "report.html", title=title, options=Options(image_dir=out / "world" / "images"))[0]


__all__ = ["ARMS", "Prepared", "arm_config", "prepare_demo", "run_demo"]
