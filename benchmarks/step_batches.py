"""Made-up batches of the size of VQA v2's, with or without pair ends, each question with its image or sharing one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqa_gs.contracts import Sharing
from vqa_gs.tasks.vqa.batches import VqaBatch

TOKENS, WORDS = 14, 8000
# Questions of VQA v2's training split per 1,000, by words from 2 on, the last ones 14 and more.
LENGTHS = (2, 32, 190, 253, 213, 121, 77, 45, 27, 17, 10, 6, 7)
# Made-up shares of images with 1, 2, ... questions, whose mean of 3.6 is that of VQA-CP v2's training.
QUESTIONS = (10, 18, 22, 20, 16, 8, 4, 2)


@dataclass(frozen=True)
class Shape:
    """Sizes of data and model: regions an image, numbers a region, width of the model, answers to choose from."""

    regions: int = 36
    dim: int = 2048
    hidden: int = 1024
    answers: int = 3129


def draw_tokens(rows: int, full: bool, generator: torch.Generator) -> Tensor:
    """Returns questions as word numbers, (rows, 14), padded in front."""
    tokens = torch.randint(2, WORDS, (rows, TOKENS), generator=generator)
    if not full:
        lengths = torch.multinomial(torch.tensor(LENGTHS, dtype=torch.float), rows, True, generator=generator) + 2
        tokens[torch.arange(TOKENS) < TOKENS - lengths.unsqueeze(1)] = 0
    return tokens


def draw_sharing(rows: int) -> Sharing:
    """Returns how so many questions share images."""
    rng = np.random.default_rng(0)
    counts = rng.choice(len(QUESTIONS), rows, p=np.array(QUESTIONS) / sum(QUESTIONS)) + 1
    counts = counts[: int(np.searchsorted(np.cumsum(counts), rows)) + 1]
    counts[-1] -= counts.sum() - rows
    return Sharing.of_counts(counts)


def make_batch(rows: int, ends: int, full: bool, shape: Shape, share: bool = False) -> VqaBatch:
    """Returns a batch of random numbers: so many pair ends and ordinary questions, ``rows`` in all."""
    generator = torch.Generator().manual_seed(0)
    pairs, regions, answers = ends // 2, shape.regions, shape.answers
    counterpart = torch.stack([torch.randperm(regions, generator=generator) for _ in range(pairs)] or [torch.empty(0)])
    alignment = (counterpart, torch.ones(pairs, regions, dtype=torch.bool), counterpart.argsort(1))
    targets = torch.zeros(rows, answers)
    targets[torch.arange(rows).repeat_interleave(3), torch.randint(0, answers, (3 * rows,), generator=generator)] = 0.9
    sharing = draw_sharing(rows - ends) if share else None
    images = rows if sharing is None else ends + sharing.images
    return VqaBatch(
        features=torch.relu(torch.randn(images, regions, shape.dim, generator=generator)),
        boxes=torch.rand(images, regions, 4, generator=generator),
        sizes=torch.ones(images, 2),
        mask=torch.ones(images, regions, dtype=torch.bool),
        tokens=draw_tokens(rows, full, generator),
        targets=targets,
        labels=torch.arange(ends) % answers,
        alignment=(*alignment, alignment[1]) if pairs else (),
        word_alignment=(),
        weight=torch.ones(ends),
        rows=float(rows),
        end_rows=float(ends),
        epoch=0.0,
        seed=1,
        sharing=sharing,
    )
