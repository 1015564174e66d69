"""The command line as a newcomer meets it: help, spellings, typing errors, completion."""

import json
import shutil
import subprocess

import pytest

from vqa_gs import __version__
from vqa_gs.cli import COMMANDS, main
from vqa_gs.cli.completion import options
from vqa_gs.training.config import config_from_dict

KNOWN = options()
# Flags that read a file of a section's settings, as --config does for all of them, and what the parser adds by itself.
SECTIONS = {"--print_config", "--data", "--model", "--training", "--objectives", "--data.train", "--world", "--objects"}


def shown(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0
    return capsys.readouterr().out


def refused(capsys, *words):
    assert main(list(map(str, words))) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", [name for name, known in KNOWN.items() if name and known[0].startswith("-")])
def test_help_is_short_and_in_words(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    page = shown(capsys, *command, "--help")
    lines = page.splitlines()
    assert len(lines) <= 60
    assert lines[0].startswith(f"usage: vqa-gs {' '.join(command)}")
    assert "example:" in lines
    assert not {"<function", "<class", "typing.", "type: "} & {word for word in ("<function", "<class") if word in page}
    about = lines[: lines.index("example:")]
    assert max(map(len, about)) <= 80
    whole = shown(capsys, *command, "--help-all")
    assert [flag for flag in KNOWN[command] if f" {flag}" not in whole and flag not in SECTIONS] == []


def test_help_all_tells_every_setting_of_a_run(capsys):
    brief, whole = shown(capsys, "train", "--help"), shown(capsys, "train", "--help-all")
    for name in ("--data.val_fraction NUMBER", "--objectives.expert.mix reweight|product|learned"):
        assert name in whole
        assert name not in brief
    assert "--training.lr NUMBER" in brief
    assert "--model.*:" in brief


@pytest.mark.parametrize("group", COMMANDS)
def test_every_command_is_told_and_groups_tell_theirs(group, capsys):
    assert main(["--help"]) == 0
    assert f"  {group}" in capsys.readouterr().out
    inner = [name[1] for name in KNOWN if len(name) == 2 and name[0] == group]
    if inner:
        assert main([group, "--help"]) == 0
        told = capsys.readouterr().out
        for name in inner:
            (line,) = [line for line in told.splitlines() if line.startswith(f"  {name} ")]
            assert len(line.split()) > 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "no command 'trian' (did you mean train?"),
        (["features", "extrct"], "no command of `vqa-gs features` called 'extrct' (did you mean extract?"),
        (["pairs"], "a word missing (choose one of build, info, show)"),
        (["evaluate", "--qestions", "q"], "no option --qestions (did you mean --questions?)"),
        (["train", "--epochs", "3"], "no option --epochs (did you mean --training.epochs?)"),
        (["train", "--training.epoch", "3"], "did you mean --training.epochs?"),
        (["train", "--zzzzzzz", "3"], "see `vqa-gs train --help`"),
        (["train", "--task", "vqaa", "--out", "x"], "no task called 'vqaa' (did you mean vqa?"),
    ],
)
def test_typing_errors(words, message, capsys):
    assert message in refused(capsys, *words)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("training: {epoch: 3}", "did you mean training.epochs?"),
        ("trianing: {epochs: 3}", "did you mean training.epochs?"),
    ],
)
def test_typing_errors_in_a_configuration(part, message, tmp_path, capsys):
    data = "data: {features: x.h5, train: {questions: q.json, annotations: a.json}}"
    (tmp_path / "c.yaml").write_text(f"{data}\n{part}\n")
    assert message in refused(capsys, "train", "--config", tmp_path / "c.yaml", "--out", tmp_path / "run")


def test_dashes_and_underscores_are_one(tmp_path, capsys):
    told = refused(capsys, "data", "from_csv", tmp_path / "t.csv", "--images", tmp_path / "no", "--out", tmp_path)
    assert "no such folder of images" in told
    told = refused(capsys, "features", "extract", "--images", tmp_path / "no", "--out", "x", "--short_side", "64")
    assert "no such folder of images, and no list of them" in told
    words = ["--out", tmp_path / "run", "--data.train.questions", "q.json", "--data.train.annotations", "a.json"]
    told = refused(capsys, "train", *words, "--data.features", "f.h5", "--training.batch-size", "0")
    assert "training.batch_size" in told


def test_names_of_parts_are_kept_in_one_spelling(tiny):
    config = config_from_dict({"data": tiny["data"], "architecture": "question-only", "scoring": "exact_normalized"})
    assert (config.architecture, config.scoring, config.task) == ("question_only", "exact-normalized", "vqa")


@pytest.mark.parametrize("given", [["p.h5"], ["[p.h5]"], ['["p.h5"]'], ["p.h5", "--seed", "1"]])
def test_a_list_of_one_needs_no_brackets(given, tiny, tmp_path, capsys):
    told = refused(capsys, "train", "--config", tiny["file"], "--out", tmp_path / "run", "--data.pairs", *given)
    assert "p.h5: no such" in told
    assert "relative to " in told


def test_two_files_are_a_list_too(tiny, tmp_path, capsys):
    there = tiny["data"]["pairs"][0]
    told = refused(capsys, "train", "--config", tiny["file"], "--out", tmp_path / "run", "--data.pairs", there, "q.h5")
    assert "q.h5: no such" in told


def test_version_and_quiet(tiny, tmp_path, capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"vqa-gs {__version__}"
    words = ["train", "--config", tiny["file"], "--max-steps", "1"]
    assert main([*words, "--out", str(tmp_path / "loud")]) == 0
    assert "epoch 0" in capsys.readouterr().err
    assert main([*words, "--quiet", "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.strip() == str(tmp_path / "run")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name in (*COMMANDS, "from-csv", "changing-priors", "training.epochs"):
        assert name in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pre"], {"predict"}),
        (["features", "ex"], {"extract", "export"}),
        (["features", "extract", "--box"], {"--boxes"}),
        (["train", "--out", "x", "--training.ep"], {"--training.epochs"}),
    ],
)
def test_bash_completes(words, expected, capsys, tmp_path):
    assert main(["completion", "bash"]) == 0
    (tmp_path / "c").write_text(capsys.readouterr().out)
    line = f"source {tmp_path / 'c'}; COMP_WORDS=(vqa-gs {' '.join(words)}); COMP_CWORD={len(words)}; _vqa_gs"
    command = ["bash", "-c", f'{line}; echo "${{COMPREPLY[@]}}"']
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(told.stdout.split()) == expected


def test_compare_tells_the_largest_types_and_a_subset(tmp_path, capsys):
    questions = [{"question_id": n, "image_id": n, "question": f"q{n % 7} is?"} for n in range(70)]
    annotations = [
        {"question_id": n, "image_id": n, "question_type": f"q{n % 7}" if n < 60 else "plenty", "answer_type": "other",
         "answers": [{"answer": "red", "answer_confidence": "yes", "answer_id": at} for at in range(1, 11)]}
        for n in range(70)
    ]  # fmt: skip
    for name, content in (("q", questions), ("a", annotations), ("ids", list(range(30)))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    for name, answer in (("one", "red"), ("other", "blue")):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"question_id": n, "answer": answer} for n in range(70)]))
    words = ["compare", *(str(tmp_path / f"{name}.json") for name in ("one", "other"))]
    words += ["--questions", str(tmp_path / "q.json"), "--annotations", str(tmp_path / "a.json"), "--bootstrap", "100"]
    assert main([*words, "--permutations", "100", "--top-types", "2"]) == 0
    told = capsys.readouterr().out
    assert "plenty" in told
    assert "and 6 more question types (--top-types)" in told
    assert main([*words, "--permutations", "100", "--subset", str(tmp_path / "ids.json")]) == 0
    told = capsys.readouterr().out
    assert "plenty" not in told
    (whole,) = [line for line in told.splitlines() if "all questions" in line]
    assert " 30 " in whole
