"""What a GPU is asked in ten minutes: that all is right on it, and how fast it is. `make gpu-check`.

    python benchmarks/gpu_check.py --out runs/gpu-check                     # on CUDA
    python benchmarks/gpu_check.py --out runs/gpu-check --device cpu --scale 0.02

| part | what |
|---|---|
| tests | those marked `cuda` |
| steps | `benchmarks/step.py`: UpDn in fp32, TF32, bf16, supervision by both costs, shared images, MCAN's twice |
| answers | `benchmarks/prediction.py` with features on the device |
| training | steps of VQA-CP v2's configuration on made-up files, features on the device, images shared and not |
| extraction | `benchmarks/extract.py`: images a second, decoded on the CPU |
| demo | `vqa-gs demo`, small |

Every part is a process of its own. One that fails, or has no time left, is told in the table and the check ends with 1;
the others are run all the same. `gpu-check.json` and `gpu-check.md` hold the figures, as far as they have come, after
each part.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from made_up import images_of, write_questions, write_store

from vqa_gs.common.files import write_json, write_text

HERE = Path(__file__).parent
CONFIG = HERE.parent / "configs" / "vqa-cp-v2.yaml"
NO_TESTS = 5  # pytest's exit status where none is selected


@dataclass
class Check:
    """What is run, how large, and what was found.

    Attributes:
        device: cuda or cpu.
        scale: share of the full sizes.
        ends: when the time is over, by `time.monotonic`.
        folder: for files that are not kept.
        found: by part, its figures.
        problems: by part, why it has none.
        seconds: by part.
    """

    device: str
    scale: float
    ends: float
    folder: Path
    found: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def size(self, whole: int, least: int, multiple: int = 1) -> int:
        """Returns a size at this scale."""
        return max(least, round(whole * self.scale / multiple) * multiple)

    def call(self, *words: object, accepts: tuple[int, ...] = (0,)) -> int:
        """Runs a program of Python in the time that is left; returns its exit status.

        Raises:
            RuntimeError: it failed, or the time is over.
        """
        left = self.ends - time.monotonic()
        if left < 1:
            raise RuntimeError("no time was left")
        command = [sys.executable, *map(str, words)]
        environment = {**os.environ, "VQA_DATA": str(self.folder), "PYTHONUNBUFFERED": "1"}
        try:
            status = subprocess.run(command, cwd=HERE.parent, env=environment, timeout=left, check=False).returncode
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"was stopped after {left:.0f} s, when the time was over") from error
        if status not in accepts:
            raise RuntimeError(f"ended with {status}")
        return status

    def model(self) -> list[object]:
        """Returns the words that say how large a benchmark's model is."""
        sizes = {"--dim": self.size(2048, 16, 8), "--hidden": self.size(1024, 32, 32), "--answers": self.size(3129, 20)}
        return [word for pair in sizes.items() for word in pair]


def tests(check: Check) -> Any:
    """Runs the tests marked `cuda`; on a CPU they skip."""
    check.call("-m", "pytest", "-q", "-m", "cuda", "tests", accepts=(0, NO_TESTS))
    return {"passed": True}


def steps(check: Check) -> Any:
    """Times training steps."""
    file = check.folder / "steps.json"
    precisions = ["fp32", "tf32", "bf16"] if check.device == "cuda" else ["fp32", "bf16"]
    cases = ["baseline", "gs", "gs-closed", "mcan", "mcan-gs"]
    batch, rounds = check.size(512, 16), 10 if check.scale == 1 else 1
    check.call(HERE / "step.py", "--device", check.device, "--precision", *precisions, "--cases", *cases, "--share",
               "--batch", batch, "--rounds", rounds, "--json", file, *check.model())  # fmt: skip
    return json.loads(file.read_text())


def answers(check: Check) -> Any:
    """Times answering with features on the device."""
    file = check.folder / "answers.json"
    check.call(HERE / "prediction.py", "--device", check.device, "--resident", "device", "--questions",
               check.size(65_536, 256), "--rounds", 3 if check.scale == 1 else 1, "--json", file,
               *check.model())  # fmt: skip
    return json.loads(file.read_text())


def training(check: Check) -> Any:
    """Trains some steps on made-up files, features on the device, and reads the speed off the log."""
    # A sixth of VQA-CP v2: 3 GB of features are written in seconds, and no step knows how many there are.
    images = images_of(check.scale / 6)
    write_questions(check.folder, check.scale / 6, images)
    write_store(check.folder / "regions.h5", images, check.size(2048, 16, 8))
    found, whole = {}, check.scale == 1
    for name, shared in (("shared", True), ("each its own", False)):
        out = check.folder / f"run-{shared}"
        check.call("-m", "vqa_gs", "train", "--config", CONFIG, "--out", out, "--data.resident", "device",
                   "--training.device", check.device, "--training.share_images", shared, "--data.tests", "{}",
                   "--model.hidden", check.size(1024, 32, 32), "--training.batch_size", check.size(512, 16),
                       "--data.min_answer_questions", 9 if whole else 2, "--max-steps", 120 if whole else 12,
                   "--training.log_every", 10 if whole else 2)  # fmt: skip
        record = json.loads((out / "run.json").read_text())
        with (out / "log.csv").open(newline="") as rows:
            speeds = [float(row["questions_per_second"]) for row in csv.DictReader(rows)]
        found[name] = {"questions_per_second": median(speeds[1:]), "features": record["features_resident"],
                       "precision": record["precision"]}  # fmt: skip
    return found


def extraction(check: Check) -> Any:
    """Times making features of pictures."""
    file = check.folder / "extraction.json"
    check.call(HERE / "extract.py", "--device", check.device, "--weights", "random", "--boxes", "grid", "--count",
               check.size(128, 4), "--batch", 16 if check.device == "cuda" else 4,
               "--rounds", 3 if check.scale == 1 else 1, "--json", file)  # fmt: skip
    return json.loads(file.read_text())


def demo(check: Check) -> Any:
    """Runs the embedded world, small: all commands, one after the other."""
    start = time.monotonic()
    sizes = {"train_images": 300, "iid_val_images": 100, "ood_test_images": 200, "edits": 50}
    least = {"train_images": 160}  # of fewer no answer has the questions it needs
    world = [
        word for name, whole in sizes.items() for word in (f"--world.{name}", check.size(whole, least.get(name, 20)))
    ]
    check.call("-m", "vqa_gs", "demo", "--out", check.folder / "demo", "--epochs", check.size(12, 1), *world)
    return {"seconds": time.monotonic() - start}


PARTS: dict[str, Callable[[Check], Any]] = {
    "tests": tests, "steps": steps, "answers": answers, "training": training, "extraction": extraction, "demo": demo,
}  # fmt: skip


def table(check: Check, machine: dict[str, str]) -> str:
    """Returns all figures as Markdown."""
    lines = [f"{machine['device']}, {machine['software']}, scale {check.scale:g}", ""]
    if "steps" in check.found:
        lines += ["| step | batch | precision | ms | ratio | by arithmetic |", "|---|---|---|---|---|---|"]
        for row in check.found["steps"]["steps"]:
            ratio = [f"{row[name]:.2f}" if name in row else "" for name in ("ratio", "ratio_arithmetic")]
            lines.append(
                f"| {row['case']} | {row['batch']} | {row['precision']} | {row['ms']:.2f} | {' | '.join(ratio)} |"
            )
        lines.append("")
    lines += ["| what | figure |", "|---|---|"]
    for row in check.found.get("answers", {}).get("predictions", []):
        times = row["units"] / row["arithmetic"]
        lines.append(
            f"| answers, images {row['images']} | {row['questions_per_second']:,.0f}/s, {times:.2f} of arithmetic |"
        )
    for name, row in check.found.get("training", {}).items():
        speed = f"{row['questions_per_second']:,.0f} questions/s, {row['precision']}, features {row['features']}"
        lines.append(f"| training, images {name} | {speed} |")
    if "extraction" in check.found:
        speeds = check.found["extraction"]["images_per_second"]
        told = f"{speeds['extraction']:.1f} images/s, the network alone {speeds['network']:.1f}"
        lines.append(f"| extraction, {check.found['extraction']['backbone']} | {told} |")
    for name, seconds in check.seconds.items():
        lines.append(f"| {name} | {check.problems.get(name, 'done')}, {seconds:.0f} s |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs all parts; returns 0 if none failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu-check.json and gpu-check.md")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes")
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all of it")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device is there; --device cpu --scale 0.02 checks the script itself")
    is_gpu = given.device == "cuda"
    machine = {
        "device": torch.cuda.get_device_name()
        if is_gpu
        else f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "software": f"torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}",
    }
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        check = Check(given.device, given.scale, time.monotonic() + 60 * given.minutes, Path(name))
        for part in given.parts:
            start = time.monotonic()
            try:
                check.found[part] = PARTS[part](check)
            except RuntimeError as error:
                check.problems[part] = str(error)
            check.seconds[part] = time.monotonic() - start
            whole = {"machine": machine, "scale": check.scale, "parts": check.found, "problems": check.problems}
            write_json(given.out / "gpu-check.json", {**whole, "seconds": check.seconds})
            write_text(given.out / "gpu-check.md", table(check, machine))
    print((given.out / "gpu-check.md").read_text())
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
