"""`vqa-gs predict`: answer questions with a trained model."""

from __future__ import annotations

from collections.abc import Sequence

from eval.results import write_results
from features.store import RegionStore
from vqa_gs.cli._shared import new_parser
from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import read_question_set
from vqa_gs.training.inference import TrainedModel


def run(words: Sequence[str]) -> None:
    """Writes the answers of a run to a set of questions."""
    parser = new_parser("predict", "Answer questions with a trained model.")
    parser.add_argument("--run", type=str, required=True, help="run directory")
    parser.add_argument("--questions", type=str, required=True, help="questions JSON")
    parser.add_argument("--features", type=str, required=True, help="region store of their images")
    parser.add_argument("--out", type=str, required=True, help="results file to write")
    parser.add_argument("--batch-size", type=int, default=512, help="questions at once")
    parser.add_argument(
        "--allow-other-features", action="store_true", help="accept features made otherwise than the run's"
    )
    given = parser.parse_args(list(words))
    if given.batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, not {given.batch_size}")
    model = TrainedModel(given.run)
    store = RegionStore(given.features)
    if store.fingerprint != model.fingerprint and not given.allow_other_features:
        raise UsageError(
            f"{given.features} was made otherwise than the features {given.run} was trained with",
            mend="name a store with the same fingerprint, or give --allow-other-features",
        )
    answers = model.answer(read_question_set(given.questions), store, given.batch_size)
    write_results(given.out, answers)
    print(f"{given.out}: {len(answers):,} answers")
