"""Each fork has a process of its own, ends when it is told to, and none outlives who asked for it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from vqa_gs.common.fork_server import ForkServer, ForkServerLost

SCRIPT = """
import os, sys, time

MEMORY = 1 << 30
told = []

def prepare(*words):
    told.extend(words)

def main(do, *words):
    told.append(do)
    print(os.getpid(), *told, *words, flush=True)
    while do == "hang":
        time.sleep(60)
    if do == "grow":
        bytearray(2 << 30)
        print("grown")
    if do == "raise":
        raise ValueError("x")
"""


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


@pytest.fixture
def server(script):
    return ForkServer(script, "ready")


def said(fork):
    """Returns what a fork writes until it ends."""
    with open(os.dup(fork.pipe), encoding="utf-8") as pipe:
        return pipe.read().split()


def line(fork):
    """Returns what a fork that hangs has written."""
    return os.read(fork.pipe, 1000).decode().split()


def is_there(number):
    try:
        with open(f"/proc/{number}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(number):
    until = time.monotonic() + 30
    while is_there(number) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_there(number)


def test_a_fork_a_request_that_knows_nothing_of_others(server):
    forks = [server.start(["go", "é"]), server.start(["go", "b"])]
    (one, *first), (other, *second) = map(said, forks)
    for fork in forks:
        fork.close()
    assert (first, second) == (["ready", "go", "é"], ["ready", "go", "b"])
    assert one != other


def test_what_was_written_before_an_error_arrives(server):
    fork = server.start(["raise"])
    assert said(fork)[1:] == ["ready", "raise"]
    fork.close()


def test_a_fork_keeps_to_its_memory(server):
    fork = server.start(["grow"])
    assert said(fork)[1:] == ["ready", "grow"]
    fork.close()


def test_a_fork_that_hangs_is_ended_and_the_server_lives(server):
    fork = server.start(["hang"])
    number, *_ = line(fork)
    assert is_there(number)
    fork.close()
    assert not is_there(number)
    fork.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fork.pipe)
    again = server.start(["go"])
    assert said(again)[1:] == ["ready", "go"]
    again.close()


def test_a_server_that_was_killed_is_started_again(server):
    fork = server.start(["hang"])
    number, *_ = line(fork)
    with open(f"/proc/{number}/stat", encoding="ascii") as file:
        parent = int(file.read().rsplit(")", 1)[1].split()[1])
    os.kill(parent, signal.SIGKILL)
    other = server.start(["go"])
    assert said(other)[1:] == ["ready", "go"]
    other.close()
    fork.close()
    os.kill(int(number), signal.SIGKILL)


def test_a_script_that_cannot_be_loaded(tmp_path):
    (tmp_path / "script.py").write_text("import no_such_module")
    with pytest.raises(ForkServerLost):
        ForkServer(tmp_path / "script.py").start([])


def test_forks_end_with_who_asked_even_where_they_hang(server):
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        fork = server.start(["hang"])
        os.write(target, line(fork)[0].encode())
        time.sleep(60)
        os._exit(0)
    number = os.read(source, 100).decode()
    assert is_there(number)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_until_gone(number)
    for pipe in (source, target):
        os.close(pipe)


def test_a_process_that_was_forked_has_a_server_of_its_own(server):
    fork = server.start(["hang"])
    number, *_ = line(fork)
    child = os.fork()
    if child == 0:
        own = server.start(["go"])
        right = said(own)[1:] == ["ready", "go"]
        own.close()
        fork.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_there(number)
    fork.close()
    assert not is_there(number)
