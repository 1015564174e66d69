"""The VQA-CP v2 recipe on made-up files of its size and form: seconds, memory, and a forecast of the whole.

    python benchmarks/full_size.py --dim 16                # 438,183 + 219,928 questions, 123,287 images, narrow regions
    python benchmarks/full_size.py                         # 36 x 2048 float16 numbers an image: 18 GB of disk
    python benchmarks/full_size.py --scale 0.01 --dim 16   # a hundredth, as the tests have it
    python benchmarks/full_size.py --questions 0.1         # all images, a tenth of the questions

Every command runs in a process of its own, as a user would call it. Beside its seconds stand its peak memory and its
longest silence: how long it wrote nothing. Up to --dim 64 the store is converted from two TSV files
of LXMERT's form; at 2048 these would have 50 GB, so it is written as it is.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import numpy as np
from made_up import TEST, TRAIN, images_of, write_questions, write_store, write_tsv

CONFIG = Path(__file__).parents[1] / "configs" / "vqa-cp-v2.yaml"
WIDEST_TSV = 64


@dataclass
class Ran:
    """What a command took: seconds by the clock and of all cores, GB at its peak, its longest silence in seconds."""

    seconds: float
    cpu: float
    memory: float
    silence: float


def run(words: list[str], folder: Path) -> Ran:
    """Runs a command, shows what it tells, and measures it."""
    print(f"\n$ vqa-gs {' '.join(words)}", flush=True)
    start = last = time.perf_counter()
    silence = 0.0
    environment = {**os.environ, "VQA_DATA": str(folder), "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vqa_gs", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )

    def listen() -> None:
        nonlocal last, silence
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter()
            silence, last = max(silence, now - last), now
            print(f"  {now - start:7.1f} s  {line.decode('utf-8', 'replace').rstrip()}", flush=True)

    listener = Thread(target=listen)
    listener.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    listener.join()
    ended = time.perf_counter()
    if process.returncode:
        sys.exit(f"vqa-gs {words[0]} ended with code {process.returncode}")
    ran = Ran(ended - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20, max(silence, ended - last))
    print(f"  took {ran.seconds:.1f} s, {ran.cpu:.1f} CPU s, {ran.memory:.2f} GB at its peak", flush=True)
    return ran


def make(folder: Path, scale: float, questions: float, dim: int) -> tuple[int, int]:
    """Writes the files; returns the numbers of questions of training and test."""
    made = write_questions(folder, questions, images_of(scale))
    if dim <= WIDEST_TSV:
        write_tsv(folder, scale, dim)
    else:
        write_store(folder / "regions.h5", images_of(scale), dim)
    return len(made["train"]), len(made["test"])


def commands(folder: Path, out: Path, given: argparse.Namespace) -> dict[str, list[str]]:
    """Returns the command lines of the recipe, by what they are called in the table."""
    names = {split: [folder / f"vqacp_v2_{split}_{kind}.json" for kind in ("questions", "annotations")]
             for split in ("train", "test")}  # fmt: skip
    asked = {split: ["--questions", str(one[0]), "--annotations", str(one[1])] for split, one in names.items()}
    store, pairs = str(folder / "regions.h5"), str(folder / "pairs.h5")
    stored = ["--features", store]
    answers = str(out / "predictions" / "ood_test.json")
    train = ["--train-annotations", str(names["train"][1])]
    tsv = [str(folder / f"{half}_obj36.tsv") for half in ("train2014", "val2014")]
    # No tests: the prediction of the test split is timed by itself.
    training = ["--max-steps", given.steps, "--training.log_every", max(1, given.steps // 10), "--data.tests", "{}"]
    training += ["--objectives.gradient_supervision.weight", 1, "--model.hidden", given.hidden]
    training += ["--data.pairs", json.dumps([pairs]), "--data.val_fraction", given.val_fraction]
    converted = {"features convert": ["features", "convert", *tsv, "--dtype", "float16", "--out", store]}
    return (converted if given.dim <= WIDEST_TSV else {}) | {
        "data check, train": ["data", "check", *asked["train"], *stored],
        "data check, test": ["data", "check", *asked["test"], *stored, *train],
        "pairs build": ["pairs", "build", "--kind", "same-question", *asked["train"], *stored, "--out", pairs],
        "train": ["train", "--config", str(CONFIG), "--out", str(out), *map(str, training)],
        "predict, test": ["predict", "--run", str(out), *asked["test"][:2], *stored, "--out", answers],
        "evaluate, test": ["evaluate", *asked["test"], *train, "--results", answers, "--split", "ood_test",
                           "--out", str(out / "metrics" / "ood_test.json")],
        "report": ["report", str(out), "--out", str(folder / "report.html"), "--published", "vqa-cp-v2"],
    }  # fmt: skip


def main() -> None:
    """Makes the files, runs the commands, prints the table and the forecast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of VQA-CP v2's questions and images")
    parser.add_argument("--questions", type=float, default=None, help="share of the questions, where it is another one")
    parser.add_argument("--dim", type=int, default=2048, help="numbers a region")
    parser.add_argument("--steps", type=int, default=200, help="training steps")
    parser.add_argument("--hidden", type=int, default=1024, help="width of the model")
    parser.add_argument("--val-fraction", type=float, default=0.1, help="share of the training images held out")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the files are made; default: a temporary folder"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder, start = Path(name), time.perf_counter()
        # In a process of its own: a child's peak memory begins at its parent's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            share = given.scale if given.questions is None else given.questions
            train, test = pool.submit(make, folder, given.scale, share, given.dim).result()
        print(f"made {train:,} + {test:,} questions and the features in {time.perf_counter() - start:.0f} s")
        out = folder / "run"
        ran = {what: run(words, folder) for what, words in commands(folder, out, given).items()}
        width = max(map(len, ran))
        print(f"\n{'':{width}}  seconds  CPU seconds  GB at peak  longest silence")
        for what, one in ran.items():
            print(f"{what:{width}}  {one.seconds:7.1f}  {one.cpu:11.1f}  {one.memory:10.2f}  {one.silence:13.1f} s")
        print(f"store: {(folder / 'regions.h5').stat().st_size / 1e9:.1f} GB; cores: {len(os.sched_getaffinity(0))}")
        print(forecast(out / "log.csv", test, ran["predict, test"].seconds))


def forecast(log: Path, test: int, predicting: float) -> str:
    """Returns what a training of full size would take, from the speed of steps and the seconds of so many answers."""
    with log.open(newline="") as rows:
        speed = float(np.median([float(row["questions_per_second"]) for row in csv.DictReader(rows)]))
    ordinary, answer = 0.9 * TRAIN, predicting / test
    # A batch has 64 pairs beside its 512 questions.
    epoch = ordinary * (1 + 2 * 64 / 512) / speed
    validation = 0.1 * TRAIN * answer
    hours = (15 * (epoch + validation) + TEST * answer) / 3600
    return (
        f"training: {speed:,.0f} questions/s, pair ends included; an epoch of {ordinary:,.0f} questions with pairs "
        f"{epoch / 60:.1f} min, its validation {validation / 60:.1f} min; 15 epochs and the test {hours:.1f} h"
    )


if __name__ == "__main__":
    main()
