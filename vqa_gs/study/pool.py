"""Several runs at once on this machine, each worker a process of its own that ends with this one.

On a cluster submitit does this (`vqa_gs.study.submit`). Its LocalExecutor does not take this module's place: a worker
of its outlives the study, however that ends, and trains on unseen; it is a process for each run, which imports torch
anew in the time that small runs take; and it divides neither cores nor GPUs among those that run at once.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import open_own
from vqa_gs.study.worker import Job, JobResult

T = TypeVar("T")


class Worker:
    """A process that trains one run after the other; started anew where it was lost.

    Args:
        log: the file that takes what it prints; removed on `close` if that was nothing.
        environment: its environment variables.
    """

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self.log, self.environment = log, environment
        self._process: subprocess.Popen[bytes] | None = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            try:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                log = os.fdopen(open_own(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
            except OSError as error:
                raise DataError(f"cannot be written: {error.strerror}", file=self.log) from error
            with log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "vqa_gs.study.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.environment,
                    # Out of reach of the terminal's Ctrl-C: this process ends it by closing its input.
                    start_new_session=True,
                )
        return self._process

    def run(self, job: Job) -> JobResult:
        """Trains a run and returns what became of it; a process that died on the way is a failure of the run."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line.endswith(b"\n"):
            code = process.wait()
            why = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            return JobResult("failed", f"its process {why}; see {self.log}", crashed=True)
        result = msgspec.json.decode(line, type=JobResult)
        if result.crashed:
            result.error += f"; see {self.log}"
            process.wait()
        return result

    def close(self) -> None:
        """Ends the process at once; a run it was at goes on from its checkpoint when called again."""
        if self._process is not None:
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        with suppress(OSError):
            if self.log.stat().st_size == 0:
                self.log.unlink()


def available_cores() -> int:
    """Returns how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def child_environment() -> dict[str, str]:
    """Returns the environment of a child that imports nothing that happens to lie in the user's folder."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


def worker_environment(index: int, workers: int, devices: int) -> dict[str, str]:
    """Returns the environment of one of several workers: its share of the cores, and one of the GPUs.

    Args:
        index: which worker, from 0 on.
        workers: how many there are.
        devices: how many GPUs are visible to this process.
    """
    environment = child_environment()
    environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // workers)))
    if devices > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = visible if len(visible) >= devices else [str(device) for device in range(devices)]
        environment["CUDA_VISIBLE_DEVICES"] = names[index % devices]
    return environment


def run_all(
    items: Sequence[T],
    job_of: Callable[[T], Job],
    workers: int,
    logs: Path,
    started: Callable[[T], None],
    ended: Callable[[T, JobResult], None],
    devices: int = 0,
) -> None:
    """Trains runs, several at once.

    Args:
        items: the runs, in the order they are begun in.
        job_of: makes a run's job.
        workers: how many at once.
        logs: folder for what the workers print.
        started: told of a run when it begins.
        ended: told of a run when it has ended; never from two threads at once.
        devices: how many GPUs are visible.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    telling = threading.Lock()
    problems: list[BaseException] = []
    stopping = threading.Event()
    count = max(1, min(workers, len(items)))
    hands = [
        Worker(
            logs / f"worker-{socket.gethostname()}-{os.getpid()}-{index}.log",
            worker_environment(index, count, devices),
        )
        for index in range(count)
    ]

    def work(hand: Worker) -> None:
        try:
            while not stopping.is_set():
                item = waiting.get_nowait()
                with telling:
                    started(item)
                result = hand.run(job_of(item))
                if stopping.is_set():
                    return
                with telling:
                    ended(item, result)
        except queue.Empty:
            return
        except BaseException as problem:
            problems.append(problem)
            stopping.set()

    threads = [threading.Thread(target=work, args=(hand,), daemon=True) for hand in hands]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not stopping.is_set():
                thread.join(0.2)
    finally:
        stopping.set()
        for hand in hands:
            hand.close()
    if problems:
        raise problems[0]
