"""Costs of a training step of full size, in units of one matrix product timed in the same run.

    python benchmarks/step.py                         # all cases: minutes on two cores
    python benchmarks/step.py --batch 64 --cases baseline
    python benchmarks/step.py --share --peer-like     # shared images and the plain public recipe, in one run
    python benchmarks/step.py --threads 1 --rounds 3 --profile
    python benchmarks/step.py --device cuda --precision fp32 tf32 bf16 --cases baseline gs gs-closed mcan mcan-gs

UpDn with 36 x 2048 regions, 1024 hidden, 3,129 answers; forward, loss, backward, clipping, Adamax; gradient supervision
with every row in a pair. The unit is one 4096 x 2048 by 2048 x 1024 product in float32 (17.2 GFLOP), timed between the
steps. Other users of the machine disturb the clock, and the processors' own seconds less. Questions have the lengths
of VQA v2's (6.2 words on average) unless `--full-length` says 14: padding is skipped.

The column `arith` is the limit: the products that the step does, counted as it does them, in the same units. No step
is faster; what lies between is all that is no product.

Cases named `shared` have batches by image, of 3.6 questions each as in VQA-CP v2's training; those with `gs` have 64
pair ends among their rows, as a step of a run has them beside its questions.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from step_batches import WORDS, Shape, draw_tokens, make_batch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import weight_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.files import write_json
from vqa_gs.data.targets import SoftTargets
from vqa_gs.models.vqa import MODELS
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.read_ahead import read_ahead
from vqa_gs.tasks import TASKS
from vqa_gs.tasks.vqa.batches import BatchReader, VqaBatch
from vqa_gs.tasks.vqa.examples import Examples
from vqa_gs.tasks.vqa.trained import PairedQuestions
from vqa_gs.training.step import TrainingStep

ENDS = 64
# (case, batch, precision) -> bars in units; bars of gradient supervision, as ratios to the case without.
BARS = {("baseline", 512, "fp32"): 26.0, ("baseline", 512, "bf16"): 15.0,
        ("shared", 512, "fp32"): 11.5, ("shared", 512, "bf16"): 6.5}  # fmt: skip
RATIO_BARS = {("gs", "fp32"): 1.65, ("gs", "bf16"): 1.65, ("gs-closed", "fp32"): 1.4, ("gs-closed", "bf16"): 1.4,
              ("shared-gs", "fp32"): 1.5}  # fmt: skip
UNIT_FLOPS = 2 * 4096 * 2048 * 1024
# Case -> how gradient supervision is computed, and the case it is compared with.
COSTS = {"gs": ("double_backward", "baseline"), "gs-closed": ("closed_form", "baseline"),
         "shared-gs": ("double_backward", "shared"), "shared-closed": ("closed_form", "shared"),
         "mcan-gs": ("double_backward", "mcan")}  # fmt: skip
USUAL = ["baseline", "gs", "gs-closed"]
SHARED = ["shared", "shared-gs", "shared-closed"]
MCAN = ["mcan", "mcan-gs"]


class PlainUpDn(nn.Module):
    """The public recipe: weight-normed layers by hooks, a joint tensor in the attention, all 14 steps of the GRU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, hidden, dim = shape, shape.hidden, shape.dim

        def layer(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(weight_norm(nn.Linear(inputs, outputs), dim=None), nn.ReLU())

        self.embedding = nn.Embedding(WORDS, 300, padding_idx=0)
        self.gru = nn.GRU(300, hidden, batch_first=True)
        self.region_projection, self.question_projection = layer(dim, hidden), layer(hidden, hidden)
        self.dropout = nn.Dropout(0.2)
        self.score = weight_norm(nn.Linear(hidden, 1), dim=None)
        self.question_net, self.region_net = layer(hidden, hidden), layer(dim, hidden)
        last = weight_norm(nn.Linear(2 * hidden, shape.answers), dim=None)
        self.classifier = nn.Sequential(layer(hidden, 2 * hidden), nn.Dropout(0.5), last)

    def forward(self, batch: VqaBatch) -> Tensor:
        """Returns the loss."""
        question = self.gru(self.embedding(batch.tokens))[0][:, -1]
        joint = self.region_projection(batch.features)
        joint = joint * self.question_projection(question).unsqueeze(1).repeat(1, self.shape.regions, 1)
        weights = functional.softmax(self.score(self.dropout(joint)), dim=1)
        logits = self.classifier(self.question_net(question) * self.region_net((weights * batch.features).sum(1)))
        return functional.binary_cross_entropy_with_logits(logits, batch.targets) * self.shape.answers


class Trainer:
    """A module that returns a loss, with its optimiser: ``step`` is one whole training step."""

    def __init__(self, case: str, shape: Shape, device: torch.device) -> None:
        torch.manual_seed(0)
        self.ours, self.device = case != "peer-like", device
        if self.ours:
            terms: dict[str, Any] = {"answer": AnswerSettings()}
            if case in COSTS:
                terms["gradient_supervision"] = GradientSupervisionSettings(weight=1.0, cost=COSTS[case][0])  # type: ignore[arg-type]
            kind = "mcan" if case in MCAN else "updn"
            settings = MODELS.settings_of(kind)(hidden=shape.hidden)
            model = MODELS[kind](shape.dim, WORDS, shape.answers, settings)
            self.module: nn.Module = TrainingStep(model, terms, TASKS["vqa"])
        else:
            self.module = PlainUpDn(shape)
        self.module.to(device)
        self.parameters = list(self.module.parameters())
        self.optimizer = torch.optim.Adamax(self.parameters, lr=2e-3)

    def step(self, batch: VqaBatch, bf16: bool) -> None:
        """Trains one step, and waits until it is done."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            loss = self.module(batch)
        self.optimizer.zero_grad()
        if self.ours:
            loss[0].backward(inputs=self.parameters)
        else:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 0.25)
        self.optimizer.step()
        wait(self.device)


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


def wait(device: torch.device) -> None:
    """Waits for a GPU to finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(cases: list[str], rows: int, precision: str, options: argparse.Namespace, unit: Cost) -> dict[str, Cost]:
    """Times the cases' steps in turn, so that other users of the machine disturb all alike."""
    device, shape, bf16 = torch.device(options.device), options.shape, precision == "bf16"
    a, b, out = (torch.randn(size, device=device) for size in ((4096, 2048), (2048, 1024), (4096, 1024)))

    def product() -> None:
        with full_float32():
            torch.mm(a, b, out=out)
        wait(device)

    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    trainers = {case: Trainer(case, shape, device) for case in cases}
    layouts = {case: (ends_of(case, rows), case in SHARED) for case in cases}
    made = {
        one: make_batch(rows, one[0], options.full_length, shape, one[1]).to(device) for one in set(layouts.values())
    }
    costs = {case: Cost() for case in cases}
    for case, trainer in trainers.items():  # the first step pays for memory and code seen for the first time
        with CountFlops() as counted:
            trainer.step(made[layouts[case]], bf16)
        costs[case].flops = counted.total
    product()
    for _ in range(options.rounds):
        for case, trainer in trainers.items():
            unit.time(product)
            costs[case].time(lambda trainer=trainer, case=case: trainer.step(made[layouts[case]], bf16))
    if options.profile:
        for case, trainer in trainers.items():
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                trainer.step(made[layouts[case]], bf16)
            print(case, profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=24))
    return costs


@contextmanager
def full_float32() -> Generator[None, None, None]:
    """Within it float32 products are of float32: they are what all else is measured by."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def ends_of(case: str, rows: int) -> int:
    """Returns how many rows of a case's batch are pair ends: all, or beside shared images as many as a run has."""
    if case not in COSTS:
        return 0
    return min(ENDS, rows // 8 // 2 * 2) if case in SHARED else rows


def data_wait(rows: int, bf16: bool, options: argparse.Namespace) -> float:
    """Returns the share of a step that training waits for its batch, from a store in memory."""
    rng, shape, device, steps = np.random.default_rng(0), options.shape, torch.device(options.device), options.rounds
    images = 2 * rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.h5"
        pool = np.maximum(rng.normal(size=(8 * shape.regions, shape.dim)), 0).astype(np.float16)
        boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (shape.regions, 1))
        with RegionStoreWriter(path, dim=shape.dim, dtype="float16", fingerprint="benchmark") as writer:
            for image in range(images):
                writer.add(image, pool[image % 8 * shape.regions :][: shape.regions], boxes, (20, 20))
        store = RegionStore(path)
        tokens = draw_tokens(images, False, torch.Generator().manual_seed(0))
        labels = rng.integers(0, shape.answers, images)
        targets = SoftTargets.from_arrays(np.arange(images + 1), labels, np.ones(images), shape.answers)
        kinds = np.zeros(images, np.int64)
        examples = Examples(np.arange(images).astype(object), tokens, targets, labels, kinds, kinds)
        no_pairs = np.empty((0, 2), np.int64)
        data = PairedQuestions(None, examples, None, no_pairs)  # type: ignore[arg-type]
        plan = Plan(images, 0, rows, 0, 0)
        trainer, waited, worked = Trainer("baseline", shape, device), 0.0, 0.0
        with closing(read_ahead(BatchReader(data, store).planned(plan), range(steps + 3))) as batches:
            for number in range(steps + 3):
                start = time.perf_counter()
                batch = next(batches)
                got = time.perf_counter()
                trainer.step(batch.to(device), bf16)
                if number >= 3:  # the first batches fill the queue and the memory
                    waited, worked = waited + got - start, worked + time.perf_counter() - got
    return waited / (waited + worked)


def load() -> str:
    return " ".join(f"{part:.1f}" for part in os.getloadavg())


def verdict(bar: float, wall: float, cpu: float) -> str:
    said = "met" if wall <= bar else "met by CPU" if cpu <= bar else "not met"
    return f"  bar {bar:g} {said}"


def show(costs: dict[str, Cost], rows: int, precision: str, unit: Cost) -> list[dict[str, Any]]:
    """Prints a line for each case, and returns what is in it."""
    table = []
    for case, cost in costs.items():
        wall, cpu = cost.in_units(unit)
        arithmetic = cost.flops / UNIT_FLOPS
        line = (
            f"{case:14s}{rows:5d} {precision}{arithmetic:7.1f}{wall:7.1f}{cpu:7.1f}{1e3 * min(cost.wall) / rows:8.2f}"
        )
        row = {"case": case, "batch": rows, "precision": precision, "arithmetic": arithmetic, "units": wall,
               "cpu_units": cpu, "ms": 1e3 * min(cost.wall)}  # fmt: skip
        against = COSTS[case][1] if case in COSTS else None
        if against in costs:
            ratio = cost.over(costs[against])
            by_arithmetic = cost.flops / costs[against].flops
            line += f"{by_arithmetic:7.2f}{ratio[0]:6.2f}{ratio[1]:6.2f}"
            row |= {"against": against, "ratio_arithmetic": by_arithmetic, "ratio": ratio[0], "cpu_ratio": ratio[1]}
            if (case, precision) in RATIO_BARS:
                line += verdict(RATIO_BARS[case, precision], *ratio)
        elif (case, rows, precision) in BARS:
            line += " " * 19 + verdict(BARS[case, rows, precision], wall, cpu)
        print(line, flush=True)
        table.append(row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 64])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--cases", nargs="+", default=USUAL, choices=[*USUAL, *SHARED, *MCAN])
    parser.add_argument("--share", action="store_true", help="the cases with shared images too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dim", type=int, default=2048, help="numbers a region")
    parser.add_argument("--hidden", type=int, default=1024, help="width of the model")
    parser.add_argument("--answers", type=int, default=3129, help="answers to choose from")
    parser.add_argument("--full-length", action="store_true", help="all questions have 14 words")
    parser.add_argument("--peer-like", action="store_true", help="time the plain public recipe too (fp32)")
    parser.add_argument("--no-data", action="store_true", help="leave the wait for data out")
    parser.add_argument("--profile", action="store_true", help="print where the time of one more step goes")
    parser.add_argument("--json", type=Path, default=None, help="write the table to a file too")
    options = parser.parse_args()
    options.shape = Shape(dim=options.dim, hidden=options.hidden, answers=options.answers)
    torch.set_num_threads(options.threads)
    unit, table = Cost(), []
    cases = list(dict.fromkeys([*options.cases, *(SHARED if options.share else [])]))
    print(f"{torch.get_num_threads()} torch threads, {os.cpu_count()} cores, load {load()}, on {options.device}")
    print("units: arithmetic alone, by the clock, by processor; ratios to the case without supervision likewise")
    print(
        f"{'case':14s}{'batch':>5s}{'':5s}{'arith':>7s}{'clock':>7s}{'CPU':>7s}{'ms/row':>8s}{'arith':>7s}{'clock':>6s}{'CPU':>6s}"
    )
    if options.peer_like:
        for rows in options.batch:
            table += show(measure(["peer-like"], rows, "fp32", options, unit), rows, "fp32", unit)
    for rows in options.batch:
        for precision in options.precision:
            table += show(measure(cases, rows, precision, options, unit), rows, precision, unit)
    waits = {}
    if not options.no_data:
        for precision in options.precision:
            waits[precision] = 100 * data_wait(options.batch[0], precision == "bf16", options)
            print(f"wait for data, batch {options.batch[0]}, {precision}: {waits[precision]:.1f} % of a step (bar 5 %)")
    product = 1e3 * min(unit.wall)
    print(f"load {load()}; the product took {product:.1f} ms, {1e3 * median(unit.wall):.1f} ms in the median")
    if options.json is not None:
        write_json(options.json, {"product_ms": product, "steps": table, "wait_percent": waits})


if __name__ == "__main__":
    main()
