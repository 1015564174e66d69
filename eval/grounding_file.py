"""Attention and gradient by region, as `vqa-gs predict --grounding` writes them, and which regions matter.

One HDF5 file: ``questions/id (n,)`` int64 or UTF-8; ``questions/first (n+1,)`` int64, the regions of question row i
being ``first[i]:first[i+1]``; ``regions/attention (T,)`` float32; ``regions/gradient (T,)`` float32, the length of the
gradient of the predicted answer's logit by each region; ``regions/boxes (T, 4)`` float32 pixels. With a pair table
also ``pairs/question_a``, ``pairs/question_b`` and ``pairs/cosine (P, 2)`` float32: the cosine of each end's gradient
with the pair's direction, NaN where it means nothing. Attributes: ``format = "vqa-gs-grounding"``,
``format_version = 1``, ``function`` (the supervised decision function of the cosines).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import msgspec
import numpy as np
import numpy.typing as npt
from vqa_gs.features.reading.probe import look

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, atomic_path, require_file
from vqa_gs.common.hdf5 import read_texts, sound_dataset
from vqa_gs.common.pickles import load_pickle
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import QuestionId

FORMAT = "vqa-gs-grounding"
FORMAT_VERSION = 1
# The threshold of the visual explanations' hints; a box counts from half an overlap on, as in object detection.
HINT_THRESHOLD = 0.6
OVERLAP = 0.5
# FPVG's: a region does not matter where no relevant box covers more of it.
MOST_COVERED = 0.25

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GroundingFile:
    """What a grounding file holds.

    Attributes:
        question_ids: n ids.
        first: (n+1,) int64.
        attention: (T,) float32.
        gradient: (T,) float32.
        boxes: (T, 4) float32, x1, y1, x2, y2 in pixels.
        pairs: P pairs of question ids.
        cosine: (P, 2) float32, NaN where a pair's end says nothing.
        function: the decision function the cosines are of.
    """

    question_ids: Sequence[QuestionId]
    first: npt.NDArray[np.int64]
    attention: Floats
    gradient: Floats
    boxes: Floats
    pairs: Sequence[tuple[QuestionId, QuestionId]] = ()
    cosine: Floats | None = None
    function: str = ""


def _ids(ids: Sequence[QuestionId]) -> Any:
    if all(isinstance(entry, int) for entry in ids):
        return np.array(ids, np.int64)
    if not all(isinstance(entry, str) for entry in ids):
        raise UsageError("question ids are both numbers and text", mend="write them alike")
    return np.array(ids, dtype=h5py.string_dtype())


def _column(file: h5py.File, name: str) -> npt.NDArray[Any]:
    dataset = sound_dataset(file, name)
    if dataset is None:
        raise DataError(f"lacks {name}")
    return read_texts(dataset) if h5py.check_string_dtype(dataset.dtype) else np.asarray(dataset[()])


def write_grounding(path: StrPath, grounding: GroundingFile) -> None:
    """Writes a grounding file, whole or not at all."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "function": grounding.function})
        file["questions/id"] = _ids(grounding.question_ids)
        file["questions/first"] = np.asarray(grounding.first, np.int64)
        for name in ("attention", "gradient", "boxes"):
            file[f"regions/{name}"] = np.asarray(getattr(grounding, name), np.float32)
        if grounding.cosine is not None:
            file["pairs/question_a"] = _ids([a for a, _ in grounding.pairs])
            file["pairs/question_b"] = _ids([b for _, b in grounding.pairs])
            file["pairs/cosine"] = np.asarray(grounding.cosine, np.float32)


def read_grounding(path: StrPath) -> GroundingFile:
    """Reads a grounding file.

    Raises:
        DataError: the file is missing, damaged, of another format, or its parts do not fit together.
    """
    source = require_file(path, "grounding")
    mend = "make it again with `vqa-gs predict --grounding`"
    try:
        look(source)  # a damaged attribute can keep the library busy for ever, where nothing could interrupt it
    except DataError as error:
        raise DataError(error.problem, file=source, mend=mend) from error
    try:
        with h5py.File(source, "r") as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("format_version") != FORMAT_VERSION:
                raise DataError(f"is no {FORMAT} file of version {FORMAT_VERSION}", mend=mend)
            pairs, cosine = [], None
            if "pairs" in file:
                ends = [_column(file, f"pairs/question_{end}").tolist() for end in "ab"]
                pairs, cosine = list(zip(*ends, strict=True)), _column(file, "pairs/cosine")
            read = GroundingFile(
                _column(file, "questions/id").tolist(),
                _column(file, "questions/first"),
                _column(file, "regions/attention"),
                _column(file, "regions/gradient"),
                _column(file, "regions/boxes"),
                pairs,
                cosine,
                str(file.attrs["function"]),
            )
    except DataError as error:
        raise DataError(error.problem, file=source, mend=error.mend) from error
    except Exception as error:  # a damaged file makes h5py raise anything from OSError to RuntimeError
        raise DataError(f"not a readable grounding file: {type(error).__name__}: {error}", file=source) from error
    regions = len(read.attention)
    fits = (
        len(read.first) == len(read.question_ids) + 1
        and read.first[0] == 0
        and read.first[-1] == regions
        and bool((np.diff(read.first) >= 0).all())
        and read.gradient.shape == (regions,)
        and read.boxes.shape == (regions, 4)
        and (read.cosine is None or read.cosine.shape == (len(read.pairs), 2))
    )
    if not fits:
        raise DataError("its parts do not fit together", file=source, mend=mend)
    return read


@dataclass(frozen=True)
class Relevance:
    """Which regions matter to a question.

    Attributes:
        source: the file it was read from.
        hints: a score for each region by the question id's text, as HINT's and SCR's files have it.
        boxes: (b, 4) pixel boxes by the question id's text.
        threshold: a region matters from this score, or from this overlap with one of the boxes on.
    """

    source: str
    threshold: float
    hints: Mapping[str, Floats] | None = None
    boxes: Mapping[str, Floats] | None = None

    def of(self, question_id: QuestionId, regions: Floats) -> npt.NDArray[np.bool_] | None:
        """Returns bool (R,) for the regions (R, 4) of a question's image, None where nothing is known of it.

        Raises:
            DataError: the hints are of another number of regions: they were made for other features.
        """
        key = str(question_id)
        if self.hints is not None:
            hints = self.hints.get(key)
            if hints is None:
                return None
            if hints.shape != (len(regions),):
                raise DataError(
                    f"the hints are for {hints.size} regions, the features have {len(regions)}",
                    file=self.source,
                    record=f"question {key}",
                    mend="hints are tied to the features they were made for: use those",
                )
            return np.asarray(hints >= self.threshold)
        boxes = (self.boxes or {}).get(key)
        return None if boxes is None else np.asarray((overlaps(regions, boxes) >= self.threshold).any(axis=1))


def overlaps(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Returns the intersection over union of boxes (A, 4) and (B, 4): (A, B), 0 for boxes without area."""
    one, other = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None, :]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    inside = np.clip(sides, 0, None).prod(-1)
    union = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1) - inside
    return np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)


def coverage(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Returns how much of each box (A, 4) each box (B, 4) covers: (A, B) in 0..1, 0 for boxes without area."""
    one, other = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None, :]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    inside = np.clip(sides, 0, None).prod(-1)
    area = np.broadcast_to((one[..., 2:] - one[..., :2]).prod(-1), inside.shape)
    return np.divide(inside, area, out=np.zeros_like(inside), where=area > 0)


def read_hints(path: StrPath, threshold: float = HINT_THRESHOLD) -> Relevance:
    """Reads hints by region: a pickle ``{question id: array (R,)}`` (HINT, SCR) or JSON of the same (CSS).

    Raises:
        DataError: the file is missing, damaged or of another shape.
    """
    if str(path).endswith((".pkl", ".pickle")):
        loaded = load_pickle(path, "hints")
    else:
        loaded = decode(
            read_content(path, "hints")[0], dict[str, list[float]], file=path, expected="scores by question id"
        )
    try:
        hints = {str(key): np.asarray(scores, np.float32) for key, scores in loaded.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError("does not hold a list of scores for each question id", file=path) from error
    return Relevance(str(path), threshold, hints=hints)


class _Boxes(msgspec.Struct):
    question_id: QuestionId
    boxes: list[tuple[float, float, float, float]]


def read_relevant_boxes(path: StrPath, threshold: float = OVERLAP) -> Relevance:
    """Reads the boxes that matter: a JSON list of ``{"question_id", "boxes": [[x1, y1, x2, y2], ...]}``, in pixels.

    Raises:
        DataError: the file is missing, damaged or of another shape.
    """
    content, _ = read_content(path, "relevant boxes")
    rows = decode(content, list[_Boxes], file=path, expected="a list of {question_id, boxes}")
    with np.errstate(over="ignore"):
        boxes = {str(row.question_id): np.array(row.boxes, np.float32).reshape(-1, 4) for row in rows}
    odd = next((name for name, corners in boxes.items() if not np.isfinite(corners).all()), None)
    if odd is not None:
        raise DataError(
            "a box reaches beyond any image", file=path, record=f"question {odd!r}", mend="boxes are [x1, y1, x2, y2]"
        )
    return Relevance(str(path), threshold, boxes=boxes)
