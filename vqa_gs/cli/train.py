"""`vqa-gs train`: one run from a YAML configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli import speaks_for_all
from vqa_gs.cli._shared import new_parser
from vqa_gs.common.errors import UsageError
from vqa_gs.training.config import add_run_arguments, config_from_namespace
from vqa_gs.training.loop import train


def run(words: Sequence[str]) -> None:
    """Trains a run, or goes on with an interrupted one."""
    parser = new_parser("train", "Train a model; called again after an interruption it goes on.")
    parser.add_argument("--out", type=str, required=True, help="the run directory")
    parser.add_argument("--max-steps", type=int, default=None, help="the same as --training.max_steps")
    add_run_arguments(parser)
    try:
        given = parser.parse_args(list(words))
        if given.max_steps is not None:
            given["training.max_steps"] = given.max_steps
        config = config_from_namespace(parser, given)
    except UsageError as error:
        raise UsageError(error.problem, file=_blamed(words, error.problem), mend=error.mend) from error
    folder = train(config, Path(given.out))
    if speaks_for_all():
        print(folder)


def _blamed(words: Sequence[str], problem: str) -> str | None:
    """Returns the configuration file where a bad setting is its own, not one given as a flag."""
    if not any(word.partition("=")[0] == "--config" for word in words):
        return None
    flags = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
    named = re.findall(r"[a-z_]+(?:\.[a-z_]+)*", problem)
    last = {name.rpartition(".")[2] for name in named}
    if any(flag.rpartition(".")[2] in last for flag in flags - {"config", "out"}):
        return None
    at = next(at for at, word in enumerate(words) if word.partition("=")[0] == "--config")
    return words[at].partition("=")[2] or next(iter(words[at + 1 :]), None)
