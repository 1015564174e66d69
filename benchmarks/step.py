"""Costs of a training step of full size, in units of one matrix product timed in the same run.

    python benchmarks/step.py                         # all cases: minutes on two cores
    python benchmarks/step.py --batch 64 --cases baseline
    python benchmarks/step.py --peer-like             # the plain public recipe beside it
    python benchmarks/step.py --threads 1 --rounds 3 --profile

UpDn with 36 x 2048 regions, 1024 hidden, 3,129 answers; forward, loss, backward, clipping, Adamax. The unit is one
4096 x 2048 by 2048 x 1024 product in float32 (17.2 GFLOP), timed between the steps. The clock's ratio is disturbed by
other users of the machine, the processors' own seconds less; both are of the fastest step and the fastest product.
Questions have the lengths of VQA v2's (6.2 words on average) unless `--full-length` says 14.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import weight_norm

from features.store import RegionStore
from features.writer import RegionStoreWriter
from vqa_gs.data.targets import SoftTargets
from vqa_gs.models.updn import UpDn, UpDnSettings
from vqa_gs.objectives.answer import AnswerSettings
from vqa_gs.objectives.gradient_supervision import GradientSupervisionSettings
from vqa_gs.training.batches import Batch, Batcher, Plan, read_ahead
from vqa_gs.training.examples import Examples, TrainingData
from vqa_gs.training.memory import keep_freed_memory
from vqa_gs.training.step import TrainingStep

REGIONS, DIM, HIDDEN, TOKENS, ANSWERS, WORDS = 36, 2048, 1024, 14, 3129, 8000
# Questions of VQA v2's training split per 1,000, by words from 2 on, the last ones 14 and more.
LENGTHS = (2, 32, 190, 253, 213, 121, 77, 45, 27, 17, 10, 6, 7)
# (batch, bf16) -> bars of the baseline, in units; bars of gradient supervision, as ratios to the baseline.
BARS = {(512, False): 26.0, (512, True): 15.0}
RATIO_BARS = {"gs": 1.65, "gs-closed": 1.4}
COSTS = {"gs": "double_backward", "gs-closed": "closed_form"}


def draw_tokens(rows: int, full: bool, generator: torch.Generator) -> Tensor:
    """Returns questions as word numbers, (rows, 14), padded in front."""
    tokens = torch.randint(2, WORDS, (rows, TOKENS), generator=generator)
    if not full:
        lengths = torch.multinomial(torch.tensor(LENGTHS, dtype=torch.float), rows, True, generator=generator) + 2
        tokens[torch.arange(TOKENS) < TOKENS - lengths.unsqueeze(1)] = 0
    return tokens


def make_batch(rows: int, pairs: int, full: bool) -> Batch:
    """Returns a batch of random numbers: ``2 * pairs`` pair ends and ordinary questions, ``rows`` in all."""
    generator = torch.Generator().manual_seed(0)
    ends = 2 * pairs
    counterpart = torch.stack([torch.randperm(REGIONS, generator=generator) for _ in range(pairs)] or [torch.empty(0)])
    alignment = (counterpart, torch.ones(pairs, REGIONS, dtype=torch.bool), counterpart.argsort(1))
    targets = torch.zeros(rows, ANSWERS)
    targets[torch.arange(rows).repeat_interleave(3), torch.randint(0, ANSWERS, (3 * rows,), generator=generator)] = 0.9
    return Batch(
        torch.relu(torch.randn(rows, REGIONS, DIM, generator=generator)),
        torch.rand(rows, REGIONS, 4, generator=generator),
        torch.ones(rows, 2),
        torch.ones(rows, REGIONS, dtype=torch.bool),
        draw_tokens(rows, full, generator),
        targets,
        torch.arange(ends) % ANSWERS,
        (*alignment, alignment[1]) if pairs else (),
        (),
        torch.ones(ends),
        float(rows),
        float(ends),
        0.0,
        1,
    )


class PlainUpDn(nn.Module):
    """The public recipe: weight-normed layers by hooks, a joint tensor in the attention, all 14 steps of the GRU."""

    def __init__(self) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(weight_norm(nn.Linear(inputs, outputs), dim=None), nn.ReLU())

        self.embedding = nn.Embedding(WORDS, 300, padding_idx=0)
        self.gru = nn.GRU(300, HIDDEN, batch_first=True)
        self.region_projection, self.question_projection = layer(DIM, HIDDEN), layer(HIDDEN, HIDDEN)
        self.dropout = nn.Dropout(0.2)
        self.score = weight_norm(nn.Linear(HIDDEN, 1), dim=None)
        self.question_net, self.region_net = layer(HIDDEN, HIDDEN), layer(DIM, HIDDEN)
        last = weight_norm(nn.Linear(2 * HIDDEN, ANSWERS), dim=None)
        self.classifier = nn.Sequential(layer(HIDDEN, 2 * HIDDEN), nn.Dropout(0.5), last)

    def forward(self, batch: Batch) -> Tensor:
        question = self.gru(self.embedding(batch.tokens))[0][:, -1]
        joint = self.region_projection(batch.features)
        joint = joint * self.question_projection(question).unsqueeze(1).repeat(1, REGIONS, 1)
        weights = functional.softmax(self.score(self.dropout(joint)), dim=1)
        logits = self.classifier(self.question_net(question) * self.region_net((weights * batch.features).sum(1)))
        return functional.binary_cross_entropy_with_logits(logits, batch.targets) * ANSWERS


class Trainer:
    """A module that returns a loss, with its optimiser: ``step`` is one whole training step."""

    def __init__(self, case: str) -> None:
        torch.manual_seed(0)
        self.ours = case != "peer-like"
        if self.ours:
            terms: dict[str, Any] = {"answer": AnswerSettings()}
            if case in COSTS:
                terms["gradient_supervision"] = GradientSupervisionSettings(weight=1.0, cost=COSTS[case])  # type: ignore[arg-type]
            self.module: nn.Module = TrainingStep(UpDn(DIM, WORDS, ANSWERS, UpDnSettings()), terms)
        else:
            self.module = PlainUpDn()
        self.parameters = list(self.module.parameters())
        self.optimizer = torch.optim.Adamax(self.parameters, lr=2e-3)

    def step(self, batch: Batch, bf16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = self.module(batch)
        self.optimizer.zero_grad()
        if self.ours:
            loss[0].backward(inputs=self.parameters)
        else:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 0.25)
        self.optimizer.step()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Returns the seconds of a call, by the clock and of all processors together."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


def least(times: list[tuple[float, float]]) -> tuple[float, float]:
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


class Unit:
    """The matrix product everything is measured in."""

    def __init__(self) -> None:
        self.a, self.b, self.out = torch.randn(4096, 2048), torch.randn(2048, 1024), torch.empty(4096, 1024)

    def __call__(self) -> tuple[float, float]:
        return timed(lambda: torch.mm(self.a, self.b, out=self.out))


def measure(case: str, batch: Batch, bf16: bool, rounds: int, unit: Unit) -> tuple[float, float, float]:
    """Returns a step's cost in units, by the clock and by processor, and its seconds by the clock."""
    trainer = Trainer(case)
    trainer.step(batch, bf16)  # pays for memory and code seen for the first time
    unit()
    steps, units = [], []
    for _ in range(rounds):
        units.append(unit())
        steps.append(timed(lambda: trainer.step(batch, bf16)))
        units.append(unit())
    (wall, cpu), (unit_wall, unit_cpu) = least(steps), least(units)
    return wall / unit_wall, cpu / unit_cpu, wall


def data_wait(rows: int, bf16: bool, steps: int) -> float:
    """Returns the share of a step that training waits for its batch, from a store in memory."""
    rng = np.random.default_rng(0)
    images = 2 * rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.h5"
        pool = np.maximum(rng.normal(size=(8 * REGIONS, DIM)), 0).astype(np.float16)
        boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (REGIONS, 1))
        with RegionStoreWriter(path, dim=DIM, dtype="float16", fingerprint="benchmark") as writer:
            for image in range(images):
                writer.add(image, pool[image % 8 * REGIONS :][:REGIONS], boxes, (20, 20))
        store = RegionStore(path)
        tokens = draw_tokens(images, False, torch.Generator().manual_seed(0))
        labels = rng.integers(0, ANSWERS, images)
        targets = SoftTargets.from_arrays(np.arange(images + 1), labels, np.ones(images), ANSWERS)
        examples = Examples(np.arange(images).astype(object), tokens, targets, labels)
        no_pairs = np.empty((0, 2), np.int64)
        data = TrainingData(None, None, examples, images, None, None, no_pairs, {})  # type: ignore[arg-type]
        plan = Plan(images, 0, rows, 0, 0)
        trainer, waited, worked = Trainer("baseline"), 0.0, 0.0
        with closing(read_ahead(Batcher(data, store, plan), range(steps + 3))) as batches:
            for number in range(steps + 3):
                start = time.perf_counter()
                batch = next(batches)
                got = time.perf_counter()
                trainer.step(batch, bf16)
                if number >= 3:  # the first batches fill the queue and the memory
                    waited, worked = waited + got - start, worked + time.perf_counter() - got
    return waited / (waited + worked)


def load() -> str:
    return " ".join(f"{part:.1f}" for part in os.getloadavg())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 64])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--cases", nargs="+", default=["baseline", *COSTS], choices=["baseline", *COSTS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--full-length", action="store_true", help="all questions have 14 words")
    parser.add_argument("--peer-like", action="store_true", help="time the plain public recipe too (fp32)")
    parser.add_argument("--no-data", action="store_true", help="leave the wait for data out")
    parser.add_argument("--profile", action="store_true", help="print where a step's time goes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    unit = Unit()
    print(f"{torch.get_num_threads()} torch threads, {os.cpu_count()} cores, load {load()}")
    print(
        f"{'case':12s}{'batch':>6s}{'':>6s}{'units':>8s}{'CPU units':>11s}{'ms/row':>8s}{'ratio':>7s}{'CPU ratio':>11s}"
    )
    peers = {}
    if options.peer_like:  # before freed memory is kept: the public recipe does not
        for rows in options.batch:
            batch = make_batch(rows, 0, options.full_length)
            peers[rows] = show("peer-like", rows, False, measure("peer-like", batch, False, options.rounds, unit), None)
    keep_freed_memory()
    for rows in options.batch:
        for precision in options.precision:
            bf16, base = precision == "bf16", None
            for case in options.cases:
                batch = make_batch(rows, rows // 2 if case in COSTS else 0, options.full_length)
                found = show(case, rows, bf16, measure(case, batch, bf16, options.rounds, unit), base)
                base = found if case == "baseline" else base
                if case == "baseline" and rows in peers and not bf16:
                    print(
                        f"{'':12s}of the plain recipe: {found[0] / peers[rows][0]:.2f}, CPU {found[1] / peers[rows][1]:.2f}"
                    )
                if options.profile:
                    trainer = Trainer(case)
                    trainer.step(batch, bf16)
                    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                        trainer.step(batch, bf16)
                    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=24))
    if not options.no_data:
        for precision in options.precision:
            share = data_wait(options.batch[0], precision == "bf16", options.rounds)
            print(
                f"data wait at batch {options.batch[0]}, {precision}: {100 * share:.1f} % of a step (bar 5 %), load {load()}"
            )


def show(
    case: str, rows: int, bf16: bool, found: tuple[float, float, float], base: tuple[float, float, float] | None
) -> tuple[float, float, float]:
    """Prints a case and its bars; returns what was measured."""
    wall, cpu, seconds = found
    line = f"{case:12s}{rows:6d}{'bf16' if bf16 else 'fp32':>6s}{wall:8.1f}{cpu:11.1f}{1e3 * seconds / rows:8.2f}"
    bar = BARS.get((rows, bf16)) if case == "baseline" else None
    if base is not None:
        line += f"{wall / base[0]:7.2f}{cpu / base[1]:11.2f}"
        bar = RATIO_BARS[case]
    if bar is not None:
        met = (wall, cpu) if base is None else (wall / base[0], cpu / base[1])
        verdict = "met" if met[0] <= bar else "met by CPU" if met[1] <= bar else "not met"
        line += f"   bar {bar:g}: {verdict}"
    print(f"{line}   load {load()}", flush=True)
    return found


if __name__ == "__main__":
    main()
