"""What the tests of several tasks do with runs."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
import yaml

from vqa_gs.training import loop


def metrics(run, split):
    """Returns what a run measured on a split."""
    return json.loads((run / "metrics" / f"{split}.json").read_text())


@contextmanager
def killed_at_the_third_checkpoint(monkeypatch):
    """A block in which whatever trains is interrupted when its third checkpoint is written."""
    saved, count = loop._Run._save, []

    def killed(self):
        saved(self)
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_save", killed)
        yield


def train_with_a_break(config, folder, monkeypatch):
    """Trains a run that is stopped after its third checkpoint and taken up again."""
    with killed_at_the_third_checkpoint(monkeypatch), pytest.raises(KeyboardInterrupt):
        loop.train(config, folder, quiet=True)
    return loop.train(config, folder, quiet=True)


def assert_gradients_are_numeric(step, batch, parameters, unused=False):
    """Compares four numbers of each parameter's gradient, in float64, with finite differences of a step's loss.

    Args:
        step: the training step.
        batch: what it is given.
        parameters: name -> parameter.
        unused: a parameter may have no part in the loss; its gradient is zero then.
    """
    for name, parameter in parameters.items():
        (exact,) = torch.autograd.grad(step(batch)[0], parameter, allow_unused=unused, materialize_grads=unused)
        flat, change = parameter.data.view(-1), 1e-6
        for at in torch.randperm(len(flat), generator=torch.Generator().manual_seed(1))[:4].tolist():
            before, losses = flat[at].item(), []
            for moved in (before + change, before - change):
                flat[at] = moved
                losses.append(step(batch)[0].item())
            flat[at] = before
            numeric = (losses[0] - losses[1]) / (2 * change)
            assert exact.view(-1)[at].item() == pytest.approx(numeric, rel=1e-4, abs=1e-8), name


def short_training(given, folder, name):
    """Returns the command line that trains two steps of a run into ``folder / name``."""
    (folder / "c.yaml").write_text(yaml.safe_dump(given))
    return ["train", "--config", str(folder / "c.yaml"), "--out", str(folder / name), "--max-steps", "2"]
