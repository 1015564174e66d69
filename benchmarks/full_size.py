"""The VQA-CP v2 recipe on made-up files of its size and form: seconds, memory, and a forecast of the whole.

    python benchmarks/full_size.py --dim 64                # 438,183 + 219,928 questions, 123,287 images, narrow regions
    python benchmarks/full_size.py                         # 36 x 2048 float16 numbers an image: 18 GB of disk
    python benchmarks/full_size.py --scale 0.01 --dim 16   # a hundredth, as the tests run it

Every command runs in a process of its own, as a user would call it. Beside its seconds stand its peak memory and its
longest silence: how long it wrote nothing to standard error.
"""

from __future__ import annotations

import argparse
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
from pairs import questions_of
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.data.questions import Question, QuestionSet
from vqa_gs.data.write_questions import write_question_set

TRAIN, TEST, IMAGES, REGIONS = 438_183, 219_928, 123_287, 36
CONFIG = Path(__file__).parents[1] / "configs" / "vqa-cp-v2.yaml"


@dataclass
class Ran:
    """What a command took: seconds, GB at its peak, its longest silence in seconds."""

    seconds: float
    memory: float
    silence: float


def write_files(folder: Path, scale: float, dim: int) -> tuple[int, int]:
    """Writes the four JSON files under their official names, and the store; returns the questions of both splits."""
    sizes = round(TRAIN * scale), round(TEST * scale)
    images = max(200, round(IMAGES * scale))
    # Both splits are about images of both halves, as VQA-CP's are, and they share images.
    for seed, (split, count) in enumerate(zip(("train", "test"), sizes, strict=True)):
        made = questions_of(count, images, seed)
        questions = [
            Question(q.question_id, q.image_id, q.question, "train2014" if int(q.image_id) % 3 else "val2014")
            for q in made.questions
        ]
        names = (folder / f"vqacp_v2_{split}_{kind}.json" for kind in ("questions", "annotations"))
        shifted = [
            Question(int(q.question_id) + seed * 10_000_000, q.image_id, q.question, q.coco_split) for q in questions
        ]
        assert made.annotations is not None
        annotations = [
            type(a)(**{**{n: getattr(a, n) for n in a.__struct_fields__}, "question_id": q.question_id})
            for a, q in zip(made.annotations, shifted, strict=True)
        ]
        write_question_set(QuestionSet(shifted, annotations, {}), *names)
    rng = np.random.default_rng(0)
    pool = np.maximum(rng.normal(size=(64 * REGIONS, dim)), 0).astype(np.float16)
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (REGIONS, 1))
    ids = sorted({q.image_id for s in (0, 1) for q in questions_of(sizes[s], images, s).questions}, key=int)
    with RegionStoreWriter(folder / "regions.h5", dim=dim, dtype="float16", fingerprint="full size") as writer:
        for at, image in enumerate(ids):
            writer.add(image, pool[at % 64 * REGIONS :][:REGIONS], boxes, (640, 480))
    return sizes


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
    return Ran(ended - start, usage.ru_maxrss / 2**20, max(silence, ended - last))


def main() -> None:
    """Makes the files, runs the commands, prints the table and the forecast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of VQA-CP v2's questions and images")
    parser.add_argument("--dim", type=int, default=2048, help="numbers a region")
    parser.add_argument("--steps", type=int, default=200, help="training steps")
    parser.add_argument("--hidden", type=int, default=1024, help="width of the model")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the files are made; default: a temporary folder"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder, start = Path(name), time.perf_counter()
        # In a process of its own: a child's peak memory begins at its parent's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            train, test = pool.submit(write_files, folder, given.scale, given.dim).result()
        print(f"made {train:,} + {test:,} questions and the store in {time.perf_counter() - start:.0f} s")
        files = {split: [str(folder / f"vqacp_v2_{split}_{kind}.json") for kind in ("questions", "annotations")]
                 for split in ("train", "test")}  # fmt: skip
        asked = {split: ["--questions", one[0], "--annotations", one[1]] for split, one in files.items()}
        store, pairs, out = str(folder / "regions.h5"), str(folder / "pairs.h5"), str(folder / "run")
        ran = {
            "data check, train": run(["data", "check", *asked["train"], "--features", store], folder),
            "data check, test": run(
                ["data", "check", *asked["test"], "--features", store, "--train-annotations", files["train"][1]], folder
            ),
            "pairs build": run(
                ["pairs", "build", "--kind", "same-question", *asked["train"], "--features", store, "--out", pairs],
                folder,
            ),
        }
        words = ["train", "--config", str(CONFIG), "--out", out, "--model.hidden", str(given.hidden)]
        words += ["--data.pairs", json.dumps([pairs]), "--objectives.gradient_supervision.weight", "1"]
        # No tests: the prediction of the test split is timed by itself.
        ran["train"] = run(
            [
                *words,
                "--max-steps",
                str(given.steps),
                "--data.tests",
                "{}",
                "--training.log_every",
                str(max(1, given.steps // 10)),
            ],
            folder,
        )
        ran["predict, test"] = run(
            [
                "predict",
                "--run",
                out,
                "--questions",
                files["test"][0],
                "--features",
                store,
                "--out",
                f"{out}/test.json",
            ],
            folder,
        )
        steps = [json.loads(line) for line in _steps(Path(out) / "log.csv")]
        width = max(map(len, ran))
        print(f"\n{'':{width}}  seconds  GB at peak  longest silence")
        for what, one in ran.items():
            print(f"{what:{width}}  {one.seconds:7.1f}  {one.memory:10.2f}  {one.silence:13.1f} s")
        speed = float(np.median([row["questions_per_second"] for row in steps]))
        epoch = (0.9 * train + 2 * 64 * 0.9 * train / 512) / speed
        print(
            f"training: {speed:,.0f} questions/s; an epoch of {0.9 * train:,.0f} questions and its pairs "
            f"{epoch / 60:.1f} min, 15 epochs {15 * epoch / 3600:.1f} h, beside "
            f"{ran['predict, test'].seconds * 0.2:.0f} s an epoch of validation"
        )


def _steps(file: Path) -> list[str]:
    header, *rows = file.read_text().splitlines()
    names = header.split(",")
    return [
        json.dumps({name: float(value) for name, value in zip(names, row.split(","), strict=True) if value})
        for row in rows
    ]


if __name__ == "__main__":
    main()
