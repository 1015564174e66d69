"""What is installed: one top-level name, with every module and file that stands in the four folders."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = {"vqa_gs": "vqa_gs", "features": "vqa_gs/features", "pair_builders": "vqa_gs/pair_builders"}
FOLDERS["eval"] = "vqa_gs/eval"


def sources():
    """Where each file of the four folders lies in the wheel."""
    for folder, place in FOLDERS.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{place}/{file.relative_to(ROOT / folder).as_posix()}"


def test_every_folder_of_modules_is_listed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    found = {name.rpartition("/")[0].replace("/", ".") for name in sources() if name.endswith(".py")}
    assert sorted(listed) == sorted(found)


def test_the_wheel_brings_one_name_and_every_file(tmp_path):
    for folder in FOLDERS:  # a copy: what an earlier build left behind would be packed too
        shutil.copytree(ROOT / folder, tmp_path / "source" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "source")
    words = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run([sys.executable, "-m", *words], cwd=tmp_path / "source", check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in names} == {"vqa_gs"}
    assert set(names) == set(sources())


def test_files_of_the_user_s_own_are_not_run(tmp_path):
    """`train --help` imports tasks and models, and with them all that was once called eval, features, pair_builders."""
    for name in ("eval", "features", "pair_builders"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')")
    code = "import sys; from vqa_gs.cli import main; main(['train', '--help'])"
    for words in (["-m", "vqa_gs", "train", "--help"], ["-c", code]):
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "--data.features" in done.stdout


def test_public_names_are_told_and_loaded_on_first_use():
    code = (
        "import sys, vqa_gs; names = dir(vqa_gs); assert 'torch' not in sys.modules;"
        "from vqa_gs import evaluate; assert 'torch' not in sys.modules;"
        "from vqa_gs import GradientSupervision, RegionStore, load; print(sorted(set(vqa_gs.__all__) - set(names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
