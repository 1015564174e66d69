"""What a verdict on OOD has to say of the controls: how far tricks on the answers' statistics get."""

from __future__ import annotations

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.breakdowns.controls import Controls
from vqa_gs.eval.report_content.content import Content


def _spread(content: Content, arm: Arm, name: str) -> Spread | None:
    ood = content.splits.ood
    return arm.spread(ood, content.picking(Controls, lambda one: getattr(one, name))) if ood else None


def _furthest(content: Content) -> tuple[Arm, float] | None:
    """Returns the baseline and how far its tricks get OOD in percent, without a baseline the arm that gets furthest."""
    found = {arm.name: (arm, trick.mean) for arm in content.arms if (trick := _spread(content, arm, "trick"))}
    if content.baseline is not None and content.baseline.name in found:
        return found[content.baseline.name]
    return max(found.values(), key=lambda item: item[1], default=None)


def controls_clause(content: Content, best: Arm | None) -> str | None:
    """Returns the sentence that goes with the claim that an arm is the best OOD, None where no run has controls."""
    found, ood = _furthest(content), content.splits.ood
    if found is None or best is None or ood is None or (own := best.overall(ood)) is None:
        return None
    arm, trick = found
    reached = f"tricks on the answers' statistics alone bring “{arm.name}” to {trick:.1f} %"
    return f"But {reached}." if own.mean <= trick else f"{reached[0].upper()}{reached[1:]}, which is less."


def controls_sentence(content: Content) -> str | None:
    """Returns how far an arm gets by tricks on the OOD split, and which other arms are not above that.

    The arm is the baseline, without one that whose tricks get furthest. None where no run has controls.
    """
    found, ood = _furthest(content), content.splits.ood
    if found is None or ood is None:
        return None
    arm, trick = found
    names = ("accuracy", "seen_forbidden", "prior_inverted", "supported")
    means = {name: spread.mean for name in names if (spread := _spread(content, arm, name))}
    text = (
        f"Controls: training shows the type and answer of {means['supported']:.1f} % of the OOD questions together."
        f" “{arm.name}”, which answers {means['accuracy']:.1f} % right, reaches {means['seen_forbidden']:.1f} % with"
        f" answers seen with the type forbidden and {means['prior_inverted']:.1f} % with the prior inverted"
    )
    others = [(other, own.mean) for other in content.arms if other is not arm and (own := other.overall(ood))]
    below = [f"“{other.name}”" for other, mean in others if mean <= trick]
    if not others:
        return f"{text}."
    if not below:
        return f"{text}; all other arms are above that."
    whom = "no other arm is" if len(below) == len(others) else f"{', '.join(below)} {_are(below)} not"
    return f"{text}; {whom} above that, so OOD accuracy alone does not tell that a model looks."


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
