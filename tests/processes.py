"""Programs in processes of their own, forked from one that has imported what takes long: torch, and what it imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

MAIN = "import sys; from vqa_gs.cli import main; sys.exit(main())"

# It imports no part that is found by name, so that each child finds the plug-ins of its own environment.
SERVER = """
import json, os, resource, sys, traceback
import accelerate, docstring_parser, faiss, jsonargparse, scipy.optimize, scipy.sparse.csgraph, scipy.stats, timm
import tensorboard.summary.writer.record_writer, torch._dynamo, torch.utils.tensorboard.summary, torchvision
import vqa_gs.cli.parsing, vqa_gs.models.vqa.updn, vqa_gs.objectives.terms.gradient_supervision, vqa_gs.tasks.vqa.splits
import vqa_gs.features.extract.run, vqa_gs.study.worker
from vqa_gs.common.registry import load_plugins
assert not load_plugins.cache_info().currsize

def opened(name):
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)

def run(program, words, environment, folder, limit, out, error):
    for number, file in ((0, opened(os.devnull)), (1, opened(out)), (2, error)):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["-c", *words]
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
        return 0
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()

pipes = {}
for line in sys.stdin:
    asked, given = json.loads(line)
    if asked == "start":
        *given, limit, out, error = given
        # What it says must not be cut off by the limit, which pipes know nothing of.
        read, write = os.pipe() if limit else (None, opened(error))
        answer = os.fork()
        if answer == 0:
            os._exit(run(*given, limit, out, write))
        os.close(write)
        if limit:
            pipes[answer] = read, error
    else:
        child, status = os.waitpid(given, os.WNOHANG)
        answer = os.waitstatus_to_exitcode(status) if child else None
        if child in pipes:
            read, error = pipes.pop(child)
            with open(read) as said, open(error, "w") as file:
                file.write(said.read())
    print(json.dumps(answer), flush=True)
"""


class Processes:
    """Starts programs.

    Args:
        folder: for what they print.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.run("--version").returncode == 0  # it has imported everything when it answers

    def ask(self, what, given):
        """Asks the server for something, and returns its answer."""
        self.server.stdin.write(json.dumps([what, given]) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def start(self, *words, program=MAIN, folder=None, limit=0, **environment):
        """Starts the command line, or another program as ``python -c`` would.

        Args:
            words: its arguments.
            program: its source.
            folder: where it runs.
            limit: its files may not grow beyond so many bytes; 0: as large as they like.
            environment: variables beside those of this process.
        """
        self.number += 1
        out, error = (self.folder / f"{self.number}.{name}" for name in ("out", "error"))
        told = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        given = [program, [*map(str, words)], told, str(folder or os.getcwd()), limit, str(out), str(error)]
        return Process(self, self.ask("start", given), out, error)

    def run(self, *words, **options):
        """Runs a program to its end."""
        process = self.start(*words, **options)
        process.wait()
        return process

    def close(self):
        """Ends the server."""
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()


class Process:
    """A program that was started.

    Attributes:
        pid: its number.
        returncode: what it ended with, None while it has not; below 0 the signal that ended it.
    """

    def __init__(self, processes, pid, out, error):
        self.processes, self.pid, self.returncode = processes, pid, None
        self._out, self._error = out, error

    @property
    def stdout(self):
        """What it wrote to standard output so far."""
        return self._out.read_text() if self._out.exists() else ""

    @property
    def stderr(self):
        """What it wrote to standard error so far."""
        return self._error.read_text() if self._error.exists() else ""

    def poll(self):
        """Returns its exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self.processes.ask("poll", self.pid)
        return self.returncode

    def wait(self, seconds=600):
        """Returns its exit code when it has ended, None where it has not in so many seconds."""
        self.wait_until(lambda: False, seconds)
        return self.returncode

    def kill(self):
        """Kills it, at whatever it is."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait_until(self, met, seconds=60):
        """Waits until a condition is met, or it has ended, or time is over."""
        until = time.monotonic() + seconds
        while not met() and self.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
