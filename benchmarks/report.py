"""Size, build time, peak memory and time to interactive of a report of ten runs on 220,000 questions each.

The runs are made up: 65 question types, ten answers a question, five questions an image, two arms of five seeds or
ten arms (``--arms``). The page is opened in headless Chromium from disk:
``python benchmarks/report.py [--runs N] [--questions N] [--arms N] [--keep FOLDER]``.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from vqa_gs.eval.analysis import analyse
from vqa_gs.eval.evidence import Evidence
from vqa_gs.eval.metrics_file import write_metrics
from vqa_gs.eval.results import write_results

from vqa_gs.common.files import write_json
from vqa_gs.data.questions import QuestionSet, read_question_set

MEGABYTES = 15.0
SECONDS = 3.0
STARTS = [
    *("is", "are", "was", "do", "does", "can", "has", "what", "which", "who", "where", "when", "why", "how"),
    *("is this", "are there", "what kind of", "what color"),
]
FIRST = [f"{start} {word}" for word in ("the", "that", "a", "these") for start in STARTS]
TYPES = ["how many", "what color is the", "is there a", *FIRST][:65]
WORDS = [*("man", "dog", "red", "ball", "on", "the", "table", "near", "a", "window"), *("two", "small", "blue", "old")]
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def answer_pools(generator: random.Random) -> dict[str, tuple[str, list[str]]]:
    pools: dict[str, tuple[str, list[str]]] = {}
    for name in TYPES:
        if name.split()[0] in ("is", "are", "was", "do", "does", "can", "has"):
            pools[name] = ("yes/no", ["yes", "no", "maybe"])
        elif name == "how many":
            pools[name] = ("number", [str(number) for number in range(30)])
        else:
            pools[name] = ("other", [f"{generator.choice(WORDS)} {number}" for number in range(300)])
    return pools


def write_split(folder: Path, split: str, count: int, seed: int) -> tuple[QuestionSet, Path, Path]:
    """Writes made-up questions and annotations; which answers are common depends on the split."""
    generator = random.Random(seed)
    pools = answer_pools(random.Random(0))
    for _, answers in pools.values():
        generator.shuffle(answers)
    weights = {name: [1 / (rank + 1) for rank in range(len(answers))] for name, (_, answers) in pools.items()}
    chosen = generator.choices(TYPES, [1 / (rank + 3) for rank in range(len(TYPES))], k=count)
    questions, annotations = [], []
    for key, name in enumerate(chosen):
        kind, answers = pools[name]
        given = generator.choices(answers, weights[name], k=2)
        agree = generator.randint(6, 10)
        text = f"{name} {' '.join(generator.choices(WORDS, k=4))}?"
        number = seed * 10_000_000 + key
        common = {"question_id": number, "image_id": number // 5}
        questions.append({**common, "question": text})
        listed = [
            {"answer": given[0 if place < agree else 1], "answer_confidence": "yes", "answer_id": place + 1}
            for place in range(10)
        ]
        annotations.append(
            {
                **common,
                "question_type": name,
                "answer_type": kind,
                "multiple_choice_answer": given[0],
                "answers": listed,
            }
        )
    paths = folder / f"{split}_questions.json", folder / f"{split}_annotations.json"
    write_json(paths[0], questions, indent=None)
    write_json(paths[1], annotations, indent=None)
    return read_question_set(*paths), *paths


def write_run(
    folder: Path, arm: str, seed: int, split: str, test: QuestionSet, train: QuestionSet, config: Any
) -> None:
    generator = random.Random(f"{arm} {seed}")
    assert test.annotations is not None
    answers = {}
    habits = [annotation.majority for annotation in train.annotations or ()]
    for annotation in test.annotations:
        right = generator.random() < 0.4 + 0.02 * int(arm.split()[-1])
        answers[annotation.question_id] = annotation.majority if right else generator.choice(habits)
    write_results(folder / "predictions" / f"{split}.json", answers)
    metrics = analyse(test, answers, split=split, evidence=Evidence(train=train.annotations))
    write_metrics(folder / "metrics" / f"{split}.json", metrics)
    write_json(folder / "config.yaml", {"name": arm, "seed": seed, **config})
    write_json(folder / "run.json", {"seed": seed, "environment": {"vqa_gs": "0.1.0", "python": "3.11"}})
    with open(folder / "epochs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "loss", "gs_cosine", "iid_val"])
        writer.writerows([epoch, 9 / (epoch + 1), 1 - 0.9**epoch, 60 - 40 * 0.8**epoch] for epoch in range(40))
    (folder / "done").touch()


def write_images(folder: Path, test: QuestionSet) -> None:
    """Writes an image for every id: few different ones, as hard links."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    different = []
    for number in range(32):
        coarse = generator.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(image + generator.integers(-12, 12, image.shape), 0, 255).astype(np.uint8)
        different.append(folder / f"source-{number}x.jpg")
        Image.fromarray(noisy).save(different[-1], quality=90)
    for place, image_id in enumerate(dict.fromkeys(test.image_ids)):
        (folder / f"COCO_val2014_{image_id:012d}.jpg").hardlink_to(different[place % len(different)])


def build(folders: list[Path], images: Path, out: Path) -> tuple[float, float, float]:
    """Returns the seconds, the CPU seconds and the peak memory in MB of `vqa-gs report` in a process of its own."""
    program = "import sys; from vqa_gs.cli import main; sys.exit(main())"
    words = [
        "report",
        *map(str, folders),
        "--out",
        str(out),
        "--image-dir",
        str(images),
        "--markdown",
        "--csv",
        "--latex",
    ]
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, *words], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def open_page(page: Path, repeats: int) -> tuple[list[float], list[float], list[dict[str, Any]]]:
    """Returns seconds until the page is painted and its script has run, seconds a sort takes, console messages."""
    from selenium import webdriver

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    options = webdriver.ChromeOptions()
    options.binary_location = program or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    ready, sorting = [], []
    try:
        for _ in range(repeats):
            browser.get("about:blank")
            browser.get(page.as_uri())
            ready.append(
                browser.execute_script("""
                    const [navigation] = performance.getEntriesByType("navigation");
                    const painted = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0;
                    return Math.max(painted, navigation.loadEventEnd) / 1000;
                """)
            )
            sorting.append(
                browser.execute_async_script("""
                    const done = arguments[0], begun = performance.now();
                    document.querySelectorAll("#s1-types-table thead tr:last-child button")[4].click();
                    requestAnimationFrame(() => setTimeout(() => done((performance.now() - begun) / 1000)));
                """)
            )
        messages = browser.get_log("browser")
    finally:
        browser.quit()
    return ready, sorting, messages


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    split = "ood_test"
    train, _, train_annotations = write_split(folder, "train", arguments.questions // 10, 1)
    test, _, _ = write_split(folder, split, arguments.questions, 2)
    images = folder / "images"
    write_images(images, test)
    config = {"data": {"train": {"annotations": str(train_annotations)}}}
    folders = []
    for number in range(arguments.runs):
        arm, seed = f"arm {number % arguments.arms}", number // arguments.arms
        folders.append(folder / "runs" / f"{arm.replace(' ', '-')}-seed{seed}")
        write_run(folders[-1], arm, seed, split, test, train, config)
    del train, test
    page = folder / "report.html"
    seconds, cpu, memory = build(folders, images, page)
    ready, sorting, messages = open_page(page, arguments.repeats)
    size = page.stat().st_size / 1e6
    loaded = statistics.median(ready)
    print(f"{arguments.runs} runs x {arguments.questions:,} questions, {arguments.arms} arms")
    print(f"build             {seconds:8.1f} s    {cpu:.1f} CPU s")
    print(f"peak memory       {memory:8.0f} MB")
    print(f"page              {size:8.2f} MB   {size / MEGABYTES:5.2f} of the limit of {MEGABYTES:g} MB")
    print(f"interactive after {loaded:8.2f} s    {loaded / SECONDS:5.2f} of the limit of {SECONDS:g} s")
    print(f"a sort takes      {statistics.median(sorting):8.3f} s    medians of {arguments.repeats}")
    print(f"console messages  {len(messages):8d}", *(message["message"] for message in messages))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--questions", type=int, default=220_000)
    parser.add_argument("--arms", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, default=None, help="folder to leave runs and report in")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True)
        measure(arguments.keep, arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments)


if __name__ == "__main__":
    main()
