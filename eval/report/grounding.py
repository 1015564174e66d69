"""Where a model looked: attention and gradient by region, as `vqa-gs predict --grounding` writes them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import QuestionId

FORMAT = "vqa-gs-grounding"


class Grounding(msgspec.Struct, frozen=True):
    """One question's regions.

    Attributes:
        question_id: the question.
        size: width and height of the image in pixels.
        boxes: x1, y1, x2, y2 of each region in pixels.
        attention: share of the attention on each region.
        gradient: share of the gradient's magnitude on each region; empty where it was not computed.
    """

    question_id: QuestionId
    size: tuple[float, float]
    boxes: list[tuple[float, float, float, float]]
    attention: list[float] = []
    gradient: list[float] = []


class _File(msgspec.Struct):
    format: str
    questions: list[Grounding]


def read_grounding(path: Path) -> dict[QuestionId, Grounding]:
    """Reads a grounding file by question id.

    Raises:
        DataError: it is damaged, of another format, or has not one number for each box.
    """
    content, _ = read_content(path, "grounding")
    parsed = decode(content, _File, file=path, expected="an object with `format` and `questions`")
    mend = "make it again with `vqa-gs predict --grounding`"
    if parsed.format != FORMAT:
        raise DataError(f"its format is {parsed.format!r}, expected {FORMAT!r}", file=path, mend=mend)
    for one in parsed.questions:
        for name, shares in (("attention", one.attention), ("gradient", one.gradient)):
            if shares and len(shares) != len(one.boxes):
                raise DataError(
                    f"{len(shares)} numbers of {name} for {len(one.boxes)} boxes",
                    file=path,
                    record=f"question {one.question_id!r}",
                    mend=mend,
                )
    return {one.question_id: one for one in parsed.questions}
