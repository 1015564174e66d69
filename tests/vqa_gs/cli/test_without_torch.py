"""Commands that read options, or look into files, start without torch and its kin: they answer at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from vqa_gs.pair_builders.table import PairTable, write_pair_table

BLOCKED = """
import contextlib, io, json, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in heavy:
            asked.append(name)  # a parser that evaluates annotations hides the error
            raise ImportError(f"{name} was imported")

heavy = {"torch", "torchvision", "timm", "faiss", "accelerate", "tensorboard", "scipy", "pycocotools", "pyarrow"}
asked = []
sys.meta_path.insert(0, Refused())

from vqa_gs.cli import main

def ran(words):
    out, error = io.StringIO(), io.StringIO()
    asked.clear()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = main(words)
        except SystemExit as end:  # the parser's way to end after a help text
            code = end.code
        except ImportError as refused:
            code = str(refused)
    return asked[:1] or code, out.getvalue() + error.getvalue()

commands = json.load(sys.stdin)
told = [ran(words) for words in commands["helps"]]
heavy -= {"scipy"}  # what computes with it may import it
json.dump({"helps": told, "looks": {name: ran(words) for name, words in commands["looks"].items()}}, sys.stdout)
"""

SETTINGS = """
from dataclasses import dataclass
from vqa_gs.objectives import OBJECTIVES

@OBJECTIVES.settings("from_elsewhere", "a_module_with_torch")
@dataclass(frozen=True)
class Settings:
    weight: float = 0.0
"""

HELPS = (
    "ask",
    "completion",
    "demo",
    "data check",
    "data from-csv",
    "features check",
    "features convert",
    "features export",
    "features extract",
    "features info",
    "features merge",
    "features show",
    "pairs build",
    "pairs info",
    "pairs show",
    "split changing-priors",
    "split image-groups",
    "split check",
    "train",
    "train --architecture mcan",
    "train --task sentiment",
    "train --task nli",
    "train --task multilabel",
    "study",
    "predict",
    "evaluate",
    "compare",
    "report",
)
LOOKS = ("version", "usage", "features info", "pairs info", "data check", "split check", "evaluate", "compare")


@pytest.fixture(scope="module")
def told(tiny, tmp_path_factory):
    """What all commands said in one process that can import nothing heavy."""
    folder = tmp_path_factory.mktemp("looks")
    data = tiny["data"]
    train, test = data["train"], data["tests"]["ood_test"]
    named = ["--questions", test["questions"], "--annotations", test["annotations"]]
    questions = json.loads(Path(test["questions"]).read_text(encoding="utf-8"))
    results = folder / "results.json"
    results.write_text(json.dumps([{"question_id": one["question_id"], "answer": "red"} for one in questions]))
    table = folder / "pairs.h5"
    write_pair_table(table, PairTable.of_one_kind("same-question", [2000], [2001]))
    pairs = ["--pairs", f"two={table}"]
    (folder / "settings.py").write_text(SETTINGS)
    looks = {
        "version": ["--version"],
        "usage": ["--help"],
        "features info": ["features", "info", data["features"]],
        "pairs info": ["pairs", "info", data["pairs"][0]],
        "data check": ["data", "check", *named, "--features", data["features"]],
        "split check": ["split", "check", train["annotations"], test["annotations"]],
        "evaluate": ["evaluate", *named, "--results", str(results), "--out", str(folder / "metrics.json"), *pairs],
        "compare": ["compare", str(results), str(results), *named],
    }
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        input=json.dumps(
            {"helps": [[*words.split(), f"--help{all}"] for all in ("", "-all") for words in HELPS], "looks": looks}
        ),
        env={**os.environ, "VQA_GS_PLUGINS": str(folder / "settings.py")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", HELPS)
def test_help_needs_nothing_heavy(told, command):
    at = HELPS.index(command)
    (code, text), (of_all, whole) = told["helps"][at], told["helps"][at + len(HELPS)]
    assert (code, of_all) == (0, 0), (text, whole)
    assert f"vqa-gs {command.partition(' --')[0]}" in text
    assert len(whole) >= len(text)


@pytest.mark.parametrize("command", LOOKS)
def test_looking_needs_no_torch(told, command):
    code, text = told["looks"][command]
    assert code == 0, (code, text)
    assert text


def test_settings_of_a_plugin_are_listed_without_the_plugin_itself(told):
    assert "--objectives.from_elsewhere.weight" in told["helps"][len(HELPS) + HELPS.index("train")][1]
