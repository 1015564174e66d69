"""Times a training step in bf16 autocast beside float32, in turn, at several sizes of model and batch.

    python benchmarks/precision.py
    python benchmarks/precision.py --hidden 1024 --batch 256 --pairs 32 --rounds 5

What `training.precision: auto` does on a CPU follows from this table. The ratios are what to look at, of the fastest
step and of the processor's own seconds in the cheapest one, which other users of the machine disturb less.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import torch

from vqa_gs.models.vqa.updn import UpDn, UpDnSettings
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.tasks import TASKS
from vqa_gs.tasks.vqa.batches import VqaBatch
from vqa_gs.training.hardware import computes_bf16
from vqa_gs.training.step import TrainingStep

TOKENS, WORDS = 14, 8000


@dataclass
class Shape:
    """Sizes of the data: regions an image, numbers a region, answers to choose from."""

    regions: int
    dim: int
    answers: int


def make_batch(rows: int, pairs: int, shape: Shape) -> VqaBatch:
    """Returns a batch of random numbers: ``2 * pairs`` pair ends and ordinary questions, ``rows`` in all."""
    generator = torch.Generator().manual_seed(0)
    ends = 2 * pairs
    counterpart = torch.arange(shape.regions).expand(pairs, shape.regions).contiguous()
    moves = torch.ones(pairs, shape.regions, dtype=torch.bool)
    return VqaBatch(
        features=torch.rand(rows, shape.regions, shape.dim, generator=generator),
        boxes=torch.rand(rows, shape.regions, 4, generator=generator),
        sizes=torch.ones(rows, 2),
        mask=torch.ones(rows, shape.regions, dtype=torch.bool),
        tokens=torch.randint(2, WORDS, (rows, TOKENS), generator=generator),
        targets=torch.rand(rows, shape.answers, generator=generator).pow(8),
        labels=torch.randint(0, shape.answers, (ends,), generator=generator),
        alignment=(counterpart, moves, counterpart, moves) if pairs else (),
        word_alignment=(),
        weight=torch.ones(ends),
        rows=float(rows),
        end_rows=float(ends),
        epoch=0.0,
        seed=1,
    )


def time_step(step: TrainingStep, optimizer: torch.optim.Optimizer, batch: VqaBatch, bf16: bool) -> tuple[float, float]:
    """Returns the seconds of one whole training step, by the clock and of all processors together."""
    parameters = list(step.parameters())
    start, used = time.perf_counter(), time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss, _, _ = step(batch)
    optimizer.zero_grad()
    loss.backward(inputs=parameters)
    torch.nn.utils.clip_grad_norm_(parameters, 0.25)
    optimizer.step()
    return time.perf_counter() - start, time.process_time() - used


def compare(
    hidden: int, rows: int, pairs: int, rounds: int, shape: Shape
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns the least clock and processor seconds of a step in fp32 and in bf16, taken in turn."""
    terms: dict[str, object] = {"answer": AnswerSettings()}
    if pairs:
        terms["gradient_supervision"] = GradientSupervisionSettings(weight=1.0)
    step = TrainingStep(UpDn(shape.dim, WORDS, shape.answers, UpDnSettings(hidden=hidden)), terms, TASKS["vqa"])
    optimizer = torch.optim.Adamax(step.parameters(), lr=1e-3)
    batch = make_batch(rows, pairs, shape)
    times: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for turn in range(rounds + 1):
        for bf16 in (False, True):
            taken = time_step(step, optimizer, batch, bf16)
            if turn:  # the first turn pays for memory and code seen for the first time
                times[bf16].append(taken)
    fp32, half = ((min(wall for wall, _ in part), min(cpu for _, cpu in part)) for part in times)
    return fp32, half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--batch", type=int, nargs="+", default=[256])
    parser.add_argument("--pairs", type=int, nargs="+", default=[0, 32], help="pairs among the batch, for GS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--regions", type=int, default=36)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--answers", type=int, default=3129)
    options = parser.parse_args()
    shape = Shape(options.regions, options.dim, options.answers)
    print(f"{torch.get_num_threads()} torch threads, {shape.regions} x {shape.dim} regions, {shape.answers} answers")
    print(f"the CPU multiplies bf16: {computes_bf16(torch.device('cpu'))}")
    print(f"{'hidden':>7s}{'batch':>7s}{'pairs':>7s}{'fp32':>10s}{'bf16':>10s}{'ratio':>8s}{'CPU ratio':>11s}")
    for hidden in options.hidden:
        for rows in options.batch:
            for pairs in options.pairs:
                fp32, bf16 = compare(hidden, rows, pairs, options.rounds, shape)
                ratios = f"{bf16[0] / fp32[0]:8.2f}{bf16[1] / fp32[1]:11.2f}"
                print(f"{hidden:7d}{rows:7d}{pairs:7d}{fp32[0]:9.3f}s{bf16[0]:9.3f}s{ratios}", flush=True)


if __name__ == "__main__":
    main()
