"""Healthy little files of everything that is read, and what reads them.

A reader is given a folder and reads all that is in it; the fuzzer damages one file of it first.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from vqa_gs.eval.free_form import short_answer
from vqa_gs.eval.grounding_file import GroundingFile, read_grounding, read_hints, read_relevant_boxes, write_grounding
from vqa_gs.eval.metrics_file import read_metrics
from vqa_gs.eval.results import read_id_list, read_result_file, read_rows
from vqa_gs.eval.run_files import load_run
from vqa_gs.eval.suite.spec import read_suite
from vqa_gs.eval.suite_record import read_record
from vqa_gs.features.check import check, render
from vqa_gs.features.convert import convert
from vqa_gs.features.extract.boxes import BoxSettings
from vqa_gs.features.extract.boxes.table import make as box_table
from vqa_gs.features.extract.images import load_image
from vqa_gs.features.info import describe
from vqa_gs.features.naming import read_mapping as read_names
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.evidence.hat import Settings as HatSettings
from vqa_gs.pair_builders.evidence.hat import from_hat
from vqa_gs.pair_builders.evidence.hints import read_hints as read_evidence_hints
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import read_pair_table, write_pair_table

from tests.features.formats import conftest as formats
from tests.features.formats import later_files as later
from vqa_gs.cli import main
from vqa_gs.common.pickles import load_pickle
from vqa_gs.data.asked_set import read_asked
from vqa_gs.data.glove import load_glove
from vqa_gs.data.gqa import is_gqa, read_gqa
from vqa_gs.data.instances import read_labelled_images
from vqa_gs.data.labelled_texts import read_labelled_texts
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.data.question_types import QuestionTypes
from vqa_gs.data.questions import read_question_set
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.study.final import LEDGER, recorded
from vqa_gs.study.plan import Opening, make_plan
from vqa_gs.training.checkpoint import Checkpoint
from vqa_gs.training.config import load_config
from vqa_gs.training.opened import load

Read = Callable[[Path], Any]

COLOURS = ("red", "green")


def write_questions(folder: Path) -> None:
    """Writes twelve questions about as many images, and their answers."""
    questions, annotations = [], []
    for row in range(12):
        about = {"question_id": row, "image_id": row}
        answers = [{"answer": COLOURS[row % 2], "answer_confidence": "yes", "answer_id": n} for n in range(10)]
        questions.append({**about, "question": "What color is the car?"})
        kinds = {"question_type": "what color", "answer_type": "other", "multiple_choice_answer": COLOURS[row % 2]}
        annotations.append({**about, **kinds, "answers": answers})
    (folder / "questions.json").write_text(json.dumps(questions))
    (folder / "annotations.json").write_text(json.dumps({"annotations": annotations}))


def write_store(file: Path) -> None:
    """Writes the regions of twelve images."""
    rng = np.random.default_rng(0)
    with RegionStoreWriter(file, dim=4, dtype="float32", fingerprint="drawn") as writer:
        for image in range(12):
            features = rng.normal(size=(3, 4)).astype(np.float32)
            writer.add(image, features, np.tile(np.array([[0, 0, 9, 9]], np.float32), (3, 1)), (20, 20))


def settings(folder: Path) -> dict[str, Any]:
    """Returns the settings of a run on those."""
    split = {"questions": str(folder / "questions.json"), "annotations": str(folder / "annotations.json")}
    return {
        "data": {"train": split, "tests": {"ood": split}, "features": str(folder / "store.h5")}
        | {"min_answer_questions": 1, "val_fraction": 0.3, "test_selection": "acknowledged"},
        "model": {"hidden": 8, "word_dim": 4},
        "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
    }


def _question_set(folder: Path) -> None:
    read_question_set(folder / "questions.json", folder / "annotations.json")


def _gqa(folder: Path) -> None:
    if is_gqa(folder / "gqa.json"):
        read_gqa(folder / "gqa.json")


def _store(folder: Path) -> None:
    describe(folder / "store.h5")
    render(check(folder / "store.h5"))
    with RegionStore(folder / "store.h5") as store:
        store.read_batch(list(store.image_ids)[:4])


def _run(folder: Path) -> None:
    assert load_run(folder).metrics


def _trained(folder: Path) -> None:
    load(folder, "cpu")


def _checkpoint(folder: Path) -> None:
    Checkpoint.load(folder / "checkpoint.pt", torch.device("cpu")).check_place(folder / "checkpoint.pt", 2, 8)


def _study(folder: Path) -> None:
    make_plan(folder / "study.yaml", folder / "out")


def _asked(form: str, **options: str) -> Read:
    """Returns what reads the one file of a folder as a test's questions of a form."""

    def read(folder: Path) -> None:
        (file,) = folder.iterdir()
        read_asked(form, {"questions": file}, options)

    return read


def _gqa_choices(folder: Path) -> None:
    read_asked("gqa", {"questions": folder / "gqa.json", "choices": folder / "choices.json"})


def _rephrasings(folder: Path) -> None:
    files = {name: folder / f"{name}.json" for name in ("questions", "annotations")}
    read_asked("rephrasings", files)
    read_asked("vqa", files)


def _free_form(folder: Path) -> None:
    for row in read_rows(folder / "results.jsonl"):
        short_answer(row.answer, "Is it (a) Open or (b) Closed?")
        short_answer(row.answer, "How many are there?")
        short_answer(row.answer, "What is it?")


def _converted(folder: Path) -> None:
    source = next(path for path in sorted(folder.iterdir()) if "_imgid2idx" not in path.name)
    convert(source, folder / "made.h5", on_error="skip")


def _box_table(folder: Path) -> None:
    (file,) = folder.iterdir()
    box_table(str(file), BoxSettings())(1, Image.new("RGB", (30, 24)))


def _attention_map(folder: Path) -> None:
    questions = folder / "questions.json"
    with RegionStore(folder / "store.h5") as store:
        sources = PairSources(read_question_set(questions, folder / "annotations.json"), store)
        found, _ = from_hat(sources, HatSettings(maps=folder, questions=questions))
        list(found)


def _ledger(folder: Path) -> None:
    opening = Opening(id="x", time="t", study="s", dataset="d", arms=[], seeds=[], chosen={}, splits={"a": "0"})
    recorded(opening, folder / LEDGER)


READERS: dict[str, Read] = {
    "questions": _question_set,
    "gqa": _gqa,
    "results": lambda folder: read_result_file(folder / "results.json"),
    "free form": _free_form,
    "suite": lambda folder: read_suite(folder / "suite.yaml", str(folder)),
    "suite record": lambda folder: read_record(folder / "record.json"),
    "lavis": _asked("lavis"),
    "gqa choices": _gqa_choices,
    "rephrasings": _rephrasings,
    "natural bench json": _asked("natural-bench"),
    "natural bench parquet": _asked("natural-bench"),
    "mmvp": _asked("mmvp"),
    "vilp": _asked("vilp", mode="prior"),
    "carets": _asked("carets", consistency="ontological"),
    "question ids": lambda folder: read_id_list(folder / "questions.json"),
    "ids": lambda folder: read_id_list(folder / "ids.json"),
    "pair list": lambda folder: read_pair_list(folder / "pairs.json"),
    "instances": lambda folder: read_labelled_images(folder / "instances.json"),
    "texts": lambda folder: read_labelled_texts(folder / "texts.tsv", ["Text"], "Sentiment", ["Negative", "Positive"]),
    "words": lambda folder: WordVocabulary.load(folder / "words.json"),
    "answers": lambda folder: AnswerVocabulary.load(folder / "answers.json"),
    "question types": lambda folder: QuestionTypes.load(folder / "question_types.json"),
    "glove text": lambda folder: load_glove(folder / "glove.txt", ["red", "car"]),
    "glove npz": lambda folder: load_glove(folder / "glove.npz", ["red", "car"]),
    "glove npy": lambda folder: load_glove(folder / "glove.npy", ["red", "car"]),
    "pickle": lambda folder: load_pickle(folder / "any.pkl"),
    "hints pickle": lambda folder: read_hints(folder / "hints.pkl"),
    "hints json": lambda folder: read_hints(folder / "hints.json"),
    "evidence": lambda folder: read_evidence_hints(folder / "hints.pkl"),
    "boxes": lambda folder: read_relevant_boxes(folder / "boxes.json"),
    **dict.fromkeys(("box table", "box table csv"), _box_table),
    "attention map": _attention_map,
    "ledger": _ledger,
    "names": lambda folder: read_names(folder / "names.json"),
    "image": lambda folder: load_image(folder / "1.png"),
    "jpeg": lambda folder: load_image(folder / "1.jpg"),
    "store": _store,
    "pair table": lambda folder: read_pair_table(folder / "pairs.h5"),
    "grounding": lambda folder: read_grounding(folder / "grounding.h5"),
    "metrics": lambda folder: read_metrics(folder / "ood.json"),
    "configuration": lambda folder: load_config(folder / "config.yaml"),
    "study": _study,
    "checkpoint": _checkpoint,
    "run": _run,
    "trained": _trained,
    **dict.fromkeys(
        [
            f"format {name}"
            for name in (
                *("tsv", "tsv-10", "hdf5-36", "hdf5-adaptive", "padded", "npz", "pth", "old pth", "bin", "lmdb"),
                *("grid", "grid npy", "npy", "npy archive", "mmf-npy", "vinvl", "vinvl json", "hdf5-meshed"),
                *("hdf5-groups", "gqa", "parquet", "arrow", "zarr 2", "zarr 3", "safetensors", "webdataset"),
            )
        ],
        _converted,
    ),
}
"""Reader by name; the folder of its files has the same name."""


def _json(folder: Path, name: str, value: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value))


def write_seeds(root: Path) -> None:
    """Writes the folder of every reader below ``root``; a run is trained for it, which takes seconds."""
    for name in READERS:
        (root / name).mkdir(parents=True)
    world = root / "questions"
    write_questions(world)
    write_store(root / "store" / "store.h5")
    types = {"structural": "query", "semantic": "attr"}
    record = {"question": "What?", "imageId": "1", "answer": "red", "isBalanced": True, "types": types, "groups": {}}
    _json(root / "gqa", "gqa.json", {"07": record, "08": {**record, "groups": {"local": "x"}}})
    _json(root / "results", "results.json", [{"question_id": n, "answer": "red", "score": 0.5} for n in range(4)])
    _json(root / "ids", "ids.json", {"question_ids": [1, 2, 3]})
    _json(root / "question ids", "questions.json", {"questions": [{"question_id": n} for n in range(4)]})
    _write_tests(root)
    _json(root / "pair list", "pairs.json", [[1, 2], [3, 4]])
    categories = [{"id": 3, "name": "cat"}, {"id": 18, "name": "dog"}]
    shown = [{"id": n, "image_id": n % 3, "category_id": 3, "iscrowd": 0, "bbox": [0, 0, 1, 1]} for n in range(4)]
    images = [{"id": n, "width": 9, "height": 9} for n in range(3)]
    _json(root / "instances", "instances.json", {"images": images, "annotations": shown, "categories": categories})
    (root / "texts" / "texts.tsv").write_text("Sentiment\tText\tbatch_id\nNegative\tbad film\t1\nPositive\tgood\t1\n")
    (root / "glove text" / "glove.txt").write_text("red 1.0 2.0\ncar 0.5 -1\nthe 0 1\n")
    vectors = np.ones((2, 3), np.float32)
    np.savez(root / "glove npz" / "glove.npz", words=np.array(["red", "car"]), vectors=vectors)
    np.save(root / "glove npy" / "glove.npy", vectors)
    names = [{"red": 0, "car": 1}, ["red", "car"]]
    (root / "glove npy" / "dictionary.pkl").write_bytes(pickle.dumps(names, 2))
    hints = {1: np.ones(3, np.float32), 2: np.zeros(3)}
    everything = {**hints, "text": ("a", b"b", 2**70, {1.5}), "objects": np.array([1, None], object)}
    (root / "pickle" / "any.pkl").write_bytes(pickle.dumps(everything, 4))
    for name in ("hints pickle", "evidence"):
        (root / name / "hints.pkl").write_bytes(pickle.dumps(hints, 2))
    _json(root / "hints json", "hints.json", {"1": [0.5, 1], "2": [0, 0.1]})
    _json(root / "boxes", "boxes.json", [{"question_id": 1, "boxes": [[0, 0, 1, 1]]}])
    _json(root / "box table", "boxes.json", {"1": [[0, 0, 9, 9], [1, 1, 30, 24]], "2": []})
    (root / "box table csv" / "boxes.csv").write_text("image_id,x1,y1,x2,y2\n1,0,0,9,9\n1,1,1,30,24\n")
    write_questions(root / "attention map")
    write_store(root / "attention map" / "store.h5")
    for row in range(12):
        Image.new("L", (16, 12), 20 * row).save(root / "attention map" / f"{row}_1.png")
    _ledger(root / "ledger")
    _json(root / "names", "names.json", {"1.jpg": 1, "2.jpg": 2})
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 30, 3), np.uint8))
    picture.save(root / "image" / "1.png")
    picture.save(root / "jpeg" / "1.jpg")
    ids, first = list(range(3)), np.arange(0, 12, 3)
    floats = np.ones(9, np.float32)
    boxes, cosine = np.ones((9, 4), np.float32), np.ones((1, 2), np.float32)
    grounding = GroundingFile(ids, first, floats, floats, boxes, [(0, 1)], cosine, "f")
    write_grounding(root / "grounding" / "grounding.h5", grounding)
    questions = read_question_set(world / "questions.json", world / "annotations.json")
    table = BUILDERS["same-question"].build(PairSources(questions, RegionStore(root / "store" / "store.h5")))
    write_pair_table(root / "pair table" / "pairs.h5", table)
    _write_formats(root)
    _write_runs(root)


def _write_tests(root: Path) -> None:
    """Writes tests of every form, a suite and its record."""
    import pyarrow
    from pyarrow import parquet

    rows = [{"question_id": n, "text": f"The answer is **{n}** dogs."} for n in range(4)]
    (root / "free form" / "results.jsonl").write_text("\n".join(map(json.dumps, rows)))
    test = {"questions": "q.json", "annotations": ["a.json", "b.json"], "side": "ood", "subsets": {"x": "x.json"}}
    test |= {"means": {"m": ["x"]}, "rules": ["official"], "form": "vqa"}
    (root / "suite" / "suite.yaml").write_text(yaml.safe_dump({"title": "x", "tests": {"a": test}}))
    record = {"format": "vqa-gs-suite-record", "title": "x", "file": "x", "sha256": "0", "left_out": ["y"]}
    record["tests"] = [{"title": "a", "side": "in", "splits": ["a", "a_official"]}]
    _json(root / "suite record", "record.json", record)
    one = {"image": "COCO_val2014_000000000009.jpg", "question": "What?", "question_id": 1, "answer": ["red"] * 10}
    _json(root / "lavis", "combined_data.json", [one, {**one, "question_id": 2, "answer": "red"}])
    types, groups = {"structural": "query", "detailed": "twoCommon"}, {"global": "color"}
    record = {"question": "What?", "imageId": "1", "answer": "red", "types": types, "groups": groups}
    _json(root / "gqa choices", "gqa.json", {"07": record})
    _json(root / "gqa choices", "choices.json", {"07": {"valid": ["red"], "plausible": ["red", "blue"]}})
    answers = [{"answer": "red", "answer_confidence": "yes", "answer_id": n} for n in range(10)]
    about = [{"question_id": n, "image_id": 1, **({"rephrasing_of": 0} if n else {})} for n in range(4)]
    _json(root / "rephrasings", "questions.json", {"questions": [{**row, "question": "What?"} for row in about]})
    _json(root / "rephrasings", "annotations.json", {"annotations": [{**row, "answers": answers} for row in about]})
    natural = {"Index": 1, "Question_0": "A?", "Question_1": "B?", "Question_Type": "yes_no", "Source": "x"}
    natural |= {f"Image_{i}_Question_{q}": ("Yes", "No")[i != q] for i in (0, 1) for q in (0, 1)}
    _json(root / "natural bench json", "rows.json", [natural, {**natural, "Index": 2}])
    table = pyarrow.Table.from_pylist([natural, {**natural, "Index": 2}])
    parquet.write_table(table, root / "natural bench parquet" / "rows.parquet")
    lines = "Index,Question,Options,Correct Answer\n1,Open?,(a) Yes (b) No,(a)\n2,Open?,(a) Yes (b) No,(b)\n"
    (root / "mmvp" / "Questions.csv").write_text(lines)
    vilp = {"question": "A fact. What?", "answer1": "a", "answer2": "b", "answer3": "c"}
    (root / "vilp" / "rows.jsonl").write_text("\n".join(map(json.dumps, [vilp, vilp])))
    carets = {"img_id": "n1", "sent": "Is it?", "label": {"yes": 1.0, "no": 0}}
    _json(root / "carets", "test.json", [{**carets, "question_id": n} for n in range(4)])


def _write_formats(root: Path) -> None:
    from tests.features.formats.test_fuzz import make_hdf5

    images = formats.content((3, 14, 159), (2, 2, 2), dim=5, with_detections=True)
    formats.write_tsv(root / "format tsv" / "x.tsv", images)
    formats.write_tsv_10(root / "format tsv-10" / "x.tsv", images)
    make_hdf5(root / "format hdf5-36" / "x.hdf5", images, adaptive=False)
    make_hdf5(root / "format hdf5-adaptive" / "x.hdf5", images, adaptive=True)
    formats.write_padded(root / "format padded" / "x.hdf5", images)
    formats.write_npz(root / "format npz" / "npz", images)
    formats.write_pth(root / "format pth" / "pth", images)
    formats.write_pth(root / "format old pth" / "pth", images, legacy=True)
    formats.write_bin(root / "format bin" / "bin", formats.content((3, 14), (1, 1), dim=2048))
    records = {b"%d" % name: formats.mmf_record(images[name]) for name in (3, 14)}
    formats.write_lmdb(root / "format lmdb" / "lmdb", records)
    grids = later.grid_content((3, 14), dim=130)
    later.write_grids(root / "format grid" / "x", grids)
    later.write_grids(root / "format grid npy" / "x", grids, channel_first=False, suffix=".npy")
    later.write_npy(root / "format npy" / "x", images)
    later.write_archive(root / "format npy archive" / "x.zip", images)
    later.write_mmf(root / "format mmf-npy" / "x", images)
    for name in ("vinvl", "vinvl json"):  # the folder, as the files' order by name is no help
        (root / f"format {name}" / "x").mkdir()
        later.write_vinvl(root / f"format {name}" / "x" / "x.tsv", images, as_json=name != "vinvl")
    later.write_meshed(root / "format hdf5-meshed" / "x.hdf5", images)
    later.write_groups(root / "format hdf5-groups" / "x.h5", images)
    later.write_gqa(root / "format gqa" / "x", images)
    later.write_parquet(root / "format parquet" / "x.parquet", images)
    later.write_parquet(root / "format arrow" / "x.arrow", images, "file")
    for version in (2, 3):
        later.write_zarr(root / f"format zarr {version}" / "x.zarr", images, version)
    later.write_safetensors(root / "format safetensors" / "x.safetensors", images)
    later.write_shards(root / "format webdataset" / "x", images)


def _write_runs(root: Path) -> None:
    data = root / "data"
    data.mkdir()
    write_questions(data)
    write_store(data / "store.h5")
    values = settings(data)
    (root / "configuration" / "config.yaml").write_text(yaml.safe_dump(values))
    run = root / "trained"
    words = ["train", "--config", str(root / "configuration" / "config.yaml"), "--out", str(run)]
    if main(words) != 0:
        raise RuntimeError("the seeds could not be trained")
    for name in ("words", "answers"):
        (root / name / f"{name}.json").write_bytes((run / f"{name}.json").read_bytes())
    (root / "question types" / "question_types.json").write_bytes((run / "question_types.json").read_bytes())
    (root / "metrics" / "ood.json").write_bytes((run / "metrics" / "ood.json").read_bytes())
    for name in ("run.json", "config.yaml", "epochs.csv", "metrics/ood.json"):
        target = root / "run" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((run / name).read_bytes())
    base = str(root / "configuration" / "config.yaml")
    arms = {"a": {}, "b": {"extends": "a", "sweep": {"training.lr": [0.1, 0.2]}}}
    study = {"base": base, "seeds": [0, 1], "control": "a", "arms": arms, "title": "x"}
    (root / "study" / "study.yaml").write_text(yaml.safe_dump(study))
    best = {"epoch": 0, "accuracy": 1.0, "model": {"w": torch.zeros(2)}}
    means, rows = {"loss": [1.0, 2.0]}, [{"epoch": 0, "loss": 1.0}]
    saved = {"format": "vqa-gs-checkpoint", "step": 3, "model": {"w": torch.zeros(2)}, "optimizer": {"state": {}}}
    saved |= {"best": best, "recent": means, "epoch_means": means, "steps_log": rows, "epochs_log": rows}
    torch.save({**saved, "sources": {"a": "b"}}, root / "checkpoint" / "checkpoint.pt")
