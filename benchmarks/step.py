"""Costs of a training step of full size, in units of one matrix product timed in the same run.

    python benchmarks/step.py                         # all cases: minutes on two cores
    python benchmarks/step.py --batch 64 --cases baseline
    python benchmarks/step.py --peer-like             # the plain public recipe beside it
    python benchmarks/step.py --threads 1 --rounds 3 --profile

UpDn with 36 x 2048 regions, 1024 hidden, 3,129 answers; forward, loss, backward, clipping, Adamax; gradient supervision
with every row in a pair. The unit is one 4096 x 2048 by 2048 x 1024 product in float32 (17.2 GFLOP), timed between the
steps. Other users of the machine disturb the clock, and the processors' own seconds less. Questions have the lengths
of VQA v2's (6.2 words on average) unless `--full-length` says 14: padding is skipped.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import weight_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.data.targets import SoftTargets
from vqa_gs.models.vqa.updn import UpDn, UpDnSettings
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.read_ahead import read_ahead
from vqa_gs.tasks import TASKS
from vqa_gs.tasks.vqa.batches import BatchReader, VqaBatch
from vqa_gs.tasks.vqa.examples import Examples
from vqa_gs.tasks.vqa.trained import PairedQuestions
from vqa_gs.training.step import TrainingStep

REGIONS, DIM, HIDDEN, TOKENS, ANSWERS, WORDS = 36, 2048, 1024, 14, 3129, 8000
# Questions of VQA v2's training split per 1,000, by words from 2 on, the last ones 14 and more.
LENGTHS = (2, 32, 190, 253, 213, 121, 77, 45, 27, 17, 10, 6, 7)
# (batch, bf16) -> bars of the baseline, in units; bars of gradient supervision, as ratios to the baseline.
BARS = {(512, False): 26.0, (512, True): 15.0}
RATIO_BARS = {"gs": 1.65, "gs-closed": 1.4}
UNIT_FLOPS = 2 * 4096 * 2048 * 1024
COSTS = {"gs": "double_backward", "gs-closed": "closed_form"}


def draw_tokens(rows: int, full: bool, generator: torch.Generator) -> Tensor:
    """Returns questions as word numbers, (rows, 14), padded in front."""
    tokens = torch.randint(2, WORDS, (rows, TOKENS), generator=generator)
    if not full:
        lengths = torch.multinomial(torch.tensor(LENGTHS, dtype=torch.float), rows, True, generator=generator) + 2
        tokens[torch.arange(TOKENS) < TOKENS - lengths.unsqueeze(1)] = 0
    return tokens


def make_batch(rows: int, pairs: int, full: bool) -> VqaBatch:
    """Returns a batch of random numbers: ``2 * pairs`` pair ends and ordinary questions, ``rows`` in all."""
    generator = torch.Generator().manual_seed(0)
    ends = 2 * pairs
    counterpart = torch.stack([torch.randperm(REGIONS, generator=generator) for _ in range(pairs)] or [torch.empty(0)])
    alignment = (counterpart, torch.ones(pairs, REGIONS, dtype=torch.bool), counterpart.argsort(1))
    targets = torch.zeros(rows, ANSWERS)
    targets[torch.arange(rows).repeat_interleave(3), torch.randint(0, ANSWERS, (3 * rows,), generator=generator)] = 0.9
    return VqaBatch(
        features=torch.relu(torch.randn(rows, REGIONS, DIM, generator=generator)),
        boxes=torch.rand(rows, REGIONS, 4, generator=generator),
        sizes=torch.ones(rows, 2),
        mask=torch.ones(rows, REGIONS, dtype=torch.bool),
        tokens=draw_tokens(rows, full, generator),
        targets=targets,
        labels=torch.arange(ends) % ANSWERS,
        alignment=(*alignment, alignment[1]) if pairs else (),
        word_alignment=(),
        weight=torch.ones(ends),
        rows=float(rows),
        end_rows=float(ends),
        epoch=0.0,
        seed=1,
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

    def forward(self, batch: VqaBatch) -> Tensor:
        """Returns the loss."""
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
            self.module: nn.Module = TrainingStep(UpDn(DIM, WORDS, ANSWERS, UpDnSettings()), terms, TASKS["vqa"])
        else:
            self.module = PlainUpDn()
        self.parameters = list(self.module.parameters())
        self.optimizer = torch.optim.Adamax(self.parameters, lr=2e-3)

    def step(self, batch: VqaBatch, bf16: bool) -> None:
        """Trains one step."""
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = self.module(batch)
        self.optimizer.zero_grad()
        if self.ours:
            loss[0].backward(inputs=self.parameters)
        else:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 0.25)
        self.optimizer.step()


@dataclass
class Cost:
    """What a step costs: seconds by the clock and of all processors, one number a round; and its arithmetic."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    flops: float = 0.0

    def time(self, work: Callable[[], object]) -> None:
        """Times one round of something."""
        start, used = time.perf_counter(), time.process_time()
        work()
        self.wall.append(time.perf_counter() - start)
        self.cpu.append(time.process_time() - used)

    def in_units(self, unit: Cost) -> tuple[float, float]:
        """The fastest step over the fastest product, by the clock and by processor."""
        return min(self.wall) / min(unit.wall), min(self.cpu) / min(unit.cpu)

    def over(self, base: Cost) -> tuple[float, float]:
        """The median over rounds of the ratio to another case's step of the same round."""
        rounds = ((self.wall, base.wall), (self.cpu, base.cpu))
        wall, cpu = (median(a / b for a, b in zip(ours, theirs, strict=True)) for ours, theirs in rounds)
        return wall, cpu


class CountFlops(TorchDispatchMode):
    """Counts the arithmetic of matrix products, those of backward passes included."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def measure(cases: list[str], rows: int, bf16: bool, options: argparse.Namespace, unit: Cost) -> dict[str, Cost]:
    """Times the cases' steps in turn, so that other users of the machine disturb all alike."""
    a, b, out = torch.randn(4096, 2048), torch.randn(2048, 1024), torch.empty(4096, 1024)
    trainers = {case: Trainer(case) for case in cases}
    plain, paired = make_batch(rows, 0, options.full_length), make_batch(rows, rows // 2, options.full_length)
    batches = {case: paired if case in COSTS else plain for case in cases}
    costs = {case: Cost() for case in cases}
    for case, trainer in trainers.items():  # the first step pays for memory and code seen for the first time
        with CountFlops() as counted:
            trainer.step(batches[case], bf16)
        costs[case].flops = counted.total
    for _ in range(options.rounds):
        for case, trainer in trainers.items():
            unit.time(lambda: torch.mm(a, b, out=out))
            costs[case].time(lambda trainer=trainer, case=case: trainer.step(batches[case], bf16))
    if options.profile:
        for case, trainer in trainers.items():
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                trainer.step(batches[case], bf16)
            print(case, profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=24))
    return costs


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
        kinds = np.zeros(images, np.int64)
        examples = Examples(np.arange(images).astype(object), tokens, targets, labels, kinds, kinds)
        no_pairs = np.empty((0, 2), np.int64)
        data = PairedQuestions(None, examples, None, no_pairs)  # type: ignore[arg-type]
        plan = Plan(images, 0, rows, 0, 0)
        trainer, waited, worked = Trainer("baseline"), 0.0, 0.0
        with closing(read_ahead(BatchReader(data, store).planned(plan), range(steps + 3))) as batches:
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


def verdict(bar: float, wall: float, cpu: float) -> str:
    said = "met" if wall <= bar else "met by CPU" if cpu <= bar else "not met"
    return f"  bar {bar:g} {said}"


def show(costs: dict[str, Cost], rows: int, bf16: bool, unit: Cost) -> None:
    for case, cost in costs.items():
        wall, cpu = cost.in_units(unit)
        line = f"{case:10s}{rows:5d} {'bf16' if bf16 else 'fp32'}{cost.flops / UNIT_FLOPS:7.1f}{wall:7.1f}{cpu:7.1f}"
        line += f"{1e3 * min(cost.wall) / rows:8.2f}"
        if case in COSTS and "baseline" in costs:
            ratio = cost.over(costs["baseline"])
            line += f"{cost.flops / costs['baseline'].flops:7.2f}{ratio[0]:6.2f}{ratio[1]:6.2f}"
            line += verdict(RATIO_BARS[case], *ratio)
        elif (rows, bf16) in BARS and case == "baseline":
            line += " " * 19 + verdict(BARS[rows, bf16], wall, cpu)
        print(line, flush=True)


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
    parser.add_argument("--profile", action="store_true", help="print where the time of one more step goes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    unit = Cost()
    print(f"{torch.get_num_threads()} torch threads, {os.cpu_count()} cores, load {load()}")
    print("units: arithmetic alone, by the clock, by processor; ratios to the baseline likewise")
    print(
        f"{'case':10s}{'batch':>5s}{'':5s}{'arith':>7s}{'clock':>7s}{'CPU':>7s}{'ms/row':>8s}{'arith':>7s}{'clock':>6s}{'CPU':>6s}"
    )
    if options.peer_like:
        for rows in options.batch:
            show(measure(["peer-like"], rows, False, options, unit), rows, False, unit)
    for rows in options.batch:
        for precision in options.precision:
            bf16 = precision == "bf16"
            show(measure(options.cases, rows, bf16, options, unit), rows, bf16, unit)
    if not options.no_data:
        for precision in options.precision:
            share = 100 * data_wait(options.batch[0], precision == "bf16", options.rounds)
            print(f"wait for data, batch {options.batch[0]}, {precision}: {share:.1f} % of a step (bar 5 %)")
    print(
        f"load {load()}; the product took {1e3 * min(unit.wall):.0f} ms, {1e3 * median(unit.wall):.0f} ms in the median"
    )


if __name__ == "__main__":
    main()
