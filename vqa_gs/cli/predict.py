"""`vqa-gs predict`: answer questions with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli.parsing import new_parser, require_count
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.data.questions import read_question_set
from vqa_gs.eval.grounding_file import write_grounding
from vqa_gs.eval.results import write_rows
from vqa_gs.features.fingerprint import differences
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.table import read_pair_table
from vqa_gs.tasks.vqa.trained import TrainedModel
from vqa_gs.training.config import load_config


def open_run(run: StrPath, device: str = "auto") -> TrainedModel:
    """Opens a finished run on visual questions.

    Raises:
        DataError: files of the run are missing or damaged.
        UsageError: it learnt another task, or the device is not there.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise DataError("no such run directory", file=folder, mend="train one with `vqa-gs train`")
    config = load_config(folder / "config.yaml")
    if config.task != "vqa":
        raise UsageError(f"{folder} learnt the task {config.task}, which answers no questions about images")
    return TrainedModel(folder, config, device)


def run(words: Sequence[str]) -> None:
    """Writes the answers of a run to a set of questions."""
    parser = new_parser("predict", "Answer questions with a trained model.")
    add = parser.add_argument
    add("--run", type=str, required=True, help="run directory")
    add("--questions", type=str, required=True, help="questions JSON; ids may repeat for edited images")
    add("--features", type=str, required=True, help="region store of their images")
    add("--out", type=str, required=True, help="results file to write")
    add("--device", type=str, default="auto", help="auto, cpu, cuda or cuda:n; auto takes CUDA where there is one")
    add("--batch-size", type=int, default=512, help="questions at once")
    add("--allow-other-features", action="store_true", help="accept features made otherwise than the run's")
    add("--scores", action="store_true", help="write each answer's probability and the answers' entropy")
    add("--grounding", type=str, default=None, help="HDF5 file for attention and gradient by region")
    add("--pairs", type=str, default=None, help="pair table, for the gradient's alignment with its directions")
    add("--annotations", type=str, default=None, help="annotations JSON, which --pairs needs")
    add("--edited-questions", type=str, default=None, help="questions that occur only in pairs")
    add("--edited-annotations", type=str, default=None, help="their annotations")
    given = parser.parse_args(list(words))
    require_count("--batch-size", given.batch_size)
    if given.pairs and not (given.grounding and given.annotations):
        raise UsageError("--pairs needs --grounding and --annotations")
    if bool(given.edited_questions) != bool(given.edited_annotations) or (given.edited_questions and not given.pairs):
        raise UsageError("--pairs, --edited-questions and --edited-annotations go together")
    model = open_run(given.run, given.device)
    store = RegionStore(given.features)
    different = differences(store.fingerprint, model.fingerprint)
    if different and not given.allow_other_features:
        raise UsageError(
            f"{given.features} was made otherwise than the features {given.run} was trained with:"
            f" {'; '.join(different[:3])}",
            mend="name a store with the same fingerprint, or give --allow-other-features",
        )
    questions = read_question_set(given.questions, given.annotations, repeated_ids=True)
    rows = model.answer(questions, store, given.batch_size, given.scores)
    write_rows(given.out, rows)
    print(f"{given.out}: {len(rows):,} answers")
    if given.grounding:
        table = read_pair_table(given.pairs, require_pairs=True) if given.pairs else None
        edited = read_question_set(given.edited_questions, given.edited_annotations) if given.edited_questions else None
        write_grounding(given.grounding, model.ground(questions, store, given.batch_size, table, edited))
        print(f"{given.grounding}: attention and gradient of {len(questions):,} questions")
