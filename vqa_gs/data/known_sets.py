"""Published question sets by what tells them apart: counts, answer types, vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Of the questions that a file may lack, or have beside, before it is taken for another set.
_CLOSE = 0.02


@dataclass(frozen=True)
class KnownSet:
    """A split of a published set.

    Attributes:
        name: the set and its split.
        questions: how many questions it has.
        answer_types: percent of the questions by answer type, to two decimals; empty where nobody states them.
        vocabulary: majority answers of at least 9 questions; of training splits, None where nobody states it.
        upper_bound: what the training split's vocabulary can reach at the most on this one, in percent, official.
        images: how many images the questions are about; None where nobody states it.
        remark: what it is, where it is none of the sets that papers report on.
    """

    name: str
    questions: int
    answer_types: Mapping[str, float]
    vocabulary: int | None = None
    upper_bound: float | None = None
    images: int | None = None
    remark: str = ""

    @property
    def unlike(self) -> str:
        """What a set that differs from it is not."""
        return "not that set" if self.remark else "not what the papers used"


_NONE = "this is none of the published sets that are known here"
_MINI = "a part of VQA v2 re-split for this project, not VQA-CP: no published result is about it"


def _types(yes_no: float, number: float, other: float) -> dict[str, float]:
    return {"yes/no": yes_no, "number": number, "other": other}


# VQA-CP: Agrawal et al., CVPR 2018, counts and shares of the released files; VQA v2: Goyal et al., CVPR 2017; VQA-VS:
# Si et al., Findings of EMNLP 2022; GQA-OOD: Kervadec et al., CVPR 2021.
KNOWN_SETS = (
    KnownSet("VQA-CP v2 train", 438_183, {}, vocabulary=2_274),
    KnownSet("VQA-CP v2 test", 219_928, _types(29.14, 15.26, 55.61), upper_bound=90.22),
    KnownSet("VQA-CP v1 train", 244_547, {}),
    KnownSet("VQA-CP v1 test", 125_314, _types(41.50, 16.77, 41.73)),
    KnownSet("VQA v2 train", 443_757, {}),
    KnownSet("VQA v2 val", 214_354, {}),
    KnownSet("VQA v2 test", 447_793, {}),
    KnownSet("VQA v2 train and val", 658_111, {}, vocabulary=3_129),
    KnownSet("GQA-OOD testdev head", 1_733, {}),
    KnownSet("GQA-OOD testdev tail", 1_063, {}),
    KnownSet("GQA-OOD testdev", 2_796, {}),
    KnownSet("VQA-VS train", 461_124, {}, vocabulary=2_486),
    KnownSet("VQA-VS val", 32_723, {}),
    KnownSet("VQA-VS IID test", 164_264, {}),
    KnownSet("VQA-VS OOD test QT", 23_816, {}),
    KnownSet("VQA-VS OOD test KW", 27_730, {}),
    KnownSet("VQA-VS OOD test KWP", 14_358, {}),
    KnownSet("VQA-VS OOD test QT+KW", 17_630, {}),
    KnownSet("VQA-VS OOD test KO", 38_423, {}),
    KnownSet("VQA-VS OOD test KOP", 42_806, {}),
    KnownSet("VQA-VS OOD test QT+KO", 27_484, {}),
    KnownSet("VQA-VS OOD test KW+KO", 17_447, {}),
    KnownSet("VQA-VS OOD test QT+KW+KO", 9_249, {}),
    KnownSet("vqa2-mini train", 21_702, _types(38.47, 19.56, 41.98), images=16_445, remark=_MINI),
    KnownSet("vqa2-mini iid_val", 2_411, _types(38.32, 20.24, 41.44), images=2_315, remark=_MINI),
    KnownSet("vqa2-mini ood_test", 5_367, _types(34.49, 32.22, 33.30), images=4_951, remark=_MINI),
)


def recognise(
    questions: int,
    answer_types: Mapping[str, float],
    vocabulary: int | None = None,
    upper_bound: float | None = None,
    images: int | None = None,
) -> str:
    """Says in one sentence which published set a file holds, what was compared, and in what it differs.

    Args:
        questions: how many it has.
        answer_types: percent of the questions by answer type; empty without annotations.
        vocabulary: majority answers of at least 9 of its own questions; None where it was not counted.
        upper_bound: what a training vocabulary reaches on it, in percent; None where it was not computed.
        images: how many images they are about.

    Example:
        >>> recognise(219_928, {"yes/no": 29.14, "number": 15.26, "other": 55.61}, upper_bound=90.22)
        'this is VQA-CP v2 test, as the papers used it: number of questions, answer types, upper bound agree'
    """
    nearest = min(KNOWN_SETS, key=lambda known: abs(known.questions - questions))
    off = questions - nearest.questions
    if abs(off) > _CLOSE * nearest.questions:
        return f"{_NONE}, by its number of questions"
    if off:
        return _nearly(nearest, off, answer_types, images)
    compared, left = ["number of questions"], list[str]()
    differences = []
    if nearest.answer_types:
        (compared if answer_types else left).append("answer types")
    for name, share in nearest.answer_types.items() if answer_types else ():
        # Shares are stated to two decimals.
        if abs(answer_types.get(name, 0.0) - share) > 0.0151:
            differences.append(f"{name} is {answer_types.get(name, 0.0):.2f} % of it, not {share:.2f}")
    for what, found, stated, slack in (
        ("vocabulary", vocabulary, nearest.vocabulary, 0),
        ("upper bound", upper_bound, nearest.upper_bound, 0.0051),
        ("number of images", images, nearest.images, 0),
    ):
        if stated is not None:
            (left if found is None else compared).append(what)
            if found is not None and abs(found - stated) > slack:
                differences.append(f"its {what} is {round(found, 2):,.10g}, not {stated:,.10g}")
    more = f"; not compared: {', '.join(left)}" if left else ""
    if differences:
        return f"this has as many questions as {nearest.name}, but is {nearest.unlike}: {'; '.join(differences)}{more}"
    if len(compared) == 1:
        known = more or "; nothing more is known here to compare"
        return f"this has as many questions as {nearest.name}{f', {nearest.remark}' if nearest.remark else ''}{known}"
    what = f", {nearest.remark}" if nearest.remark else ", as the papers used it"
    return f"this is {nearest.name}{what}: {', '.join(compared)} agree{more}"


def _nearly(nearest: KnownSet, off: int, answer_types: Mapping[str, float], images: int | None) -> str:
    """Says of a set with a few questions more or fewer than a known one whether it may be that one, damaged."""
    # A hundredth of the questions moves a share by less than two points.
    alike = all(abs(answer_types.get(name, share) - share) < 2 for name, share in nearest.answer_types.items())
    if nearest.images is not None and images is not None:
        alike = alike and abs(images - nearest.images) <= _CLOSE * nearest.images
    if not alike:
        return f"{_NONE}; it has about as many questions as {nearest.name}, and nothing else of it"
    more = f"{abs(off):,} question{'s' * (abs(off) > 1)} {'fewer' if off < 0 else 'more'}"
    return f"this is nearly {nearest.name}, but {nearest.unlike}: it has {more} than the {nearest.questions:,} of that"
