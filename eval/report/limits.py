"""What no model of a run could reach: answers outside its vocabulary, and those that training never shows so."""

from __future__ import annotations

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.breakdowns.controls import Controls
from vqa_gs.eval.report_content.content import Content

CEILING_NOTE = (
    "Best possible: the accuracy if the best answer of the model's vocabulary were given each time; what is above that"
    " is out of reach."
)


# Less than this, in points, rounds to nothing.
_NOTHING = 0.05


def ceiling(content: Content, arm: Arm, split: str) -> Spread | None:
    """Returns the highest accuracy in percent that an arm's vocabulary allows, None where it is not recorded."""
    return arm.spread(split, content.picking(Controls, lambda one: one.ceiling))


def is_limited(content: Content, split: str) -> bool:
    """Whether the vocabulary of an arm puts some accuracy on a split out of reach, as far as that is recorded."""
    found = [reach for arm in content.arms if (reach := ceiling(content, arm, split))]
    return any(100 - reach.mean >= _NOTHING for reach in found)


def limits_sentence(content: Content) -> str | None:
    """Returns how much is out of reach OOD and in-domain, None where nothing is, or no run has recorded it.

    It is told of the baseline, without one of the first arm that has it.
    """
    sides = [(content.splits.ood, "OOD"), (content.splits.in_domain, "in-domain")]
    for arm in filter(None, (content.baseline, *content.arms)):
        lost, unseen, most = [], [], 0.0
        for split, label in sides:
            reach = ceiling(content, arm, split) if split else None
            seen = arm.spread(split, content.picking(Controls, lambda one: one.supported)) if split else None
            if reach is not None and seen is not None:
                most = max(most, 100 - reach.mean, 100 - seen.mean)
                lost.append(f"{max(0.0, 100 - reach.mean):.1f} points {label}")
                unseen.append(f"{100 - seen.mean:.1f} % of the {label} questions")
        if lost and most < _NOTHING:
            return None
        if lost:
            return (
                f"Limits: answers outside the vocabulary put {' and '.join(lost)} out of reach; {' and '.join(unseen)}"
                " have an answer that training never shows with their question type."
            )
    return None
