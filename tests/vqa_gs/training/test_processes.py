"""Several processes train what one process trains, and bad input that one of them meets ends all of them."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from vqa_gs.features.store import RegionStore

from vqa_gs.training.config import config_from_dict
from vqa_gs.training.loop import train

# Two processes, each running the command line several times over.
MANY = """
import json, sys
from vqa_gs.cli import main
for words in json.loads(sys.argv[1]):
    print("code", main(words), flush=True)
    print("-- next", file=sys.stderr, flush=True)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_two(processes, commands):
    """Runs command lines one after the other in two processes; returns [(exit code, standard error), ...] of each."""
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    two = [
        processes.start(json.dumps(commands), program=MANY, **shared, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(2)
    ]
    assert [process.wait() for process in two] == [0, 0], [process.stderr for process in two]
    ranks = []
    for process in two:
        codes = [int(line.split()[1]) for line in process.stdout.splitlines() if line.startswith("code")]
        ranks.append(list(zip(codes, process.stderr.split("-- next\n"), strict=False)))
    return ranks


def spoil_image(store, image):
    """Writes a NaN over the first number of an image, as a foreign program's store may hold."""
    index = RegionStore(store)
    row = list(index.image_ids).index(image)
    at = index._index.offset + int(index._index.first[row]) * index.dim * 4
    with open(store, "r+b") as file:
        file.seek(at)
        file.write(np.float32(np.nan).tobytes())


@pytest.fixture(scope="module")
def outcome(processes, tiny, crowded, tmp_path_factory):
    """Runs everything once; returns the folder and what both processes said."""
    folder = tmp_path_factory.mktemp("two")
    # 79 questions and 3 pairs a step: one process's share is larger, and the second step of an epoch leaves the
    # other one without questions.
    common = ["--model.dropout_attention", "0", "--training.epochs", "3", "--training.batch_size", "79"]
    common += ["--training.pairs_per_batch", "3", "--training.checkpoint_every", "1"]
    six = ["--training.max_steps", "6"]
    foreign = folder / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("not a run")
    spoilt = folder / "spoilt.h5"
    shutil.copy(tiny["data"]["features"], spoilt)
    spoil_image(spoilt, 17)
    words = ["train", "--config", tiny["file"], *common]
    commands = {
        "gs": [*words, "--out", str(folder / "gs")],
        "baseline": [*words, "--objectives.gradient_supervision.weight", "0", "--out", str(folder / "baseline")],
        "shared": [
            "train",
            "--config",
            crowded_file(crowded, folder),
            *common[:2],
            *six,
            "--out",
            str(folder / "shared"),
        ],
        "foreign": [*words, "--out", str(foreign)],
        "missing": [*words, "--out", str(folder / "missing"), "--data.features", str(folder / "nowhere.h5")],
        "spoilt": [*words, "--out", str(folder / "spoilt"), "--data.features", str(spoilt)],
    }
    ranks = run_two(processes, list(commands.values()))
    return folder, {name: (ranks[0][at], ranks[1][at]) for at, name in enumerate(commands)}


def crowded_file(crowded, folder):
    (folder / "crowded.yaml").write_text(json.dumps(crowded))
    return str(folder / "crowded.yaml")


def alone(tiny, out, weight):
    values = {key: value for key, value in tiny.items() if key != "file"}
    values["model"] = {**values["model"], "dropout_attention": 0.0}
    sizes = {"epochs": 3, "batch_size": 79, "pairs_per_batch": 3}
    if values["training"].get("share_images"):
        sizes = {"max_steps": 6}
    values["training"] = {**values["training"], **sizes}
    values["objectives"] = {"gradient_supervision": {"weight": weight}}
    return train(config_from_dict(values), out, quiet=True)


@pytest.mark.parametrize(("arm", "weight"), [("gs", 1.0), ("baseline", 0.0), ("shared", 1.0)])
def test_two_processes_train_what_one_trains(outcome, tiny, crowded, tmp_path, arm, weight):
    folder, said = outcome
    assert [code for code, _ in said[arm]] == [0, 0]
    one = alone(crowded if arm == "shared" else tiny, tmp_path / arm, weight)
    two = folder / arm
    assert json.loads((two / "run.json").read_text())["processes"] == 2
    expected, found = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    for name, tensor in expected.items():
        # The attention's softmax does not depend on its bias: the gradient is rounding noise, which Adamax blows up;
        # so it does where another gradient is nearly zero, but less. One step moves a weight by up to 0.02.
        if name != "attention_score.bias":
            torch.testing.assert_close(
                found[name], tensor, rtol=1e-5, atol=2e-4, msg=lambda text, n=name: f"{n} {text}"
            )
    for split in ("iid_val", "ood_test"):
        here, there = (json.loads((run / "metrics" / f"{split}.json").read_text()) for run in (one, two))
        assert here == there
    logs = [np.genfromtxt(run / "epochs.csv", delimiter=",", names=True) for run in (one, two)]
    for column in ("loss", "answer_loss", "gs_loss", "gs_cosine", "iid_val"):
        np.testing.assert_allclose(logs[1][column], logs[0][column], rtol=1e-5)


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("foreign", "is no run directory"),  # only the main process looks
        ("missing", "nowhere.h5"),  # every process meets it
        ("spoilt", "image 17: the features hold NaN"),  # the process that reads the image meets it
    ],
)
def test_bad_input_ends_every_process_with_one_line(outcome, case, problem):
    folder, said = outcome
    (main_code, main_error), (other_code, other_error) = said[case]
    assert (main_code, other_code) == (2, 2)
    lines = [line for line in main_error.splitlines() if line.startswith("vqa-gs:")]
    assert len(lines) == 1
    assert problem in lines[0]
    assert "Traceback" not in main_error + other_error
    assert other_error == ""


@pytest.mark.slow
def test_torchrun_starts_the_command_line(tiny, tmp_path):
    words = ["train", "--config", tiny["file"], "--max-steps", "2", "--out", str(tmp_path / "run")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vqa_gs"]
    ended = subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(str(tmp_path / "run")) == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_a_run_goes_on_after_its_launcher_was_killed(tiny, tmp_path):
    run = tmp_path / "run"
    words = ["train", "--config", tiny["file"], "--training.epochs", "40", "--out", str(run)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vqa_gs"]
    process = subprocess.Popen([*launcher, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "epochs.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    ranks = _children(process.pid)
    assert len(ranks) == 2
    process.kill()  # as the kernel does where memory is short: the launcher cannot end its processes
    process.wait()
    while any(map(_runs, ranks)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(map(_runs, ranks))
    assert not (run / "done").exists()
    again = subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=180, check=False)
    assert again.returncode == 0, again.stderr
    assert (run / "done").exists()
    assert (run / "train.log").read_text().count("epoch 0:") == 1  # it was taken up, not begun again


def _children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if _runs(int(child))]


def _runs(pid):
    """Whether a process runs: a killed one whose parent has gone may stay for a while as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
