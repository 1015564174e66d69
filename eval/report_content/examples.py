"""Examples to look through: a capped sample of each split, chosen to show what changed and what is common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.arms import Arm
from vqa_gs.eval.grounding_file import GroundingFile, read_grounding
from vqa_gs.eval.report_content.records import SplitRecords
from vqa_gs.features.naming import PictureFolder
from vqa_gs.features.thumbnails import Embedded

from vqa_gs.common.web import script_json
from vqa_gs.data.questions import QuestionId, QuestionSet

RIGHT = 0.5
IMAGE_BUDGET = 8_000_000
_SHARES = (("changed", 0.5), ("wrong", 0.25), ("right", 0.25))


def outcomes(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.str_]:
    """Returns (n,) texts: ``right`` or ``wrong`` where all k runs agree, else ``changed``; scores is (k, n)."""
    right = scores >= RIGHT
    return np.where(right.all(axis=0), "right", np.where(right.any(axis=0), "changed", "wrong"))


def choose(
    scores: npt.NDArray[np.float32],
    kinds: npt.NDArray[np.int32],
    limit: int,
    preferred: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> list[int]:
    """Chooses questions to show: half of them changed between runs, spread over who was right and over types.

    Args:
        scores: (k, n) accuracies of k runs.
        kinds: (n,) question types.
        limit: how many to choose at most.
        preferred: (n,) which to take first.
        seed: of the choice.

    Returns:
        Positions in rising order.
    """
    count = scores.shape[1]
    if count <= limit:
        return list(range(count))
    generator = np.random.default_rng(seed)
    outcome = outcomes(scores)
    pattern = np.unique(scores >= RIGHT, axis=1, return_inverse=True)[1].reshape(-1)
    group = pattern.astype(np.int64) * (int(kinds.max()) + 1) + kinds
    # How many of the same pattern and type stand before a question in a random order: taking low ranks first
    # goes round all of them before any comes twice.
    order = generator.permutation(count)
    by_group = order[np.argsort(group[order], kind="stable")]
    begins = np.r_[True, np.diff(group[by_group]) != 0]
    first = np.maximum.accumulate(np.where(begins, np.arange(count), 0))
    rank = np.empty(count, np.int64)
    rank[by_group] = np.arange(count) - first
    last = np.zeros(count, np.bool_) if preferred is None else ~preferred
    best = np.lexsort(np.stack([generator.random(count), rank, last]))
    chosen: list[int] = []
    for name, share in _SHARES:
        members = best[outcome[best] == name]
        chosen += members[: round(share * limit)].tolist()
    if len(chosen) < limit:
        taken = set(chosen)
        chosen += [row for row in best.tolist() if row not in taken][: limit - len(chosen)]
    return sorted(chosen)


def _shares(values: npt.NDArray[np.float32]) -> list[float]:
    total = float(values.sum(dtype=np.float64))
    return [round(value / total, 4) for value in values.tolist()] if total > 0 else [0.0] * len(values)


class _Regions:
    """A run's attention and gradient by region; nothing where the run has no grounding file.

    Args:
        file: as `vqa-gs predict --grounding` writes it.

    Raises:
        DataError: the file is damaged.
    """

    def __init__(self, file: Path) -> None:
        self.file: GroundingFile | None = read_grounding(file) if file.is_file() else None
        ids = self.file.question_ids if self.file else ()
        self.row_of = {question_id: row for row, question_id in enumerate(ids)}

    def of(self, question_id: QuestionId) -> dict[str, Any] | None:
        """Returns boxes in pixels and the shares of attention and gradient on them, None if they are not known."""
        row = self.row_of.get(question_id)
        if self.file is None or row is None:
            return None
        part = slice(self.file.first[row], self.file.first[row + 1])
        return {
            "boxes": [[round(value, 1) for value in box] for box in self.file.boxes[part].tolist()],
            "attention": _shares(self.file.attention[part]),
            "gradient": _shares(self.file.gradient[part]),
        }


class ExampleCollector:
    """Collects the examples of one scoring rule, a split at a time, as columns for the page's script.

    Args:
        arms: the arms, in the report's order.
        limit: examples of each split at most; 0 for none.
        image_dir: where images lie, None to show none.
    """

    def __init__(self, arms: Sequence[Arm], limit: int, image_dir: Path | None) -> None:
        self.limit = limit
        self.runs = [(run, index) for index, arm in enumerate(arms) for run in arm.runs]
        self.arms = [arm.name for arm in arms]
        self.images = Embedded(PictureFolder(image_dir), IMAGE_BUDGET) if image_dir else None
        self.splits: list[str] = []
        self.texts: dict[str, int] = {}
        self.rows: list[dict[str, Any]] = []
        self.pictures: dict[Any, int] = {}
        self.notes: list[str] = []
        self.without_image = 0

    def _text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def _picture(self, image_id: Any) -> int:
        if self.images is None:
            return -1
        if self.images[image_id] is None:
            self.without_image += 1
            return -1
        return self.pictures.setdefault(image_id, len(self.pictures))

    def __call__(self, records: SplitRecords, questions: QuestionSet) -> None:
        """Adds the examples of a split."""
        if not self.limit:
            return
        groundings = [_Regions(run.folder / "grounding" / f"{records.split}.h5") for run, _ in self.runs]
        known = set().union(*(one.row_of for one in groundings))
        ids = questions.question_ids
        preferred = np.fromiter((question_id in known for question_id in ids), np.bool_, len(ids)) if known else None
        rows = choose(records.scores, records.question_type, self.limit, preferred)
        split = len(self.splits)
        self.splits.append(records.split)
        places = [records.row(run) for run, _ in self.runs]
        outcome = outcomes(records.scores[:, rows])
        for place, row in enumerate(rows):
            question = questions.questions[row]
            assert questions.annotations is not None
            given = Counter(answer.answer for answer in questions.annotations[row].answers)
            regions = {index: found for index, one in enumerate(groundings) if (found := one.of(question.question_id))}
            self.rows.append(
                {
                    "s": split,
                    "id": question.question_id,
                    "im": question.image_id,
                    "q": question.question,
                    "o": str(outcome[place]),
                    "t": self._text(records.question_types[records.question_type[row]]),
                    "k": self._text(records.answer_types[records.answer_type[row]]),
                    "a": [[self._text(answer), count] for answer, count in given.most_common()],
                    "p": [
                        -1
                        if at is None or records.predicted[at, row] < 0
                        else self._text(records.lexicon[records.predicted[at, row]])
                        for at in places
                    ],
                    "c": [-1 if at is None else round(100 * float(records.scores[at, row]), 1) for at in places],
                    "i": self._picture(question.image_id),
                    **({"g": regions} if regions else {}),
                }
            )
        self.notes.append(f"{len(rows):,} of the {len(ids):,} questions of {records.split}")

    def payload(self, first: str | None) -> str | None:
        """Returns the examples as JSON that may stand in a script element, None if there are none.

        Args:
            first: the split to show first.
        """
        if not self.rows:
            return None
        content = {
            "splits": self.splits,
            "first": self.splits.index(first) if first in self.splits else "",
            "arms": self.arms,
            "runs": [[run.name, arm] for run, arm in self.runs],
            "texts": list(self.texts),
            "rows": self.rows,
            "images": [self.images[image_id] for image_id in self.pictures] if self.images is not None else [],
            "right": 100 * RIGHT,
        }
        return script_json(content)
