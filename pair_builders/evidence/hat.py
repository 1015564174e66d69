"""VQA-HAT: maps of where people looked to answer a question, as grey images `{question id}_{n}.png`.

Das et al., *Human Attention in Visual Question Answering*, EMNLP 2016. The ids are VQA **v1** ids; v2 has other ids for
the same questions, so the two are joined by image and text. A region's score is HINT's (Selvaraju et al., ICCV 2019,
eq. 1): the mean attention inside its box over the sum of the means inside and outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from vqa_gs.pair_builders.evidence_source import Evidence, ScoreSettings, box_sums, evidence
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import require_file, sha256_file
from vqa_gs.data.normalize import normalize_question
from vqa_gs.data.questions import read_questions

_NAME = re.compile(r"([0-9]{1,18})_[0-9]+\.png")
# Maps are as large as COCO's pictures; a few of them are in memory as float64.
_MOST_PIXELS = 1 << 24


def box_attention(attention: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the share of attention inside boxes: mean inside / (mean inside + mean outside).

    Args:
        attention: (height, width), 0 or more.
        boxes: (R, 4) x1, y1, x2, y2 as parts of the width and height.

    Returns:
        (R,) 0..1; 0.5 is indifference, also where the map is empty or the box holds no pixel or all of them.
    """
    height, width = attention.shape
    scaled = boxes * [width, height, width, height]
    low, high = np.floor(scaled[:, :2].clip(0)).astype(int), np.ceil(scaled[:, 2:].clip(0)).astype(int)
    corners = np.minimum(np.concatenate([low, high], axis=1), [width, height, width, height])
    inside = box_sums(attention, corners)
    area = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    rest = height * width - area
    mean_in = inside / np.maximum(area, 1)
    mean_out = np.maximum(attention.sum() - inside, 0) / np.maximum(rest, 1)
    both = mean_in + mean_out
    sound = (area > 0) & (rest > 0) & (both > 0)
    return np.where(sound, mean_in / np.where(both > 0, both, 1), 0.5)


@dataclass(frozen=True)
class Settings(ScoreSettings):
    """Where the maps are, and from which score on a region matters.

    Args:
        maps: folder of VQA-HAT's maps.
        questions: the VQA v1 questions whose ids the maps bear.
    """

    maps: Path | None = None
    questions: Path | None = None


@evidence("hat", Settings)
def from_hat(sources: PairSources, settings: Settings) -> tuple[Iterator[Evidence], dict[str, str]]:
    """Regions people looked at."""
    folder, questions = settings.maps, settings.questions
    if folder is None or questions is None:
        mend = "name them with --hat.maps and --hat.questions"
        raise UsageError("masks from VQA-HAT need its maps and the v1 questions", mend=mend)
    if not folder.is_dir():
        raise DataError("no such folder of attention maps", file=folder, mend="check the path")
    maps: dict[int, list[Path]] = {}
    for path in sorted(folder.rglob("*.png")):
        match = _NAME.fullmatch(path.name)
        if match:
            maps.setdefault(int(match.group(1)), []).append(path)
    by_text = {(question.image_id, normalize_question(question.question)): row
               for row, question in enumerate(sources.questions.questions)}  # fmt: skip
    joined: dict[int, list[Path]] = {}
    for question in read_questions(questions):
        key = question.image_id, normalize_question(question.question)
        if question.question_id in maps and key in by_text:
            joined.setdefault(by_text[key], []).extend(maps[int(question.question_id)])
    if not joined:
        raise DataError(
            f"none of its {len(maps)} questions is among those given",
            file=folder,
            mend="the maps bear v1 question ids: name the v1 questions file they belong to",
        )
    return _hat(sources, settings, joined), {str(questions): sha256_file(questions)}


def _hat(sources: PairSources, settings: Settings, joined: dict[int, list[Path]]) -> Iterator[Evidence]:
    store = sources.require_store()
    for row in sorted(joined):
        regions = store[sources.questions.questions[row].image_id]
        boxes = regions.boxes / np.tile(regions.size, 2)
        # Several people may have answered: the mean of their scores.
        scores = np.mean([box_attention(_read_map(path), boxes) for path in joined[row]], axis=0)
        yield Evidence(row, [settings.highest(scores)])


def _read_map(path: Path) -> NDArray[np.float64]:
    file = require_file(path, "attention map")
    try:
        with Image.open(file) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            return np.asarray(image.convert("L"), np.float64)
    except Exception as error:  # broken files make the decoders raise nearly anything
        raise DataError(f"not a readable attention map: {error}", file=path, mend="copy or fetch it again") from error
