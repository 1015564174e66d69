"""Opening a finished run, whatever task it learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.tasks import TASKS
from vqa_gs.training.config import load_config


def load(run: StrPath, device: str = "auto", **how: Any) -> Any:
    """Opens a finished run, to be asked.

    Args:
        run: the run directory.
        device: ``auto`` takes CUDA where there is one, else the CPU.
        how: how features of pictures are made where the run's store does not tell: ``boxes``, ``regions``, ``weights``
            and the other fields of `vqa_gs.features.extract.again.Wishes`.

    Returns:
        For visual questions a `vqa_gs.tasks.vqa.loaded.LoadedModel`, with ``answer``, ``answer_many``, ``attention``
        and ``plot``; for texts a `vqa_gs.pipeline.trained_texts.TrainedTexts`; for labels of images a
        `vqa_gs.tasks.multilabel.trained.TrainedLabels`.

    Raises:
        DataError: there is no such run, or files of it are missing or damaged.
        UsageError: the device is not there.

    Example:
        >>> model = load("runs/demo/runs/pairs-gs-seed0")  # doctest: +SKIP
        >>> model.answer("photo.jpg", "What color is the circle?", top=1)  # doctest: +SKIP
        [Guess(answer='red', score=0.97)]
        >>> load("runs/no-such-run")
        Traceback (most recent call last):
        vqa_gs.common.errors.DataError: runs/no-such-run: no such run directory (train one with `vqa-gs train`)
    """
    folder = Path(run)
    if not folder.is_dir():
        raise DataError("no such run directory", file=folder, mend="train one with `vqa-gs train`")
    config = load_config(folder / "config.yaml")
    # A network's first values are drawn, to be replaced at once: the caller's random numbers are none of its business.
    with torch.random.fork_rng(devices=[]):
        return TASKS[config.task].trained(folder, config, device, **how)
