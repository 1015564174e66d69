"""What a stranger may have put where a command reads or writes: exit code 2, one line, nothing left, nobody harmed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.vqa_gs.cli.conftest import assert_refused, new_cases, predict, read, write
from tests.vqa_gs.cli.test_errors_of_runs import train
from tests.vqa_gs.common.test_yaml_files import laughs
from vqa_gs.cli import main
from vqa_gs.common.errors import DataError
from vqa_gs.training.checkpoint import FORMAT, Checkpoint

CASES, case = new_cases()


def evaluate(here, *more):
    words = ["evaluate", "--questions", str(here.questions), "--annotations", str(here.annotations)]
    return [*words, "--results", str(here.results), "--out", str(here.out), *more]


def report(here):
    return ["report", str(here.run), "--out", str(here.out) + ".html"]


def settings_of(here):
    return yaml.safe_load((here.run / "config.yaml").read_text())


# Links


def link(here, name, target="victim"):
    here.out = here.run
    (here.run / "done").unlink()
    (here.run / name).unlink(missing_ok=True)
    (here.folder / "victim").write_text("mine")
    (here.run / name).symlink_to(here.folder / target)
    return ["train", "--config", str(here.run / "config.yaml"), "--out", str(here.run)]


@case(".lock", "is a link")
def train_lock_is_a_link(here):
    return link(here, ".lock")


@case("train.log", "is a link")
def train_log_is_a_link(here):
    return link(here, "train.log")


@case("elsewhere", "is a link")
def train_into_a_folder_of_links(here):
    return link(here, "elsewhere", "")


@case(".lock", "is a link")
def train_lock_is_a_link_in_a_new_folder(here):
    (here.folder / "victim").write_text("mine")
    here.out.mkdir()
    (here.out / ".lock").symlink_to(here.folder / "victim")
    return train(here)


# Names that become files


def split_called(name):
    def words(here):
        files = {"questions": str(here.questions), "annotations": str(here.annotations)}
        return train(here, "--data.tests", json.dumps({name: files}))

    return words


for number, name in enumerate(
    ["../../../package", "..", ".", "", "a/b", "a\\b", "a\0b", "a\nb", ".hidden", "a ", "x" * 101, "iid_val", "IID_VAL"]
):
    CASES[f"train_split_{number}"] = (split_called(name), ("data.tests",))


@case("data.tests", "would be one file")
def train_splits_that_differ_in_capitals(here):
    files = {"questions": str(here.questions), "annotations": str(here.annotations)}
    return train(here, "--data.tests", json.dumps({"ood": files, "OOD": files}))


@case("data.tests", "would be one file")
def train_a_split_called_as_another_ones_last_epoch(here):
    files = {"questions": str(here.questions), "annotations": str(here.annotations)}
    more = ["--training.report_last_epoch", "true"]
    return train(here, "--data.tests", json.dumps({"ood": files, "ood_last_epoch": files}), *more)


@case("is not valid Unicode")
def train_a_name_that_is_no_text(here):
    return train(here, "--name", os.fsdecode(b"a\xff"))


@case("is not valid Unicode")
def train_into_a_path_that_is_no_text(here):
    return ["train", "--config", here.config, "--out", os.fsdecode(os.fsencode(here.out) + b"\xff")]


# Settings


@case("config.yaml", "aliases")
def train_aliases(here):
    (here.folder / "config.yaml").write_text(laughs(9))
    here.config = str(here.folder / "config.yaml")
    return train(here)


@case("config.yaml", "aliases")
def predict_aliases(here):
    (here.run / "config.yaml").write_text(laughs(9))
    return predict(here)


@case("config.yaml", "aliases")
def report_aliases(here):
    (here.run / "config.yaml").write_text(laughs(9))
    return report(here)


@case("study.yaml", "aliases")
def study_aliases(here):
    (here.folder / "study.yaml").write_text(laughs(9))
    return ["study", "--config", str(here.folder / "study.yaml"), "--out", str(here.out), "--dry-run"]


@case("config.yaml", "names code")
def predict_code(here):
    (here.run / "config.yaml").write_text(yaml.safe_dump({**settings_of(here), "model": {"class_path": "payload.X"}}))
    return predict(here)


@case("study.yaml", "names code")
def study_code(here):
    study = {"base": here.config, "arms": {"a": {"model": {"class_path": "payload.X"}}}}
    (here.folder / "study.yaml").write_text(yaml.safe_dump(study))
    return ["study", "--config", str(here.folder / "study.yaml"), "--out", str(here.out), "--dry-run"]


@case("study.yaml", "where settings of its own belong")
def study_a_class_by_its_name(here):
    (here.folder / "study.yaml").write_text(yaml.safe_dump({"base": here.config, "arms": {"a": {"model": "os.X"}}}))
    return ["study", "--config", str(here.folder / "study.yaml"), "--out", str(here.out), "--dry-run"]


@case("weight must be a number")
def train_infinite_weight(here):
    return train(here, "--objectives.gradient_supervision.weight", ".inf")


@case("the memory does not suffice")
def train_a_model_larger_than_memory(here):
    return train(here, "--model.hidden", "1000000000")


for number, (flag, value) in enumerate(
    [("--seed", "-1"), ("--seed", str(2**32)), ("--seed", "9" * 60), ("--training.batch_size", str(2**63))]
):
    CASES[f"train_number_{number}"] = (lambda here, flag=flag, value=value: train(here, flag, value), (flag[2:],))


@case("--seed", "must be from 0")
def evaluate_negative_seed(here):
    return evaluate(here, "--seed", "-1")


@case("--bootstrap", "must be from 0 to 1,000,000")
def evaluate_too_many_resamplings(here):
    return evaluate(here, "--bootstrap", "99999999999")


@case("scoring")
def evaluate_no_rule(here):
    return evaluate(here, "--scoring", "")


@case("--workers", "must be from 1")
def extract_without_workers(here):
    (here.folder / "images").mkdir()
    from PIL import Image

    Image.new("RGB", (40, 40)).save(here.folder / "images" / "1.png")
    words = ["features", "extract", "--images", str(here.folder / "images"), "--out", f"{here.out}.h5"]
    return [*words, "--backbone", "resnet18", "--weights", "random", "--device", "cpu", "--workers", "0"]


# Records and checkpoints


def nested(levels):
    return '{"a":' * levels + "1" + "}" * levels


@case("run.json", "nested too deeply")
def report_nested_record(here):
    (here.run / "run.json").write_text(nested(300))
    return report(here)


@case("run.json", "nested too deeply")
def report_very_nested_record(here):
    (here.run / "run.json").write_text(nested(100_000))
    return report(here)


@case("ood_test.json", "nested too deeply")
def report_nested_metrics(here):
    (here.run / "metrics" / "ood_test.json").write_text(nested(300))
    return report(here)


@case("ood_test.json", "is a pipe")
def report_metrics_are_a_pipe(here):
    (here.run / "metrics" / "ood_test.json").unlink()
    os.mkfifo(here.run / "metrics" / "ood_test.json")
    return report(here)


for number, size in enumerate([2**63, 2**62, 10**9, 10**6]):

    def predict_size(here, size=size):
        write(here.run / "run.json", {**read(here.run / "run.json"), "region_dim": size})
        return predict(here)

    CASES[f"predict_region_dim_{number}"] = (predict_size, ("train the run again",))


def checkpoint(here, **changes):
    torch.save({**checkpoint_of(here.run), **changes}, here.run / "checkpoint.pt")
    (here.run / "done").unlink()
    here.out = here.run
    return ["train", "--config", str(here.run / "config.yaml"), "--out", str(here.run)]


def checkpoint_of(run):
    """Returns what a run's checkpoint holds after its first step."""
    model = {f"model.{name}": tensor for name, tensor in load_file(run / "model.safetensors").items()}
    state = {"format": FORMAT, "step": 1, "model": model, "optimizer": {}, "steps_log": [], "epochs_log": []}
    state |= {"best": {"epoch": -1, "accuracy": -1.0, "model": None}, "recent": {}, "epoch_means": {}}
    return {**state, "sources": read(run / "run.json")["sources"]}


@case("checkpoint.pt", "step 1000000000000", "remove it")
def train_checkpoint_of_no_such_step(here):
    return checkpoint(here, step=10**12)


@case("checkpoint.pt", "remove it")
def train_checkpoint_that_calls(here):
    return checkpoint(here, extra=bytearray(5))


@case("pairs.h5", "settings", "no object")
def train_pairs_whose_settings_are_a_list(here):
    with h5py.File(here.pairs, "r+") as file:
        file.attrs["settings"] = "[1]"
    return train(here, "--data.pairs", f"[{here.pairs}]")


# Sizes


@case("questions.json.gz", "no honest file")
def evaluate_questions_that_unpack_to_too_much(here):
    here.questions = here.folder / "questions.json.gz"
    here.questions.write_bytes(gzip.compress(b"[" + b" " * (40 << 20) + b"]"))
    return evaluate(here)


def store_of(here, make):
    with h5py.File(here.store, "r+") as file:
        for name in ("regions/features", "regions/boxes"):
            dtype, width = file[name].dtype, file[name].shape[1]
            del file[name]
            make(file, name, (3_000_000_000, width), dtype)
        file["images/first"][-1] = 3_000_000_000
    return ["features", "check", str(here.store)]


def _unwritten(file, name, shape, dtype):
    file.create_dataset(name, shape, dtype, chunks=(1 << 20, shape[1]))


def _contiguous(file, name, shape, dtype):
    file.create_dataset(name, shape, dtype)


def _virtual(file, name, shape, dtype):
    layout = h5py.VirtualLayout(shape, dtype)
    layout[:2] = h5py.VirtualSource("other.h5", "x", (2, shape[1]))
    file.create_virtual_dataset(name, layout)


@case("store.h5", "stored")
def check_a_store_that_was_never_written(here):
    return store_of(here, _unwritten)


@case("store.h5", "stored")
def check_a_store_without_a_place(here):
    return store_of(here, _contiguous)


@case("store.h5", "in other files")
def check_a_store_of_others(here):
    return store_of(here, _virtual)


@case("store.h5", "in other files")
def info_of_a_store_of_others(here):
    store_of(here, _virtual)
    return ["features", "info", str(here.store)]


# Messages


@case("\\x1b[31m\\x07red")
def evaluate_an_id_that_speaks_to_the_terminal(here):
    content = read(here.questions)
    content[0]["question_id"] = "\x1b[31m\x07red"
    write(here.questions, [*content, content[0]])
    return evaluate(here)


@pytest.mark.parametrize("name", CASES)
def test_hostile_input_is_one_line_and_leaves_nothing(here, capfd, name):
    begun = time.process_time()
    assert_refused(here, capfd, *CASES[name])
    assert time.process_time() - begun < 20
    victim = here.folder / "victim"
    assert not victim.exists() or victim.read_text() == "mine"


@pytest.mark.parametrize(
    "changes",
    [
        {"step": -5},
        {"step": 10**12},
        {"step": 2**70},
        {"step": True},
        {"best": {}},
        {"best": {"epoch": 0, "accuracy": 1.0, "model": None}, "epochs_log": [{"epoch": 0}]},
        {"best": {"epoch": "x", "accuracy": [], "model": 3}},
        {"steps_log": [1, 2]},
        {"steps_log": [{"step": [1]}]},
        {"epochs_log": [{1: 2}]},
        {"recent": {"loss": [1]}},
        {"epoch_means": {"loss": "ab"}},
        {"sources": {1: 2}},
    ],
    ids=str,
)
def test_checkpoints_that_are_none(finished_run, tmp_path, changes):
    content, device = checkpoint_of(finished_run), torch.device("cpu")
    torch.save(content, tmp_path / "checkpoint.pt")
    Checkpoint.load(tmp_path / "checkpoint.pt", device).check_place(tmp_path / "checkpoint.pt", 5, 80)
    torch.save({**content, **changes}, tmp_path / "checkpoint.pt")
    with pytest.raises(DataError, match=r"checkpoint\.pt: .*remove it"):
        Checkpoint.load(tmp_path / "checkpoint.pt", device).check_place(tmp_path / "checkpoint.pt", 5, 80)


def test_an_id_of_thousands_of_digits_is_cut(here, capfd):
    content = read(here.questions)
    content[0]["question_id"] = "9" * 5000
    write(here.questions, [*content, content[0]])
    assert main(evaluate(here)) == 2
    assert len(capfd.readouterr().err) < 3000


def test_a_report_reads_no_file_whose_hash_is_not_recorded(here, capsys):
    (here.folder / "private.json").write_text(json.dumps([{"secret": "of the reader"}]))
    metrics = read(here.run / "metrics" / "ood_test.json")
    for source in metrics["sources"].values():
        source.update(path=str(here.folder / "private.json"), sha256="")
    write(here.run / "metrics" / "ood_test.json", metrics)
    (here.run / "predictions" / "ood_test.json").unlink()
    assert main([*report(here)]) == 0
    page = (here.out.parent / "made.html").read_text()
    assert "is not recorded" in page
    assert "of the reader" not in page


def test_what_is_printed_of_data_does_not_speak_to_the_terminal(here, capfd):
    metrics_of = [*evaluate(here), "--split", "\x1b]0;owned\x07"]
    assert main(metrics_of) == 0
    said = capfd.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out + said.err


def test_a_pipe_among_images_is_left_out(tmp_path):
    from vqa_gs.features.extract.images import load_image

    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(DataError, match="is a pipe"):
        load_image(tmp_path / "1.png")


def test_a_process_ends_with_its_launcher():
    child = "import os, time\nfrom vqa_gs.common.launcher import end_with_launcher\nend_with_launcher()\n"
    child += "print(os.getpid(), flush=True)\ntime.sleep(60)"
    code = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(60)"
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(launcher.stdout.readline())
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    for _ in range(100):
        time.sleep(0.1)
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            break
        if state == "Z":
            break
    else:
        os.kill(pid, 9)
        pytest.fail("it goes on without its launcher")
