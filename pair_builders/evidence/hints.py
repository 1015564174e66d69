"""Hints of HINT, SCR and CSS, and explanations of VQA-X: scores of a question's regions, or words about them.

| file | form |
|---|---|
| `train_vqx_hint.pkl`, `hints/train_hat.pkl` (SCR, HINT, GGE) | pickle `{question id: (R,) scores}` |
| `train_cpv2_hintscore.json` (CSS) | JSON `{"question id": [R scores]}` |
| `train_exp_anno.json` (VQA-X) | JSON `{"question id": [explanations]}`; needs the regions' classes |

Scores are cosine similarities (VQA-X: published thresholds .6 and .3) or shares of attention (HAT), in the order of the
feature file's regions. A question without an entry has no hint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.classes.words import ClassWords
from vqa_gs.pair_builders.evidence_source import Evidence, ScoreSettings, evidence
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import sha256_file
from vqa_gs.common.pickles import load_pickle
from vqa_gs.data.json_files import decode, read_content

_SHAPE = "an object of question ids, with a list of scores or of explanations for each"


def read_hints(path: Path) -> dict[Any, list[str] | NDArray[np.float64]]:
    """Reads scores or explanations by question id (as the file writes it).

    Raises:
        DataError: the file is damaged or of another shape.
    """
    given: Any
    if path.suffix == ".pkl":
        given = load_pickle(path, "hint")
    else:
        given = decode(read_content(path, "hint")[0], dict[str, list[Any]], file=path, expected=_SHAPE)
    if not isinstance(given, dict):
        raise DataError(f"holds a {type(given).__name__}", file=path, mend=f"expected {_SHAPE}")
    hints: dict[Any, list[str] | NDArray[np.float64]] = {}
    for key, value in given.items():
        if isinstance(value, (list, tuple)) and value and all(isinstance(text, str) for text in value):
            hints[key] = list(value)
            continue
        scores = np.asarray(value)
        if scores.dtype.kind not in "iuf" or scores.ndim != 1 or not np.isfinite(scores).all():
            raise DataError(
                f"scores of type {scores.dtype} and shape {scores.shape}",
                file=path,
                record=f"question {key!r}",
                mend=f"expected {_SHAPE}",
            )
        hints[key] = scores.astype(np.float64)
    return hints


@dataclass(frozen=True)
class Settings(ScoreSettings):
    """Which file, and from which score on a region matters.

    Args:
        file: hint file of HINT, SCR or CSS, or explanations of VQA-X.
    """

    file: Path | None = None


@evidence("hints", Settings)
def from_hints(sources: PairSources, settings: Settings) -> tuple[Iterator[Evidence], dict[str, str]]:
    """Regions with a score of `least` or more, or of a class that an explanation names."""
    path = settings.file
    if path is None:
        raise UsageError("masks from hints need a hint file", mend="name it with --hints.file")
    hints = read_hints(path)
    questions = sources.questions.questions
    used = {key for question in questions for key in (question.question_id, str(question.question_id))} & hints.keys()
    if not used:
        raise DataError(
            "has no hint for any of the questions", file=path, mend="take the hints of the same data set and version"
        )
    return _hints(sources, settings, hints), {str(path): sha256_file(path)}


def _hints(
    sources: PairSources, settings: Settings, hints: dict[Any, list[str] | NDArray[np.float64]]
) -> Iterator[Evidence]:
    store = sources.require_store()
    words: ClassWords | None = None
    for row, question in enumerate(sources.questions.questions):
        given = hints.get(question.question_id)
        if given is None:
            given = hints.get(str(question.question_id))
        if given is None:
            continue
        if isinstance(given, list):
            words = words or ClassWords(sources.classes.names)
            named = sorted(words.named(" ".join(given)))
            yield Evidence(row, [np.flatnonzero(np.isin(sources.classes.of(question.image_id), named))])
            continue
        regions = int(store.counts([question.image_id])[0])
        if len(given) != regions:
            raise DataError(
                f"{len(given)} scores, but image {question.image_id!r} has {regions} regions in {store.path}",
                file=settings.file,
                record=f"question {question.question_id!r}",
                mend="take the features that the hints were made with",
            )
        yield Evidence(row, [settings.highest(given)])
