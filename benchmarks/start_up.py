"""How long training at VQA-CP v2's size takes to begin: from the command to the end of its first step.

    python benchmarks/start_up.py                 # 438,183 + 219,928 questions, 123,287 images; 0.9 GB of disk
    python benchmarks/start_up.py --scale 0.01    # a hundredth

Files are made up in the released form, regions have 16 numbers: features are read batch by batch, so that their width
says little here. The command is that of configs/vqa-cp-v2.yaml; it is ended when its log has the first step. The goals
are 12 s on two quiet cores and 2.5 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from made_up import images_of, write_questions, write_store

_DIM, _EVERY = 16, 0.02
_CONFIG = Path(__file__).parents[1] / "configs" / "vqa-cp-v2.yaml"


def make(folder: Path, scale: float) -> None:
    """Writes the files."""
    write_questions(folder, scale)
    write_store(folder / "regions.h5", images_of(scale), _DIM)


def begin(folder: Path, out: Path) -> tuple[float, float, float]:
    """Starts the training and ends it after a step; returns seconds, processor seconds and GB at its peak."""
    words = ["train", "--config", str(_CONFIG), "--out", str(out), "--seed", "1", "--training.log_every", "1"]
    environment = {**os.environ, "VQA_DATA": str(folder), "PYTHONSAFEPATH": "1"}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "vqa_gs", *words], stdout=subprocess.DEVNULL, env=environment)
    log = out / "log.csv"
    while process.poll() is None and not (log.is_file() and log.read_bytes().count(b"\n") > 1):
        time.sleep(_EVERY)
    taken = time.perf_counter() - start
    if process.returncode is not None:
        sys.exit(f"vqa-gs train ended with code {process.returncode} before its first step was logged")
    process.kill()
    _, _, usage = os.wait4(process.pid, 0)
    return taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def main() -> None:
    """Makes the files and prints a line a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of VQA-CP v2's questions and images")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a child's peak memory begins at its parent's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(make, folder, given.scale).result()
        for number in range(given.rounds):
            seconds, cpu, memory = begin(folder, folder / f"run{number}")
            load = os.getloadavg()[0]
            print(f"first step after {seconds:.1f} s, {cpu:.1f} CPU s, {memory:.2f} GB at its peak; load {load:.1f}")


if __name__ == "__main__":
    main()
