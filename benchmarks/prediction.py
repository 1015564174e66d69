"""Times answering at full width beside its arithmetic: seconds, memory, and a forecast for a test split.

    python benchmarks/prediction.py                      # 8,192 questions about 3,640 images: half a GB of disk
    python benchmarks/prediction.py --questions 1024 --rounds 1 --threads 1
    python benchmarks/prediction.py --questions 512 --dim 64 --hidden 32 --answers 50   # seconds

UpDn with 36 x 2048 regions in float16, 1024 hidden, 3,129 answers, questions as long as VQA v2's; 2.25 an image, as in
VQA-CP v2's test split of 219,928. The arithmetic is that of the products of a forward pass in which an image is
projected once; the goal is 1.15 times of it. It is turned into seconds by a product timed between the rounds.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from pathlib import Path

import numpy as np
import torch
from made_up import write_store
from step import UNIT_FLOPS, Cost, CountFlops, wait
from step_batches import WORDS, draw_tokens
from vqa_gs.features.resident import resident
from vqa_gs.features.store import RegionStore

from vqa_gs.common.files import write_json
from vqa_gs.models.vqa.updn import UpDn, UpDnSettings
from vqa_gs.tasks.vqa.examples import Examples
from vqa_gs.tasks.vqa.predictor import Predictor

TEST, AN_IMAGE, BAR = 219_928, 2.25, 1.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--dim", type=int, default=2048, help="numbers a region")
    parser.add_argument("--hidden", type=int, default=1024, help="width of the model")
    parser.add_argument("--answers", type=int, default=3129)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--resident", default="none", help="where the features are, see data.resident")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to a file too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device, count = torch.device(options.device), options.questions
    images = max(1, round(count / AN_IMAGE))
    model = UpDn(options.dim, WORDS, options.answers, UpDnSettings(hidden=options.hidden)).to(device)
    rng, codes = np.random.default_rng(0), np.zeros(count, np.int64)
    about = rng.integers(0, images, count).astype(object)
    tokens = draw_tokens(count, False, torch.Generator().manual_seed(0))
    examples = Examples(about, tokens, None, codes, codes, codes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "store.h5"
        write_store(file, range(images), options.dim)
        store = resident(RegionStore(file), options.resident, device).store

        def answer(share: int) -> None:
            predictor = Predictor(model, bf16=options.bf16, share=share)
            for _, out in predictor.outputs(examples, store, options.batch):
                out.logits.argmax(1).cpu()
            wait(device)

        a, b, c = (torch.randn(size, device=device) for size in ((4096, 2048), (2048, 1024), (4096, 1024)))

        def product() -> None:
            torch.mm(a, b, out=c)
            wait(device)

        costs, unit = {"shared": Cost(), "each its own": Cost()}, Cost()
        for name, cost in costs.items():
            with CountFlops() as counted:
                answer(8 if name == "shared" else 0)
            cost.flops = counted.total
        for _ in range(options.rounds):
            for name, cost in costs.items():
                unit.time(product)
                cost.time(lambda name=name: answer(8 if name == "shared" else 0))
    where = f"{options.threads} threads, {options.device}, load {os.getloadavg()[0]:.1f}"
    print(f"{count:,} questions, {images:,} images, {where}")
    print(f"{'images':14s}{'arith':>8s}{'clock':>8s}{'CPU':>8s}   times the arithmetic{'':4s}for {TEST:,} questions")
    rows = []
    for name, cost in costs.items():
        wall, cpu = cost.in_units(unit)
        arithmetic = cost.flops / UNIT_FLOPS
        line = f"{name:14s}{arithmetic:8.1f}{wall:8.1f}{cpu:8.1f}"
        line += f"   {wall / arithmetic:5.2f} clock {cpu / arithmetic:5.2f} CPU"
        print(f"{line}{min(cost.wall) / count * TEST:13.0f} s" + (f"  bar {BAR}" if name == "shared" else ""))
        rows.append({"images": name, "arithmetic": arithmetic, "units": wall, "cpu_units": cpu,
                     "questions_per_second": count / min(cost.wall)})  # fmt: skip
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    print(f"memory: {grown:.2f} GB more at the peak than before, the made-up store included")
    if options.json is not None:
        write_json(options.json, {"predictions": rows, "gb": grown})


if __name__ == "__main__":
    main()
