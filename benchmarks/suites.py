"""What suites cost beside scoring: ten subsets, three group metrics, VQA v2's suite, on made-up files of real sizes.

    python benchmarks/suites.py            # all of it, about a minute
    python benchmarks/suites.py --scale 0.1

Prints the ratio of scoring a set of 220,000 answers with ten subsets and three group metrics to scoring it alone
(goal: at most 1.5), and the CPU seconds that VQA v2's suite takes once it is read (goal: at most 3). The sizes of
IV-VQA and CV-VQA are guesses; those of the others are the published ones.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from made_up import questions_of
from vqa_gs.eval.analysis import analyse
from vqa_gs.eval.evaluate import evaluate
from vqa_gs.eval.evidence import Evidence
from vqa_gs.eval.rules import score_questions
from vqa_gs.eval.suite.answers import Answered
from vqa_gs.eval.suite.evaluate import Settings, evaluate_suite
from vqa_gs.eval.suite.loaded import LoadedTest, Reader
from vqa_gs.eval.suite.spec import read_suite

from vqa_gs.data.groups import Groups, Quad
from vqa_gs.data.questions import Annotation, Answer, QuestionId, QuestionSet
from vqa_gs.data.write_questions import write_question_set

VAL, IMAGES, COUNTEREXAMPLES, HARD, PAIRS = 214_354, 40_504, 63_298, 3_375, 95_144
REPHRASED, ADVERSARIAL, IV, CV = 40_504, 10_000, 40_000, 4_000
SUITE = Path(__file__).resolve().parents[1] / "configs" / "suites" / "vqa-v2.yaml"
LIMITS = {"ratio": 1.5, "suite": 3.0}


def clocked(function: Callable[[], Any]) -> tuple[float, Any]:
    """Returns the CPU seconds of a call, and what it returns."""
    gc.collect()
    begun = time.process_time()
    found = function()
    return time.process_time() - begun, found


def disagreeing(questions: QuestionSet, seed: int = 0) -> QuestionSet:
    """Returns the questions with annotators who disagree about as often as real ones: six to ten of ten are alike."""
    assert questions.annotations is not None
    generator = np.random.default_rng(seed)
    alike = generator.integers(6, 11, len(questions)).tolist()
    pool = list(dict.fromkeys(annotation.majority for annotation in questions.annotations))[:200]
    other = generator.integers(0, len(pool), (len(questions), 4)).tolist()
    tens = [
        tuple(
            Answer(annotation.majority if number <= count else pool[few[number - 7]], "yes", number)
            for number in range(1, 11)
        )
        for annotation, count, few in zip(questions.annotations, alike, other, strict=True)
    ]
    changed = [
        msgspec.structs.replace(annotation, answers=ten)
        for annotation, ten in zip(questions.annotations, tens, strict=True)
    ]
    return QuestionSet(questions.questions, changed, questions.sources)


def guesses(questions: QuestionSet, seed: int = 0) -> dict[QuestionId, str]:
    """Returns answers of which about half are right."""
    assert questions.annotations is not None
    generator = np.random.default_rng(seed)
    common = [annotation.majority for annotation in questions.annotations[:50]]
    right = generator.random(len(questions)) < 0.5
    other = generator.integers(0, len(common), len(questions))
    return {
        annotation.question_id: annotation.majority if hit else common[at]
        for annotation, hit, at in zip(questions.annotations, right.tolist(), other.tolist(), strict=True)
    }


def time_groups(count: int) -> None:
    """Prints what ten subsets and three group metrics cost beside scoring alone."""
    questions = disagreeing(questions_of(count, count // 5, rare=1_500))
    answers = guesses(questions)
    ids = questions.question_ids
    generator = np.random.default_rng(1)
    subsets = {
        f"part {number}": [ids[row] for row in generator.permutation(count)[: count // 9]] for number in range(10)
    }
    fours = [tuple(ids[at : at + 4]) for at in range(0, count - 3, 4)]
    twins = [(a, b) for a, b, *_ in fours]
    groups = Groups(rephrasings=fours, quads=[Quad(*four) for four in fours[: count // 40]], minimal_pairs=twins)
    evidence = Evidence(groups=groups)
    annotations = questions.annotations
    assert annotations is not None
    given = [answers[key] for key in ids]
    evaluate(questions, answers)  # once, so that what is remembered of texts is the same for all that follows
    bare, _ = clocked(lambda: score_questions(annotations, given))
    alone, _ = clocked(lambda: evaluate(questions, answers))
    looked, _ = clocked(lambda: analyse(questions, answers, replicates=0))
    whole, found = clocked(lambda: analyse(questions, answers, subsets=subsets, evidence=evidence, replicates=0))
    plain, _ = clocked(lambda: analyse(questions, answers))
    full, _ = clocked(lambda: analyse(questions, answers, subsets=subsets, evidence=evidence))
    assert {"consensus", "natural_bench", "minimal_pairs"} <= set(found.breakdowns)
    print(f"{count:,} answers: rule {bare:.2f} CPU s, with averages {alone:.2f}, with breakdowns {looked:.2f}")
    print(
        f"  with ten subsets and three group metrics {whole:.2f}: {whole / looked:.2f} times (limit {LIMITS['ratio']})"
    )
    print(f"  the same with intervals: {plain:.2f} alone, {full:.2f} with all: {full / plain:.2f} times")


def renumbered(questions: QuestionSet, ids: list[int]) -> QuestionSet:
    """Returns the questions under other ids."""
    assert questions.annotations is not None
    return QuestionSet(
        [msgspec.structs.replace(one, question_id=key) for one, key in zip(questions.questions, ids, strict=True)],
        [msgspec.structs.replace(one, question_id=key) for one, key in zip(questions.annotations, ids, strict=True)],
        {},
    )


def write_suite(folder: Path, scale: float) -> None:
    """Writes the files of VQA v2's suite: official heads and names, made-up content."""
    for name in ("vqa_ce", "vqa_rephrasings", "iv-vqa", "cv-vqa", "advqa"):
        (folder / name).mkdir()
    size = {
        name: max(200, round(count * scale))
        for name, count in globals().items()
        if name.isupper() and type(count) is int
    }
    val = disagreeing(questions_of(size["VAL"], size["IMAGES"], rare=1_500))
    write_question_set(
        val, folder / "v2_OpenEnded_mscoco_val2014_questions.json", folder / "v2_mscoco_val2014_annotations.json"
    )
    ids = val.question_ids
    order = np.random.default_rng(0).permutation(len(ids)).tolist()
    ce, hard = order[: size["COUNTEREXAMPLES"]], order[size["COUNTEREXAMPLES"] :][: size["HARD"]]
    (folder / "vqa_ce/counterexamples.json").write_text(json.dumps([ids[row] for row in ce]))
    (folder / "vqa_ce/hard.json").write_text(json.dumps([ids[row] for row in hard]))
    pairs = [[ids[a], ids[b]] for a, b in zip(order[::2], order[1::2], strict=False)][: size["PAIRS"]]
    (folder / "v2_mscoco_val2014_complementary_pairs.json").write_text(json.dumps(pairs))
    _write_rephrasings(folder / "vqa_rephrasings", val.subset(range(min(size["REPHRASED"], len(val)))))
    assert val.annotations is not None
    for name, kind in (("iv-vqa", "IV"), ("cv-vqa", "CV")):
        edits = val.subset([row % len(val) for row in range(size[kind])])
        assert edits.annotations is not None
        agreed = [
            msgspec.structs.replace(one, answers=tuple(Answer(one.majority, "yes", at) for at in range(1, 11)))
            for one in edits.annotations
        ]
        images = [f"{int(one.image_id):012d}_{at:012d}" for at, one in enumerate(edits.questions)]
        about = QuestionSet(
            [msgspec.structs.replace(one, image_id=image) for one, image in zip(edits.questions, images, strict=True)],
            [msgspec.structs.replace(one, image_id=image) for one, image in zip(agreed, images, strict=True)],
            {},
        )
        files = (
            f"v2_{part}_val2014_{what}.json"
            for part, what in (("OpenEnded_mscoco", "questions"), ("mscoco", "annotations"))
        )
        write_question_set(about, *(folder / name / file for file in files))
    advqa = disagreeing(questions_of(size["ADVERSARIAL"], 3_000, seed=5))
    names = "v1_OpenEnded_mscoco_val2017_advqa_questions.json", "v1_mscoco_val2017_advqa_annotations_new.json"
    write_question_set(advqa, *(folder / "advqa" / name for name in names))


def _write_rephrasings(folder: Path, originals: QuestionSet) -> None:
    assert originals.annotations is not None
    questions: list[dict[str, Any]] = []
    annotations: list[Annotation] = []
    for question, annotation in zip(originals.questions, originals.annotations, strict=True):
        root = int(question.question_id) + 10_000_000
        for number in range(4):
            key = root if number == 0 else root * 10 + number
            more = {} if number == 0 else {"rephrasing_of": root}
            questions.append({"question_id": key, "image_id": question.image_id, "question": question.question, **more})
            annotations.append(msgspec.structs.replace(annotation, question_id=key))
    names = "v2_OpenEnded_mscoco_valrep2014_humans_og_questions.json", "v2_mscoco_valrep2014_humans_og_annotations.json"
    (folder / names[0]).write_text(json.dumps({"questions": questions}))
    (folder / names[1]).write_bytes(msgspec.json.encode({"annotations": annotations}))


class Held(Reader):
    """Tests that were read before."""

    def __init__(self, tests: list[LoadedTest]) -> None:
        self.tests, self.left_out = tests, []

    def __iter__(self) -> Iterator[LoadedTest]:
        return iter(self.tests)


def time_suite(scale: float) -> None:
    """Prints what the suite of VQA v2 takes, reading and scoring apart."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_suite(folder, scale)
        suite = read_suite(SUITE, name)
        reading, tests = clocked(lambda: list(Reader(suite)))
        answers = {test.name: guesses(test.asked.questions) for test in tests}
        count = sum(map(len, answers.values()))

        def ask(test: LoadedTest) -> Answered:
            return Answered(answers[test.name])

        for replicates, kind in ((1_000, "with intervals"), (0, "without intervals")):
            settings = Settings(replicates=replicates)
            spent, _ = clocked(lambda how=settings: evaluate_suite(suite, ask, folder / "out", how, Held(tests)))
            limit = f" (limit {LIMITS['suite']})" if replicates else ""
            print(f"VQA v2's suite, {count:,} answers to {len(tests)} tests: {spent:.2f} CPU s {kind}{limit}")
        print(f"  reading it before: {reading:.2f} CPU s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the official sizes")
    given = parser.parse_args()
    time_groups(max(2_000, round(220_000 * given.scale)))
    time_suite(given.scale)


if __name__ == "__main__":
    main()
