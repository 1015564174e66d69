"""What a verdict on OOD has to say of the controls: how far tricks on the answers' statistics get."""

from __future__ import annotations

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.breakdowns.controls import Controls
from vqa_gs.eval.report_content.content import Content


def _spread(content: Content, arm: Arm, name: str) -> Spread | None:
    ood = content.splits.ood
    return arm.spread(ood, content.picking(Controls, lambda one: getattr(one, name))) if ood else None


def controls_sentence(content: Content) -> str | None:
    """Returns how far the baseline gets by tricks on the OOD split, and which arms are not above them.

    Without a baseline the arm whose tricks get furthest is taken. None where no run has controls.
    """
    ood = content.splits.ood
    found = {arm.name: (arm, trick) for arm in content.arms if (trick := _spread(content, arm, "trick"))}
    if ood is None or not found:
        return None
    baseline = content.baseline
    if baseline is not None and baseline.name in found:
        arm, trick = found[baseline.name]
    else:
        arm, trick = max(found.values(), key=lambda item: item[1].mean)
    shares = {
        name: _spread(content, arm, name) for name in ("accuracy", "seen_forbidden", "prior_inverted", "supported")
    }
    means = {name: spread.mean for name, spread in shares.items() if spread}
    text = (
        f"Controls: training shows the type and answer of {means['supported']:.1f} % of the OOD questions together."
        f" “{arm.name}”, which answers {means['accuracy']:.1f} % right, reaches {means['seen_forbidden']:.1f} % with"
        f" answers seen with the type forbidden and {means['prior_inverted']:.1f} % with the prior inverted"
    )
    below = [
        f"“{other.name}”"
        for other in content.arms
        if other is not arm and (own := other.overall(ood)) is not None and own.mean <= trick.mean
    ]
    others = len(content.arms) - 1
    if not others:
        return f"{text}."
    if not below:
        return f"{text}; all other arms are above that."
    whom = "no other arm is" if len(below) == others else f"{', '.join(below)} {'is' if len(below) == 1 else 'are'} not"
    return f"{text}; {whom} above that, so OOD accuracy alone does not tell that a model looks."
