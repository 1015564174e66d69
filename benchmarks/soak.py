"""Trains, predicts, evaluates, compares and reports in a loop, in one process, and watches what should not grow.

``python benchmarks/soak.py --minutes 60``. After a few rounds of warming up, resident memory, open descriptors,
threads, child processes and files in the folder for temporary ones are held against those of the end. Exits with 1
where one grew.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from statistics import median

from rich.console import Console

from vqa_gs.cli import main as command
from vqa_gs.cli.parsing import progress_bar
from vqa_gs.demo.run import Prepared, arm_config, prepare_demo
from vqa_gs.demo.settings import WorldSettings
from vqa_gs.training.config import save_config

WARM = 5
"""Rounds that fill caches."""

_ALLOWED_MB = 64.0
_SCORED = 3


def measured(temporary: Path) -> dict[str, float]:
    """Returns what is held at this moment."""
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "memory MB": int(fields["VmRSS"].split()[0]) / 1024,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": len(children),
        "temporary files": sum(1 for _ in temporary.rglob("*")),
    }


def round_of(prepared: Prepared, out: Path) -> None:
    """Does everything once, with the command line's own functions."""
    world, store = prepared.world, str(prepared.store)
    out.mkdir()
    asked = ["--questions", str(world.questions("ood_test"))]
    annotated = [*asked, "--annotations", str(world.annotations("ood_test"))]
    for seed in ("0", "1"):
        save_config(arm_config(*prepared, "pairs + GS", int(seed)), out / "config.yaml")
        small = ["--training.epochs", "1", "--model.hidden", "32", "--training.checkpoint_every", "1"]
        call(["train", "--config", str(out / "config.yaml"), "--out", str(out / f"run-seed{seed}"), *small])
    run, results = str(out / "run-seed0"), str(out / "results.json")
    grounding = ["--grounding", str(out / "grounding.h5"), "--scores"]
    call(["predict", "--run", run, *asked, "--features", store, "--out", results, *grounding])
    call(["evaluate", *annotated, "--results", results, "--out", str(out / "metrics.json")])
    call(["compare", run, str(out / "run-seed1"), "--bootstrap", "100", "--permutations", "100"])
    call(["report", run, str(out / "run-seed1"), "--out", str(out / "report.html"), "--markdown"])
    call(["features", "check", store])
    shutil.rmtree(out)


def call(words: list[str]) -> None:
    """Runs a command in silence; ends the soak where it fails."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        code = command(words)
    if code:
        raise SystemExit(f"{' '.join(words[:2])} ended with {code}")


def main() -> int:
    """Returns 1 where something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--images", type=int, default=120, help="training images of the drawn world")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        temporary = root / "temporary"
        temporary.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
        settings = WorldSettings(train_images=given.images, iid_val_images=60, ood_test_images=60, edits=50)
        prepared = prepare_demo(root / "demo", Console(stderr=True), progress_bar, settings)
        ends, rows = time.monotonic() + 60 * given.minutes, []
        while len(rows) < WARM + 2 * _SCORED or time.monotonic() < ends:
            round_of(prepared, root / "round")
            rows.append(measured(temporary))
            print(f"{len(rows)}: " + ", ".join(f"{name} {value:g}" for name, value in rows[-1].items()), flush=True)
    grew = False
    for name in rows[0]:
        # Medians, because an allocator gives memory back when it likes.
        early = median(row[name] for row in rows[WARM : WARM + _SCORED])
        late = median(row[name] for row in rows[-_SCORED:])
        allowed = _ALLOWED_MB if name == "memory MB" else 0
        grew = grew or late > early + allowed
        print(f"{name}: {early:g} after {WARM} rounds, {late:g} after {len(rows)}")
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
