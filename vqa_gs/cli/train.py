"""`vqa-gs train`: one run from a YAML configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli._shared import new_parser
from vqa_gs.training.config import add_run_arguments, config_from_namespace
from vqa_gs.training.loop import train


def run(words: Sequence[str]) -> None:
    """Trains a run, or goes on with an interrupted one."""
    parser = new_parser("train", "Train a model; called again after an interruption it goes on.")
    parser.add_argument("--out", type=str, required=True, help="the run directory")
    add_run_arguments(parser)
    given = parser.parse_args(list(words))
    print(train(config_from_namespace(parser, given), Path(given.out)))
