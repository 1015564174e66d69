"""A session of a newcomer in a terminal, recorded as text to be looked at: `make session`.

Each command is run in a pseudo-terminal, at each width from the beginning, and what then stands on the screen is
written to ``OUT/session-WIDTH.txt``: tables as they are wrapped, bars as they were left, the line of a Ctrl-C.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.session.terminal import Said, run

_STUDY = """
title: three arms of the demo
base: {base}
settings: {{training: {{epochs: 3, checkpoint_every: 0, log_every: 2}}}}
seeds: [1, 2]
control: baseline
arms:
  baseline: {{}}
  a lower rate, with a long name that has to be wrapped somewhere: {{training.lr: 0.001}}
"""


class Command(NamedTuple):
    """One command of the session: its words after ``vqa-gs``, and whether Ctrl-C is pressed while it trains."""

    words: str
    stopped: bool = False


def commands(folder: str) -> Iterator[Command]:
    """Yields the session's commands, of a world of a few pictures in the folder."""
    demo, world = f"{folder}/demo", f"{folder}/demo/world"
    files = {
        split: f"--questions {world}/{split}_questions.json --annotations {world}/{split}_annotations.json"
        for split in ("train", "ood_test")
    }
    config = f"--config {demo}/runs/baseline-seed0/config.yaml"
    run_, other = f"{demo}/runs/pairs-gs-seed0", f"{demo}/runs/baseline-seed0"
    yield Command("")
    yield Command("--version")
    yield Command("trian --out x")
    yield Command("train --help")
    size = "--world.train_images 150 --world.iid_val_images 40 --world.ood_test_images 80 --world.edits 30"
    yield Command(f"demo {size} --seeds 1 --epochs 4 --out {demo}")
    yield Command(f"data check {files['train']} --features {demo}/regions.h5")
    yield Command(f"split check {world}/train_annotations.json {world}/ood_test_annotations.json")
    yield Command(f"features info {demo}/regions.h5")
    yield Command(f"features check {demo}/regions.h5")
    yield Command(f"pairs build --kind same-question {files['train']} --features {demo}/regions.h5 --out {folder}/p.h5")
    yield Command(f"pairs info {folder}/p.h5 {files['train']}")
    yield Command(f"train {config} --name mine --training.epochs 60 --out {folder}/mine", stopped=True)
    yield Command(f"train {config} --name mine --training.epochs 60 --out {folder}/mine")
    yield Command(
        f"predict --run {run_} --questions {world}/ood_test_questions.json --features {demo}/regions.h5"
        f" --out {folder}/ood.json --scores --top-k 5"
    )
    yield Command(
        f"evaluate {files['ood_test']} --train-annotations {world}/train_annotations.json --results {folder}/ood.json"
        f" --controls --out {folder}/metrics.json"
    )
    yield Command(f"compare {run_} {other}")
    yield Command(f"compare {run_} {folder}/nosuch")
    yield Command(f"report {demo} --out {folder}/report.html --csv --latex")
    yield Command(f"ask --run {run_} --image {world}/images/300001.jpg 'What color is the circle?'")
    yield Command(f"study --config {folder}/study.yaml --out {folder}/study --dry-run")
    yield Command(f"study --config {folder}/study.yaml --out {folder}/study")


def trains(raw: bytes) -> bool:
    """Whether a run has come to its third epoch."""
    return b"epoch 2:" in raw


def record(folder: Path, width: int, out: Path) -> None:
    """Runs the session in a folder, which is emptied, and writes what stood on the screen."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = folder / "demo" / "runs" / "baseline-seed0" / "config.yaml"
    (folder / "study.yaml").write_text(_STUDY.format(base=config))
    with open(out, "w", encoding="utf-8") as file:
        for number, command in enumerate(commands(str(folder)), 1):
            words = [sys.executable, "-m", "vqa_gs", *shlex.split(command.words)]
            said = run(words, width, interrupted=trains if command.stopped else None)
            file.write(_told(number, command, said, width))
            file.flush()
            print(f"{number:2} {said.code:4} {said.seconds:6.1f} s  vqa-gs {command.words}"[:120], flush=True)


def _told(number: int, command: Command, said: Said, width: int) -> str:
    lines = said.screen(width)
    escapes = sum(raw in said.raw for raw in (b"\x1b[1m", b"\x1b[3m", b"\x1b[31m"))
    about = f"exit {said.code}, {said.seconds:.1f} s, {'styled' if escapes else 'plain'}"
    return "\n".join([f"[{number}] $ vqa-gs {command.words}", *lines, f"[{about}]", "", ""])


def main() -> None:
    """Records the session at each width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/session"), help="folder of the recordings")
    parser.add_argument("--widths", type=int, nargs="+", default=[80, 200])
    given = parser.parse_args()
    for width in given.widths:
        given.out.mkdir(parents=True, exist_ok=True)
        file = given.out / f"session-{width}.txt"
        record(given.out / "work", width, file)
        print(file)


if __name__ == "__main__":
    main()
