"""The command line: `vqa-gs COMMAND ...`, one small file a command.

A command's module is imported only when it is called, so that scoring never waits for torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from importlib import import_module
from textwrap import wrap

from vqa_gs import __version__
from vqa_gs.cli.help import columns, text_width
from vqa_gs.common.errors import VqaGsError, out_of_memory
from vqa_gs.common.names import require_text
from vqa_gs.common.phases import StderrHandler, listening
from vqa_gs.common.spelling import chosen
from vqa_gs.common.stopping import Stopped
from vqa_gs.common.terminal import PrintableStream

COMMANDS = {
    "demo": "the whole path on a world it draws itself",
    "data": "make questions of a table; check questions before training",
    "features": "extract, convert, check, describe region stores",
    "pairs": "build, describe tables of counterfactual pairs",
    "split": "re-split a dataset so that answer priors change, measure how far they differ",
    "train": "train a model from a YAML configuration",
    "study": "arms x seeds x datasets from one file, run to completion and compared",
    "ask": "ask a trained model about a picture",
    "predict": "answer questions with a trained model",
    "evaluate": "score predicted answers and break the score down",
    "compare": "two systems on the same questions: differences, intervals, tests",
    "report": "set several runs side by side, as HTML or Markdown",
    "completion": "print what makes a shell complete commands and options",
}


def speaks_for_all() -> bool:
    """Whether this process is the one of its machine that talks, where several train together."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def usage() -> str:
    """Returns the text of `vqa-gs --help`."""
    ends = (
        "vqa-gs COMMAND --help tells a command's options, --help-all every setting. --quiet anywhere: no bars, no"
        " remarks. --version. A command that was stopped goes on when it is called again."
    )
    return "\n".join(["usage: vqa-gs COMMAND ...", "", *columns(COMMANDS.items()), "", *wrap(ends, text_width())])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after `vqa-gs`; those of the process when left out.

    Returns:
        0, or 2 when the user's input was bad, which one line on standard error tells; 128 and its number after a
        signal.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    quiet = "--quiet" in words
    words = [word for word in words if word != "--quiet"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if "--version" in words:
        print(f"vqa-gs {__version__}")
        return 0
    try:
        for word in words:
            require_text(word, "the word")
        command = chosen(words[0], COMMANDS, "command")
        with (
            listening(StderrHandler()) if speaks_for_all() and not quiet else nullcontext(),
            redirect_stdout(PrintableStream(sys.stdout)),
        ):
            module = import_module(f"vqa_gs.cli.{command}")
            import_module("vqa_gs.cli.parsing").STATE.quiet = quiet
            module.run(words[1:])
    except VqaGsError as error:
        if speaks_for_all():
            print(f"vqa-gs: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        problem = out_of_memory(error)
        if problem is None:
            raise
        if speaks_for_all():
            print(f"vqa-gs: {problem}", file=sys.stderr)
        return 2
    except Stopped as error:
        if speaks_for_all():
            print(f"vqa-gs: {error}", file=sys.stderr)
        return 128 + error.number
    except KeyboardInterrupt as error:
        if speaks_for_all():
            told = str(error) or "stopped; the same command goes on or starts clean"
            print(f"vqa-gs: {told}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `vqa-gs ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0
