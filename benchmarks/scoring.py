"""CPU seconds to read and to score as many questions as VQA v2's validation part has, ten answers each.

The slow transcription of the official script, the tests' oracle, is timed on a sample in the same run, so the
ratio does not depend on the machine: ``python benchmarks/scoring.py [--questions N] [--sample N]``.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import msgspec
from vqa_gs.eval.analysis import intervals
from vqa_gs.eval.evaluate import evaluate
from vqa_gs.eval.results import write_results
from vqa_gs.eval.rules import score_questions

from vqa_gs.data.questions import read_question_set
from vqa_gs.data.targets import soft_targets
from vqa_gs.data.vocabulary import AnswerVocabulary

KINDS = [("is the", "yes/no"), ("how many", "number"), ("what color is the", "other"), ("what", "other")]


def load_oracle() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "tests" / "eval" / "scoring_oracle.py"
    spec = importlib.util.spec_from_file_location("scoring_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_files(folder: Path, count: int) -> tuple[Path, Path, dict[int | str, str]]:
    """Writes made-up questions whose answers repeat, differ and carry marks about as often as real ones."""
    generator = random.Random(0)
    pool = [f"{a} {b}" if a else b for a in ("", "red", "t-shirt,", "a") for b in map(str, range(1500))]
    pool[:6] = ["yes", "no", "Yes.", "two", "2", "none"]
    weights = [1 / (rank + 1) for rank in range(len(pool))]
    majorities = generator.choices(pool, weights, k=count)
    others = iter(generator.choices(pool, weights, k=4 * count))
    questions, annotations, predictions = [], [], {}
    for key, majority in enumerate(majorities):
        kind, answer_type = KINDS[key % len(KINDS)]
        agree = generator.randint(6, 10)
        texts = [majority] * agree + [next(others) for _ in range(10 - agree)]
        answers = [
            {"answer": text, "answer_confidence": "yes", "answer_id": number} for number, text in enumerate(texts, 1)
        ]
        questions.append({"image_id": key // 5, "question": f"{kind} thing {key % 9973}?", "question_id": key})
        annotations.append(
            {
                "question_type": kind,
                "multiple_choice_answer": majority,
                "answers": answers,
                "image_id": key // 5,
                "answer_type": answer_type,
                "question_id": key,
            }
        )
        predictions[key] = generator.choice([majority, majority, "yes", "2"])
    paths = folder / "questions.json", folder / "annotations.json"
    paths[0].write_text(json.dumps({"questions": questions}))
    paths[1].write_text(json.dumps({"annotations": annotations}))
    return *paths, predictions


LIMITS = {"scoring": 1.1, "command": 6.0, "memory": 1000.0, "ratio": 30.0}


# The high-water mark of /proc, since the one of getrusage counts the parent's memory at the fork.
COMMAND = """
import sys
from vqa_gs.cli import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


def time_command(folder: Path, words: list[str]) -> tuple[float, float, float]:
    """Runs `vqa-gs evaluate` in a process of its own; returns CPU s, wall s and its largest memory in MB."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], check=True, capture_output=True, cwd=folder)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, wall, int(done.stderr.split()[-2]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=214_354)
    parser.add_argument("--sample", type=int, default=4_000)
    arguments = parser.parse_args()
    rows: list[tuple[str, float, int]] = []

    with tempfile.TemporaryDirectory() as folder:
        questions_file, annotations_file, predictions = write_files(Path(folder), arguments.questions)
        write_results(Path(folder) / "results.json", predictions)
        words = ["evaluate", "--questions", "questions.json", "--annotations", "annotations.json"]
        words += ["--results", "results.json", "--out", "metrics.json"]
        spent, wall, memory = time_command(Path(folder), words)
        rows.append(("vqa-gs evaluate, files to metrics", spent, arguments.questions))
        gc.collect()
        begun = time.process_time()
        question_set = read_question_set(questions_file, annotations_file)
        rows.append(("read questions and annotations", time.process_time() - begun, len(question_set)))
    annotations = question_set.annotations
    assert annotations is not None
    ordered = [predictions[key] for key in question_set.question_ids]

    begun = time.process_time()
    scores = score_questions(annotations, ordered)
    scoring = time.process_time() - begun
    rows.append(("score_questions", scoring, len(scores)))

    begun = time.process_time()
    evaluate(question_set, predictions)
    rows.append(("evaluate (scores, types, pairs)", time.process_time() - begun, len(scores)))

    begun = time.process_time()
    intervals(question_set, scores, {})
    rows.append(("intervals (1,000 resamplings)", time.process_time() - begun, len(scores)))

    begun = time.process_time()
    soft_targets(annotations, AnswerVocabulary.build(annotations))
    rows.append(("vocabulary and soft targets", time.process_time() - begun, len(scores)))

    oracle = load_oracle()
    step = max(1, len(annotations) // arguments.sample)
    sample = range(0, len(annotations), step)
    plain = [msgspec.to_builtins(annotations[row].answers) for row in sample]
    begun = time.process_time()
    slow = [oracle.slow_accuracy(answers, ordered[row]) for row, answers in zip(sample, plain, strict=True)]
    rows.append(("slow transcription (sample)", time.process_time() - begun, len(slow)))

    differing = sum(scores[row] != value for row, value in zip(sample, slow, strict=True))
    for name, seconds, count in rows:
        print(f"{name:34} {seconds:7.2f} CPU s  {1e6 * seconds / count:7.2f} us a question  ({count} questions)")
    ratio = (rows[-1][1] / rows[-1][2]) / (scoring / len(scores))
    print(f"scores that differ from the slow transcription: {differing} of {len(slow)}")
    for name, value, limit in (
        ("scoring, CPU s", scoring, LIMITS["scoring"]),
        ("command, wall s", wall, LIMITS["command"]),
        ("command, CPU s", spent, LIMITS["command"]),
        ("command, MB", memory, LIMITS["memory"]),
        ("times as fast as the slow transcription", ratio, LIMITS["ratio"]),
    ):
        print(f"{name:40} {value:8.2f}  limit {limit:g}")


if __name__ == "__main__":
    main()
