"""`vqa-gs predict`: answers, or labels, of a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vqa_gs.cli.parsing import new_parser, require_count
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.phases import phase

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from vqa_gs.data.questions import ImageId, QuestionSet
    from vqa_gs.features.store import RegionStore
    from vqa_gs.pipeline.trained_texts import TrainedTexts
    from vqa_gs.tasks.multilabel.trained import TrainedLabels
    from vqa_gs.tasks.vqa.trained import TrainedModel

_EXAMPLE = """
vqa-gs predict --run runs/gs --questions Q.json --features regions.h5 --out answers.json
vqa-gs predict --run runs/gs --features regions.h5 --image-id 42 --question "What is it?"
"""
# Which options say what is asked, by what the run learnt.
_ASKED = ("questions", "question", "texts")


def run(words: Sequence[str]) -> None:
    """Writes what a run says of questions, texts or images."""
    parser = new_parser("predict", "Answer questions, or label texts or images, with a trained model.", _EXAMPLE)
    add = parser.add_argument
    add("--run", type=str, required=True, help="run directory")
    add("--questions", type=str, default=None, help="questions JSON; ids may repeat for edited images")
    add("--features", type=str, default=None, help="region store of the images; a multi-label run labels all of them")
    add("--question", type=str, default=None, help="one question, instead of a file")
    add("--image-id", type=str, default=None, help="the image it is about")
    add("--top", type=int, default=5, help="answers told to --question")
    add("--texts", type=str, default=None, help="tab-separated texts, for a run on texts; labels are not needed")
    add("--out", type=str, default=None, help="results file to write")
    add("--device", type=str, default="auto", help="auto, cpu, cuda or cuda:n; auto takes CUDA where there is one")
    add("--batch-size", type=int, default=512, help="questions at once")
    add(
        "--share-images", action="store_true", help="read an image once for all its questions; moves logits by rounding"
    )
    add("--allow-other-features", action="store_true", help="accept features made otherwise than the run's")
    add("--scores", action="store_true", help="write each answer's probability and the answers' entropy")
    add("--top-k", type=int, default=0, help="write the K best answers of each question with their logits")
    add("--grounding", type=str, default=None, help="HDF5 file for attention and gradient by region")
    add("--pairs", type=str, default=None, help="pair table, for the gradient's alignment with its directions")
    add("--annotations", type=str, default=None, help="annotations JSON, which --pairs needs")
    add("--edited-questions", type=str, default=None, help="questions that occur only in pairs")
    add("--edited-annotations", type=str, default=None, help="their annotations")
    add("--regions", type=str, choices=["all", "relevant", "irrelevant"], default="all", help="of each image (FPVG)")
    add("--relevant-boxes", type=str, default=None, help="JSON list of {question_id, boxes}, which --regions needs")
    parser.titled("what is asked", "questions", "features", "question", "image_id", "top", "texts")
    edited = ("edited_questions", "edited_annotations")
    parser.titled("some regions alone", "regions", "relevant_boxes")
    parser.titled("attention and gradient", "grounding", "pairs", "annotations", *edited)
    given = parser.parse_args(list(words))
    require_count("--batch-size", given.batch_size)
    require_count("--top-k", given.top_k, least=0)
    if given.pairs and not (given.grounding and given.annotations):
        raise UsageError("--pairs needs --grounding and --annotations")
    if bool(given.edited_questions) != bool(given.edited_annotations) or (given.edited_questions and not given.pairs):
        raise UsageError("--pairs, --edited-questions and --edited-annotations go together")
    if (given.question is None) != (given.image_id is None):
        raise UsageError("--question and --image-id go together")
    if (given.regions != "all") != (given.relevant_boxes is not None):
        raise UsageError("--regions relevant or irrelevant and --relevant-boxes go together")
    if given.regions != "all" and (given.grounding or given.question is not None):
        raise UsageError(f"--regions {given.regions} goes with neither --grounding nor --question")
    if given.question is None and given.out is None:
        raise UsageError("there is no file to write to", mend="give --out, or one --question with its --image-id")

    from vqa_gs.pipeline.trained_texts import TrainedTexts
    from vqa_gs.tasks.multilabel.trained import TrainedLabels
    from vqa_gs.tasks.vqa.trained import TrainedModel
    from vqa_gs.training.opened import load

    model = load(given.run, given.device)
    if isinstance(model, TrainedTexts):
        _require(given, model, "texts")
        _label_texts(model, given)
    elif isinstance(model, TrainedLabels):
        _require(given, model, "features")
        _label_images(model, given)
    elif isinstance(model, TrainedModel):
        _require(given, model, "features", "question" if given.question is not None else "questions")
        (_answer_one if given.question is not None else _answer)(model, given)
    else:
        raise UsageError(f"{given.run} learnt the task {model.settings.task}, which `predict` knows no files of")


def _require(given: Namespace, model: Any, *needed: str) -> None:
    """Refuses what the run's task does not take, or lacks."""
    task = model.settings.task
    for name in needed:
        if given[name] is None:
            raise UsageError(f"{given.run} learnt the task {task}, which needs --{name}")
    for name in _ASKED:
        if name not in needed and given[name] is not None:
            wanted = " and ".join(f"--{one}" for one in needed)
            raise UsageError(f"--{name} does not go with {wanted} of the task {task}", mend="leave it out")


def _open_store(given: Namespace, fingerprint: str) -> RegionStore:
    """Opens the region store, which has to be made as the run's was unless the user says otherwise."""
    from vqa_gs.features.fingerprint import differences
    from vqa_gs.features.store import RegionStore

    store = RegionStore(given.features)
    different = differences(store.fingerprint, fingerprint)
    if different and not given.allow_other_features:
        raise UsageError(
            f"{given.features} was made otherwise than the features {given.run} was trained with:"
            f" {'; '.join(different[:3])}",
            mend="name a store with the same fingerprint, or give --allow-other-features",
        )
    return store


def _answer(model: TrainedModel, given: Namespace) -> None:
    from vqa_gs.data.questions import read_question_set
    from vqa_gs.eval.grounding_file import write_grounding
    from vqa_gs.eval.results import write_rows
    from vqa_gs.pair_builders.table import read_pair_table

    store = _open_store(given, model.fingerprint)
    with phase("reading the questions"):
        questions = read_question_set(given.questions, given.annotations, repeated_ids=True)
    asked = questions
    if given.regions != "all":
        asked, store = _some_regions(questions, store, given)
    if given.share_images:
        model.share_images()
    rows = model.results(asked, store, given.batch_size, given.scores, given.top_k)
    write_rows(given.out, rows)
    print(f"{given.out}: {len(rows):,} answers")
    if len(asked) < len(questions):
        print(f"note: {len(questions) - len(asked):,} questions have no {given.regions} region and are left out")
    if given.grounding:
        table = read_pair_table(given.pairs, require_pairs=True) if given.pairs else None
        edited = read_question_set(given.edited_questions, given.edited_annotations) if given.edited_questions else None
        write_grounding(given.grounding, model.ground(questions, store, given.batch_size, table, edited))
        print(f"{given.grounding}: attention and gradient of {len(questions):,} questions")


def _some_regions(questions: QuestionSet, store: RegionStore, given: Namespace) -> tuple[QuestionSet, RegionStore]:
    from vqa_gs.eval.grounding_file import read_relevant_boxes
    from vqa_gs.tasks.vqa.region_choice import with_regions_of

    found = with_regions_of(given.regions, questions, store, read_relevant_boxes(given.relevant_boxes))
    if not len(found[0]):
        raise DataError(
            f"no question has a {given.regions} region", file=given.relevant_boxes, mend="are they its boxes?"
        )
    return found


def _answer_one(model: TrainedModel, given: Namespace) -> None:
    """Prints the answers to one question about one image of the store, and writes the best where a file is named."""
    from vqa_gs.data.questions import Question, QuestionSet
    from vqa_gs.eval.grounding_file import write_grounding
    from vqa_gs.eval.results import write_rows

    if given.pairs:
        raise UsageError("--pairs goes with --questions")
    if not given.question.strip():
        raise UsageError("--question is empty")
    store = _open_store(given, model.fingerprint)
    questions = QuestionSet([Question(0, _image_of(store, given.image_id), given.question)], None, {})
    for guess in model.guesses(questions, store, given.top)[0]:
        print(f"{100 * guess.score:5.1f} %  {guess.answer}")
    if given.out:
        write_rows(given.out, model.results(questions, store, given.batch_size, given.scores))
        print(f"{given.out}: 1 answer")
    if given.grounding:
        write_grounding(given.grounding, model.ground(questions, store, given.batch_size))
        print(f"{given.grounding}: attention and gradient of 1 question")


def _image_of(store: RegionStore, text: str) -> ImageId:
    """Returns the id of a store's image that is written so: as text, as a number, or as COCO's file name."""
    from vqa_gs.features.naming import readings

    for image_id in readings(text):
        if image_id in store:
            return image_id
    some = ", ".join(map(str, store.image_ids[:3]))
    raise DataError(
        "the region store has no such image", file=store.path, record=f"image {text!r}", mend=f"it has {some}, ..."
    )


def _label_texts(model: TrainedTexts, given: Namespace) -> None:
    from vqa_gs.data.labelled_texts import read_texts
    from vqa_gs.eval.results import write_rows

    if given.grounding:
        raise UsageError("--grounding is of regions, which texts have none of")
    rows = model.results(read_texts(given.texts, model.columns), given.batch_size, given.scores)
    write_rows(given.out, rows)
    print(f"{given.out}: {len(rows):,} labels")


def _label_images(model: TrainedLabels, given: Namespace) -> None:
    from vqa_gs.common.files import write_json

    if given.grounding:
        raise UsageError("--grounding is of questions, which multi-label runs are not asked")
    store = _open_store(given, model.fingerprint)
    rows = model.results(list(store.image_ids), store, given.batch_size)
    write_json(given.out, [row._asdict() for row in rows], indent=None)
    print(f"{given.out}: {len(rows):,} images, a probability for each of {len(model.classes)} classes")
