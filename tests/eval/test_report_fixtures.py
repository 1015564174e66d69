"""Run folders for the tests of reports: three arms of two seeds, with scores that fit together."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

from vqa_gs.eval.run_files import load_run
from vqa_gs.eval.runs import RunSummary

# Question type, answer type, questions in-domain, questions OOD, baseline accuracy in-domain and OOD.
QUESTION_TYPES = [
    ("how many", "number", 263, 590, 41.0, 12.4),
    ("is the", "yes/no", 240, 521, 72.1, 41.9),
    ("what is the", "other", 221, 489, 42.6, 31.2),
    ("what", "other", 214, 467, 38.8, 29.3),
    ("what color is the", "other", 198, 430, 55.9, 22.7),
    ("is this", "yes/no", 181, 401, 74.0, 44.2),
    ("is this a", "yes/no", 160, 377, 73.2, 40.8),
    ("none of the above", "other", 151, 333, 47.1, 33.0),
    ("are the", "yes/no", 122, 260, 70.9, 39.3),
    ("what kind of", "other", 109, 244, 44.3, 32.6),
    ("is there a", "yes/no", 101, 236, 77.6, 47.7),
    ("what type of", "other", 90, 199, 45.8, 33.9),
    ("where is the", "other", 78, 171, 27.2, 19.5),
    ("does the", "yes/no", 72, 166, 71.3, 43.1),
    ("how many people are", "number", 61, 140, 43.3, 13.9),
    ("which", "other", 49, 110, 40.4, 33.3),
    ("what time", "other", 31, 70, 25.2, 19.8),
    ("what sport is", "other", 25, 58, 86.4, 81.0),
    ("who is", "other", 23, 52, 29.1, 24.8),
    ("why", "other", 18, 41, 14.7, 13.6),
    ("what number is", "number", 14, 32, 6.1, 2.2),
]
ARMS = {
    "baseline": (0.0, 0.0, 0.02),
    "pairs as data": (0.4, 1.6, 0.16),
    "pairs + GS": (0.9, 6.3, 0.46),
}


def metrics_of(split: str, gain: float, seed: int, *, scoring: str = "official") -> dict[str, Any]:
    """Returns a metrics file whose overall and answer-type scores are the means of its question types."""
    dice = random.Random(f"{split} {gain} {seed}")
    ood = split.startswith("ood")
    shift = dice.gauss(0, 0.35)
    per_type, counts, answer = {}, {}, {}
    for name, kind, inside, outside, in_base, ood_base in QUESTION_TYPES:
        value = (ood_base if ood else in_base) + gain * dice.uniform(0.6, 1.4) + shift + dice.gauss(0, 0.8)
        per_type[name] = min(100.0, max(0.0, value))
        counts[name] = outside if ood else inside
        answer[name] = kind

    def mean(kinds: set[str]) -> tuple[float, int]:
        names = [name for name in per_type if answer[name] in kinds]
        total = sum(counts[name] for name in names)
        return sum(per_type[name] * counts[name] for name in names) / total, total

    kinds = ("yes/no", "number", "other")
    overall, questions = mean(set(kinds))
    return {
        "format": "vqa-gs-metrics",
        "scoring": scoring,
        "split": split,
        "overall": overall,
        "questions": questions,
        "per_answer_type": {kind: mean({kind})[0] for kind in kinds},
        "per_question_type": per_type,
        "counts": {
            "per_answer_type": {kind: mean({kind})[1] for kind in kinds},
            "per_question_type": counts,
        },
        "pair_accuracy": {
            "same_question": {"accuracy": overall * 0.28 + gain, "pairs": 1204 if ood else 517},
            "edited": {"accuracy": overall * 0.41 + gain, "pairs": 480 if ood else 214},
        },
        "subsets": {
            "answerable": {
                "overall": overall + 11 + gain / 2,
                "questions": 522 if ood else 211,
                "per_answer_type": {"yes/no": overall + 20, "other": overall + 3 + gain},
                "pair_accuracy": {"same_question": {"accuracy": overall * 0.36 + gain, "pairs": 310}},
            }
        },
        "sources": {
            "questions": {"path": f"data/{split}_questions.json.gz", "sha256": ("b" if ood else "a") * 64},
            "annotations": {
                "path": f"data/{split}_annotations.json.gz",
                "sha256": ("d" if ood else "c") * 64,
            },
            "predictions": {"path": f"predictions/{split}.json", "sha256": f"{seed:064x}"},
        },
    }


def write_run(
    folder: Path,
    *,
    name: str | None = "baseline",
    seed: int = 0,
    gains: tuple[float, float] = (0.0, 0.0),
    alignment: float = 0.02,
    config: dict[str, Any] | None = None,
    metrics: dict[str, dict[str, Any]] | None = None,
    epochs: int = 14,
) -> Path:
    """Writes a finished run folder."""
    (folder / "metrics").mkdir(parents=True)
    settings: dict[str, Any] = {} if name is None else {"name": name}
    settings |= {
        "seed": seed,
        "training": {"epochs": epochs, "lr": 0.002},
        "objectives": {"gs": {"weight": alignment}},
    }
    settings |= config or {}
    # JSON is YAML.
    (folder / "config.yaml").write_text(
        "\n".join(f"{key}: {json.dumps(value)}" for key, value in settings.items()) + "\n", encoding="utf-8"
    )
    (folder / "run.json").write_text(
        json.dumps(
            {
                "seed": seed,
                "vqa_gs": "0.1.0",
                "git_revision": "4f1c0d92ab77e3a55d10c9e28b8a7f3d6e5c4b3a",
                "python": "3.11.7",
                "platform": "Linux-6.1.0-x86_64",
                "packages": {"torch": "2.6.0", "numpy": "2.1.0", "timm": None},
                "data": {"train": {"questions": "e" * 64}, "store": {"content_hash": "f" * 64}},
                "selection": {"split": "iid_val", "epoch": 11},
            }
        ),
        encoding="utf-8",
    )
    scores = metrics or {
        "iid_val": metrics_of("iid_val", gains[0], seed),
        "ood_test": metrics_of("ood_test", gains[1], seed),
    }
    for split, content in scores.items():
        (folder / "metrics" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    dice = random.Random(f"{name} {seed}")
    with open(folder / "epochs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "loss", "loss_gs", "gs_alignment", "iid_val_accuracy", "seconds"])
        for epoch in range(1, epochs + 1):
            rise = 1 - 0.78**epoch
            writer.writerow(
                [
                    epoch,
                    round(6.2 - 3.9 * rise + dice.gauss(0, 0.05), 4),
                    round(1.0 - alignment * rise + dice.gauss(0, 0.01), 4),
                    round(alignment * rise + dice.gauss(0, 0.01), 4),
                    round(24 + (27 + gains[0]) * rise + dice.gauss(0, 0.4), 3),
                    12.5,
                ]
            )
    (folder / "done").touch()
    return folder


def write_study(folder: Path, *, seeds: int = 2) -> list[Path]:
    """Writes three arms of some seeds each."""
    return [
        write_run(
            folder / f"{name.replace(' ', '-')}-seed{seed}",
            name=name,
            seed=seed,
            gains=(inside, outside),
            alignment=alignment,
        )
        for name, (inside, outside, alignment) in ARMS.items()
        for seed in range(seeds)
    ]


def load_study(folder: Path, *, seeds: int = 2) -> list[RunSummary]:
    """Writes and loads three arms of some seeds each."""
    return [load_run(run) for run in write_study(folder, seeds=seeds)]


def test_the_fixtures_fit_together(tmp_path: Path):
    runs = load_study(tmp_path)
    assert len(runs) == 6
    assert len(QUESTION_TYPES) > 12
    assert all(set(run.metrics) == {"iid_val", "ood_test"} for run in runs)
