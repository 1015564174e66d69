"""A process that trains the runs it is handed: ``python -m vqa_gs.study.worker``, jobs in, results out, a line each.

It reads JSON lines ``{"config": ..., "folder": ...}`` and answers each with a `JobResult`. It lives no longer than the
process that started it: when its standard input ends, however that process ended, it ends in the middle of a step;
the run goes on from its checkpoint another day. submitit, which does the same on a cluster, has no such worker: what
its LocalExecutor starts outlives the process that started it, and is a new process for every run.

``python -m vqa_gs.study.worker JOB RESULT`` reads one job from a file and writes its result to another: what
``torchrun`` starts where a run has several processes, of which the first writes.
"""

from __future__ import annotations

import os
import queue
import resource
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from vqa_gs.common.files import write_bytes
from vqa_gs.common.stopping import Stopped
from vqa_gs.eval.suite.spec import Suite, read_suite
from vqa_gs.study.tested import is_tested, put_to

# How long a run may be held by another process, such as the worker of a study just killed, before that is told.
_PATIENCE = 10.0


class Job(msgspec.Struct):
    """A run to train.

    Attributes:
        config: its settings, as plain containers.
        folder: its run directory.
        suite: the file of the suite it is put to then, None where there is none.
        data_dir: the folder of that suite's data.
    """

    config: dict[str, Any]
    folder: str
    suite: str | None = None
    data_dir: str | None = None

    def read_suite(self) -> Suite | None:
        """Reads the suite."""
        return read_suite(self.suite, self.data_dir) if self.suite else None


class JobResult(msgspec.Struct):
    """What became of a job.

    Attributes:
        status: ``busy`` means that another process is training it.
        error: what went wrong, in one line.
        seconds: it took here, reading data and looking at the tests included.
        peak_memory: bytes resident at the most since the process began, torch itself included.
        peak_device_memory: bytes allocated on the GPU at the most, 0 without one.
        crashed: whether the error is none of the user's; the process ends after it.
    """

    status: Literal["done", "failed", "busy"]
    error: str = ""
    seconds: float = 0.0
    peak_memory: int = 0
    peak_device_memory: int = 0
    crashed: bool = False


def train_job(job: Job) -> JobResult:
    """Trains one run and puts it to its suite; whatever goes wrong becomes part of the result."""
    import torch

    from vqa_gs.common.errors import VqaGsError
    from vqa_gs.training.config import config_from_dict
    from vqa_gs.training.loop import train
    from vqa_gs.training.run_dir import RunIsBusy

    start = time.perf_counter()
    result = JobResult("done")
    while True:
        try:
            config, suite = config_from_dict(job.config), job.read_suite()
            folder = train(config, Path(job.folder), quiet=True)
            if suite is not None and is_main() and not is_tested(folder, suite):
                put_to(folder, suite, config.training.device)
        except RunIsBusy as error:
            if time.perf_counter() - start < _PATIENCE:
                time.sleep(0.2)
                continue
            result = JobResult("busy", str(error))
        except VqaGsError as error:
            result = JobResult("failed", str(error))
        except Exception as error:  # one run's mistake must not take the others along
            traceback.print_exc()
            text = " ".join(f"{type(error).__name__}: {error}".split())
            result = JobResult("failed", text, crashed=True)
        break
    result.seconds = time.perf_counter() - start
    result.peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if torch.cuda.is_available():
        result.peak_device_memory = torch.cuda.max_memory_allocated()
    return result


def is_main() -> bool:
    """Whether this process is the first of those that train a run together, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _read_jobs(source: BinaryIO, jobs: queue.Queue[bytes]) -> None:
    for line in source:
        jobs.put(line)
    os._exit(0)  # whoever started this has gone, or has no more to do


def _train_rank(job: Path, said: Path) -> int:
    result = train_job(msgspec.json.decode(job.read_bytes(), type=Job))
    if is_main():
        write_bytes(said, msgspec.json.encode(result))
    return 0 if result.status == "done" else 2


def main() -> None:
    """Answers jobs until standard input ends, or does the one that is named."""
    if len(sys.argv) == 3:
        try:
            sys.exit(_train_rank(Path(sys.argv[1]), Path(sys.argv[2])))
        except Stopped as stopped:
            sys.exit(128 + stopped.number)
    # Results have a channel of their own: what a library prints must not pass for one.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    jobs: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        result = train_job(msgspec.json.decode(jobs.get(), type=Job))
        answers.write(msgspec.json.encode(result) + b"\n")
        answers.flush()
        if result.crashed:
            return


if __name__ == "__main__":
    main()
