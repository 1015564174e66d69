"""Runs with questions, annotations, predictions, grounding and images: small, made in code, scored by the evaluator."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from vqa_gs.eval.analysis import analyse
from vqa_gs.eval.controls import CONTROLS, Controlled
from vqa_gs.eval.edited import EditedAnswers
from vqa_gs.eval.evidence import Evidence, Restricted
from vqa_gs.eval.grounding_file import GroundingFile, Relevance, write_grounding
from vqa_gs.eval.metrics_file import write_metrics
from vqa_gs.eval.report.part import Part, build_part, read_content
from vqa_gs.eval.report_content.content import Options, by_scoring
from vqa_gs.eval.results import Confidence, write_results
from vqa_gs.eval.run_files import load_run
from vqa_gs.eval.runs import RunSummary

from vqa_gs.data.groups import Groups, Quad, Triple
from vqa_gs.data.questions import QuestionSet, read_annotations, read_question_set

NASTY = "<script>alert('q')</script> what & why?"
TYPES = {"is it": ("yes/no", ["yes", "no"]), "how many": ("number", ["1", "2", "3"]), "what": ("other", ["red", "dog"])}
PER_IMAGE = 3


def question_rows(split: str, images: int, seed: int) -> tuple[list[dict], list[dict]]:
    """Three questions an image; in training the first answer of a type is the common one, elsewhere the last."""
    dice = random.Random(seed)
    questions, annotations = [], []
    for image in range(images):
        for place, (kind, (answer_type, answers)) in enumerate(TYPES.items()):
            number = seed * 10_000 + image * PER_IMAGE + place
            common = {"question_id": number, "image_id": seed * 1000 + image}
            text = NASTY if number % 10_000 == 0 else f"{kind} {dice.choice(['big', 'small'])} thing {image}?"
            questions.append({**common, "question": text})
            ordered = answers if split == "train" else answers[::-1]
            answer = ordered[0] if dice.random() < 0.7 else ordered[-1]
            given = [answer] * 9 + [NASTY if number % 10_000 == 0 else answers[0]]
            annotations.append(
                {
                    **common,
                    "question_type": kind,
                    "answer_type": answer_type,
                    "multiple_choice_answer": answer,
                    "answers": [{"answer": text, "answer_id": at + 1} for at, text in enumerate(given)],
                }
            )
    return questions, annotations


def grounding_of(questions: QuestionSet, dice: random.Random) -> GroundingFile:
    """Two regions an image, the first with three quarters of the attention."""
    count = len(questions)
    boxes = np.tile(np.array([[0, 0, 30, 20], [10, 5, 60, 40]], np.float32), (count, 1))
    attention = np.tile(np.array([0.75, 0.25], np.float32), count)
    gradient = np.tile(np.array([0.01, 0.03], np.float32), count)
    ids = questions.question_ids
    cosine = np.array([[dice.random(), 0.5]], np.float32)
    first = np.arange(count + 1) * 2
    return GroundingFile(ids, first, attention, gradient, boxes, [(ids[0], ids[3])], cosine, "contrast")


@dataclass
class ReportWorld:
    """Where the files of a made-up study lie."""

    folder: Path
    images: Path
    runs: list[Path]

    def load(self) -> list[RunSummary]:
        return [load_run(run) for run in self.runs]


def write_world(folder: Path, arms: dict[str, tuple[float, ...]], images: int = 12) -> ReportWorld:
    """Writes a study.

    Args:
        folder: where.
        arms: for each arm the share of right answers of each seed.
        images: images of each split.
    """
    data = folder / "data"
    data.mkdir(parents=True)
    sets = {}
    for seed, split in enumerate(("train", "iid_val", "ood_test")):
        files = [data / f"{split}_{name}.json" for name in ("questions", "annotations")]
        for file, rows in zip(files, question_rows(split, images, seed), strict=True):
            file.write_text(json.dumps(rows), encoding="utf-8")
        sets[split] = read_question_set(*files)
    pictures = folder / "images"
    pictures.mkdir()
    for image_id in dict.fromkeys(sets["ood_test"].image_ids):
        Image.new("RGB", (60, 40), (90, image_id % 200, 160)).save(pictures / f"COCO_val2014_{image_id:012d}.jpg")
    runs = []
    for arm, shares in arms.items():
        for seed, share in enumerate(shares):
            runs.append(folder / "runs" / f"{arm.replace(' ', '-')}-seed{seed}")
            write_world_run(runs[-1], arm, seed, share, sets, data)
    return ReportWorld(folder, pictures, runs)


def write_world_run(run: Path, arm: str, seed: int, share: float, sets: dict[str, QuestionSet], data: Path) -> None:
    for name in ("predictions", "metrics", "grounding"):
        (run / name).mkdir(parents=True)
    train = read_annotations(data / "train_annotations.json")
    for split in ("iid_val", "ood_test"):
        questions = sets[split]
        dice = random.Random(f"{arm} {seed} {split}")
        assert questions.annotations is not None
        answers = {
            annotation.question_id: annotation.majority
            if dice.random() < share
            else TYPES[annotation.question_type][1][0]
            for annotation in questions.annotations
        }
        write_results(run / "predictions" / f"{split}.json", answers)
        metrics = analyse(questions, answers, split=split, evidence=evidence_of(questions, answers, train, dice))
        write_metrics(run / "metrics" / f"{split}.json", metrics)
        write_grounding(run / "grounding" / f"{split}.h5", grounding_of(questions, dice))
    config = {"name": arm, "seed": seed, "data": {"train": {"annotations": str(data / "train_annotations.json")}}}
    (run / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    (run / "run.json").write_text(json.dumps({"seed": seed, "command": ["vqa-gs", "train", "--seed", str(seed)]}))
    rows = [f"{epoch},{5 - epoch},{epoch / 5},{20 + 10 * epoch}" for epoch in range(4)]
    (run / "epochs.csv").write_text("\n".join(["epoch,loss,gs_cosine,iid_val", *rows]) + "\n")
    (run / "done").touch()


def evidence_of(questions: QuestionSet, answers: dict[Any, str], train: Any, dice: random.Random) -> Evidence:
    ids = questions.question_ids
    edits = questions.subset(range(6))
    return Evidence(
        train=train,
        pairs={"complementary": list(zip(ids[:6], ids[6:12], strict=True))},
        counterexamples=ids[:10],
        hard=ids[10:15],
        semantic_types={question_id: ("object", "colour")[row % 2] for row, question_id in enumerate(ids)},
        controlled=Controlled({name: list(answers.values()) for name in CONTROLS}, ["red", "yes", "no", "2"]),
        confidence={question_id: Confidence(dice.random(), dice.random()) for question_id in ids},
        edited=EditedAnswers("iv", edits.question_ids, edits.annotations or [], [answers[key] for key in ids[:6]]),
        grounding=grounding_of(questions, dice),
        relevance=Relevance("boxes.json", 0.5, boxes={str(ids[0]): np.array([[0, 0, 30, 20]], np.float32)}),
        groups=Groups(
            rephrasings=[tuple(ids[:4])],
            quads=[Quad(*ids[:4])],
            contrasts=[(ids[0], ids[1])],
            minimal_pairs=[(ids[0], ids[1])],
            triples=[Triple(*ids[:3])],
            mode="fact",
            global_groups=dict.fromkeys(ids[:6], "thing"),
        ),
        originals=dict.fromkeys(ids[:6], 1.0),
        restricted=Restricted(answers, dict.fromkeys(ids[:6], "nothing")),
        raw=answers,
        means={"mean of two": {"first": ids[:9], "second": ids[6:12]}},
    )


def build_parts(runs: list[RunSummary], options: Options | None = None) -> list[Part]:
    """Returns a part for each scoring rule, as a report has them."""
    found = by_scoring(runs).items()
    return [build_part(read_content(scoring, members, options or Options())) for scoring, members in found]
