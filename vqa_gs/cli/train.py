"""`vqa-gs train`: one run from a YAML configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from vqa_gs.cli import speaks_for_all
from vqa_gs.cli.evaluate_suite import evaluate_run
from vqa_gs.cli.parsing import new_parser
from vqa_gs.common.errors import UsageError, found_in
from vqa_gs.common.yaml_files import read_mapping
from vqa_gs.eval.suite.spec import Suite, read_suite
from vqa_gs.training.config import (
    add_extra_tests,
    add_run_arguments,
    config_from_namespace,
    named_in,
    require_plain_settings,
)

_EXAMPLE = """
vqa-gs train --config configs/vqa2-mini.yaml --out runs/baseline --seed 1
vqa-gs train --config configs/vqa2-mini.yaml --out runs/gs --name gs \\
    --data.pairs pairs.h5 --objectives.gradient_supervision.weight 1
"""
_COMMON = (
    "data.features",
    "data.pairs",
    "data.min_answer_questions",
    "objectives.gradient_supervision.weight",
    "training.epochs",
    "training.lr",
)


def run(words: Sequence[str]) -> None:
    """Trains a run, or goes on with an interrupted one."""
    parser = new_parser(
        "train", "Train a model; called again after an interruption it goes on.", _EXAMPLE, common=_COMMON
    )
    parser.add_argument("--out", type=str, required=True, help="the run directory")
    parser.add_argument("--max-steps", type=int, default=None, help="the same as --training.max_steps")
    extra = "another file a text task is tested on"
    parser.add_argument("--extra-test", action="append", default=[], metavar="NAME=FILE", help=extra)
    tested_on = "a suite of tests; where it has in-domain questions they choose the epoch"
    parser.add_argument("--suite", type=str, default=None, help=tested_on)
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file of settings; its file names are relative to the folder you are in",
    )
    try:
        if (file := _value(words, "--config")) is not None:
            with found_in(file):
                require_plain_settings(read_mapping(file, "configuration"))
        add_run_arguments(parser, *(chosen_name(words, name) for name in ("task", "architecture")))
        given = parser.parse_args(list(words))
        if given.max_steps is not None:
            given["training.max_steps"] = given.max_steps
        config = config_from_namespace(parser, given)
        add_extra_tests(config, given.extra_test)
        suite = _suite(given, config.task) if given.suite else None
    except UsageError as error:
        raise UsageError(error.problem, file=_blamed(words, error.problem), mend=error.mend) from error
    from vqa_gs.training.loop import train  # here: torch is for those who train, not for those who read the options

    if suite is not None:
        from vqa_gs.tasks.vqa.suite_check import choose_on, require_suite

        choose_on(suite, config.data)
        require_suite(suite, config.data)
    folder = train(config, Path(given.out))
    if speaks_for_all():
        print(folder)
        if suite is not None:
            evaluate_run(suite, folder, folder, config.training.device)


def _suite(given: Namespace, task: str) -> Suite:
    if task != "vqa":
        raise UsageError(f"--suite is of visual questions, the task is {task}", mend="leave it out")
    return read_suite(given.suite, given.data_dir)


def chosen_name(words: Sequence[str], name: str) -> str | None:
    """Returns what a setting is given as by its flag, else by the configuration file: it decides what other flags are.

    None where it is not given, or the file cannot be read, which parsing tells of.
    """
    given = _value(words, f"--{name}")
    if given is not None:
        return given
    file = _value(words, "--config")
    return None if file is None else named_in(file, name)


def _value(words: Sequence[str], flag: str) -> str | None:
    """Returns the value of a flag given as ``--flag value`` or ``--flag=value``, the last one's."""
    found = None
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == flag:
            found = value if equals else next(iter(words[at + 1 :]), None)
    return found


def _blamed(words: Sequence[str], problem: str) -> str | None:
    """Returns the configuration file where a bad setting is its own, not one given as a flag."""
    file = _value(words, "--config")
    if file is None:
        return None
    flags = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
    named = re.findall(r"[a-z_]+(?:\.[a-z_]+)*", problem)
    last = {name.rpartition(".")[2] for name in named}
    if any(flag.rpartition(".")[2] in last for flag in flags - {"config", "out"}):
        return None
    return file
