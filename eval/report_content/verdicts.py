"""What a report may claim: what was seen, then how sure it is.

What was seen is told as numbers in any case. A difference counts as shown only where every arm has at least three
seeds, all were scored on the same questions, the spreads of their seeds do not overlap, and the interval of the
difference over questions and seeds, where it is known, leaves zero out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.crossed import MEMBERS
from vqa_gs.eval.runs import RunSummary
from vqa_gs.eval.statistics import Interval

Comparison = Literal["above", "below", "overlap", "inside", "unknown", "incomparable"]
Difference = Callable[[Arm, Arm], Interval | None]

# Two seeds say next to nothing of a third.
SEEDS = MEMBERS

# Training looks at a split again with the last epoch's weights, and with the prior given back or taken away.
OTHER_LOOKS = re.compile(r"_(last_epoch|prior_[^_]+)$")

COMPARISON_WORDS: dict[Comparison, str] = {
    "above": "above, spreads apart",
    "below": "below, spreads apart",
    "overlap": "within the seeds' spread",
    "inside": "within its interval",
    "unknown": "fewer than three seeds",
    "incomparable": "other questions, not comparable",
}


class Splits(msgspec.Struct, frozen=True):
    """The splits of one section, in-domain first, and the two that its summary and charts speak of."""

    names: tuple[str, ...]
    in_domain: str | None
    ood: str | None
    sides: dict[str, str | None]

    @property
    def first_looks(self) -> tuple[str, ...]:
        """The splits without those that are others looked at again."""
        return tuple(split for split in self.names if not self.is_other_look(split))

    def is_other_look(self, split: str) -> bool:
        """Whether a split is another of them, looked at again with other weights or another prior."""
        return OTHER_LOOKS.sub("", split) in self.sides and OTHER_LOOKS.search(split) is not None

    def label(self, split: str) -> str:
        """Returns the short name of a split: its side of the shift where it is the only one on that side."""
        side = self.sides[split]
        same = [other for other in self.first_looks if self.sides[other] == side]
        if side is None or same != [split]:
            return split
        return "in-domain" if side == "in" else "OOD"


class Headline(msgspec.Struct, frozen=True):
    """The two sentences a report opens with.

    Attributes:
        text: what was seen, plain text.
        tone: ``clear`` if one arm is shown to be ahead, ``open`` if that cannot be said, ``none`` if there is only one.
        best: the arm with the highest OOD mean, if any was scored.
        certainty: how sure that is, plain text; "" where there is nothing to be sure of.
    """

    text: str
    tone: Literal["clear", "open", "none"]
    best: Arm | None
    certainty: str = ""


def compare(one: Spread, other: Spread, difference: Interval | None = None) -> Comparison:
    """Says where ``one`` lies relative to ``other``, never more than seeds and questions allow.

    Args:
        one: a quantity over the seeds of an arm.
        other: the same over those of another.
        difference: the interval of ``one`` minus ``other`` over questions and seeds, where it is known.
    """
    if one.count < SEEDS or other.count < SEEDS:
        return "unknown"
    if one.low <= other.high and other.low <= one.high:
        return "overlap"
    if difference is not None and difference[0] <= 0 <= difference[1]:
        return "inside"
    return "above" if one.low > other.high else "below"


def clear_best(
    spreads: Sequence[Spread | None], difference: Callable[[int, int], Interval | None] = lambda one, other: None
) -> int | None:
    """Returns the index of the spread that lies clear above all others, if there is one.

    Args:
        spreads: a quantity of each arm.
        difference: gives the interval of the difference of two of them, by their indices.
    """
    known = sorted(
        ((spread, index) for index, spread in enumerate(spreads) if spread is not None),
        key=lambda item: -item[0].mean,
    )
    if len(known) < 2:
        return None
    top, best = known[0]
    clear = all(compare(top, other, difference(best, index)) == "above" for other, index in known[1:])
    return best if clear else None


def choose_splits(runs: Sequence[RunSummary]) -> Splits:
    """Orders the splits of some runs and picks each side's main one: what most runs have, then by name."""
    frequency: dict[str, int] = {}
    sides: dict[str, str | None] = {}
    for run in runs:
        for split, metrics in run.metrics.items():
            frequency[split] = frequency.get(split, 0) + 1
            sides[split] = sides.get(split) or metrics.side
    rank = {"in": 0, "ood": 1, None: 2}
    names = tuple(sorted(frequency, key=lambda split: (rank[sides[split]], -frequency[split], split)))

    def main(side: str) -> str | None:
        return next((split for split in names if sides[split] == side), None)

    return Splits(names, main("in"), main("ood"), {split: sides[split] for split in names})


def same_questions(runs: Sequence[RunSummary], split: str) -> bool:
    """Says whether all runs that have a split were scored on the same questions and annotations."""
    scored = [run.metrics[split] for run in runs if split in run.metrics]
    if len({metrics.questions for metrics in scored}) > 1:
        return False
    for source in ("questions", "annotations"):
        hashes = {metrics.sources[source].sha256 for metrics in scored if source in metrics.sources}
        if len(hashes - {""}) > 1:
            return False
    return True


def find_baseline(arms: Sequence[Arm]) -> Arm | None:
    """Returns the arm the others are measured against: the one called ``baseline``, if there is one."""
    return next((arm for arm in arms if arm.name.lower() == "baseline"), None) or next(
        (arm for arm in arms if arm.name.lower().startswith("baseline")), None
    )


def points(value: float, digits: int = 2) -> str:
    """Returns a difference in percentage points with its sign."""
    rounded = f"{abs(value):.{digits}f}"
    return rounded if float(rounded) == 0 else f"{'+' if value > 0 else '−'}{rounded}"


def _joined(mean: str, std: str) -> str:
    return "\N{NO-BREAK SPACE}".join((mean, "±", std, "%"))


def percent(spread: Spread, digits: int = 1) -> str:
    """Returns a mean in percent, with the standard deviation where there is one; it does not break."""
    text = f"{spread.mean:.{digits}f}"
    return f"{text}\N{NO-BREAK SPACE}%" if spread.std is None else _joined(text, f"{spread.std:.{digits}f}")


def seeds(spread: Spread) -> str:
    """Returns how many seeds stand behind a number."""
    return "1 seed" if spread.count == 1 else f"{spread.count} seeds"


def _quoted(arms: Sequence[Arm]) -> str:
    names = [f"“{arm.name}”" for arm in arms]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def headline(arms: Sequence[Arm], splits: Splits, difference: Difference = lambda one, other: None) -> Headline:
    """Returns what was seen of the OOD accuracy of the arms, and how sure it is.

    Args:
        arms: the arms.
        splits: their splits.
        difference: gives the interval of the difference of two arms' OOD accuracies, where it is known.
    """
    split = splits.ood
    scored = [(arm, spread) for arm in arms if split and (spread := arm.overall(split))]
    if split is None or not scored:
        return Headline("No OOD split was scored, so nothing can be said about robustness.", "none", None)
    scored.sort(key=lambda item: -item[1].mean)
    best, top = scored[0]
    reached = f"“{best.name}” reaches {percent(top)} OOD"
    if len(scored) == 1:
        return Headline(f"{reached} ({seeds(top)}). There is no other arm to compare it with.", "none", best)
    runs = [run for arm, _ in scored for run in arm.runs]
    if not same_questions(runs, split):
        text = f"The arms were scored on different questions of {split}, so their accuracies cannot be compared."
        return Headline(text, "open", best)
    baseline = find_baseline(arms)
    # What it is measured against, and, where that is another arm, the next best one.
    rivals = [item for item in scored[1:] if item[0] is baseline]
    rivals += [item for item in scored[1:2] if item not in rivals]
    leads = [(arm, top.mean - spread.mean, difference(best, arm)) for arm, spread in rivals]
    seen = " and ".join(f"{lead_text(lead, interval)} over “{arm.name}”" for arm, lead, interval in leads)
    tone, certainty = _certainty(best, top, scored[1:], difference)
    return Headline(f"{reached}, {seen}.", tone, best, certainty)


def lead_text(lead: float, interval: Interval | None) -> str:
    """Returns a lead in points with its interval, as a headline tells it; it does not break before its unit."""
    around = f" ({interval[0]:.1f} to {interval[1]:.1f})".replace("-", "−") if interval else ""
    return f"{points(lead, 1)}\N{NO-BREAK SPACE}points{around}"


def _certainty(
    best: Arm, top: Spread, others: Sequence[tuple[Arm, Spread]], difference: Difference
) -> tuple[Literal["clear", "open"], str]:
    """Returns whether the best arm is shown to be ahead of all others, and the sentence that says so or why not."""
    rest = [(arm, spread, difference(best, arm)) for arm, spread in others]
    verdicts = [(arm, compare(top, spread, interval)) for arm, spread, interval in rest]
    least = min(spread.count for spread in (top, *(spread for _, spread, _ in rest)))
    if all(verdict == "above" for _, verdict in verdicts):
        known = all(interval is not None for _, _, interval in rest)
        leaves = ", and the intervals over questions and seeds leave 0 out" if known else ""
        return "clear", f"Shown: over {least} seeds its lead is larger than the seeds' spread{leaves}."
    reasons = []
    overlapping = [arm for arm, spread, _ in rest if max(top.count, spread.count) > 1 and top.low <= spread.high]
    inside = [arm for arm, _, interval in rest if interval and interval[0] <= 0 <= interval[1]]
    inside = [arm for arm in inside if arm not in overlapping]
    if overlapping:
        reasons.append(f"its seeds' spread overlaps that of {_quoted(overlapping)}")
    if inside:
        reasons.append(f"its lead over {_quoted(inside)} lies within its interval")
    if reasons:
        return "open", f"Not shown: {', and '.join(reasons)}{_too_few(least)}."
    known = all(interval is not None for _, _, interval in rest)
    asked = "other questions would hardly change that" if known else "what other questions would change is not known"
    if least == 1:
        return "open", f"Seen with one seed: {asked}, another seed may. A verdict needs three of each arm."
    ran = (
        f"{least} seeds of each arm"
        if {top.count, *(spread.count for _, spread, _ in rest)} == {least}
        else "the seeds"
    )
    return "open", f"Likely, not shown: {asked}, and {ran} agree. A verdict needs three of each."


def _too_few(least: int) -> str:
    """Returns what a verdict lacks in seeds, "" where it lacks none."""
    if least >= SEEDS:
        return ""
    return f"; a verdict needs three seeds of each arm, and there {'is one' if least == 1 else f'are {least}'}"


def other_sentence(
    arms: Sequence[Arm], splits: Splits, best: Arm | None, difference: Difference = lambda one, other: None
) -> str | None:
    """Returns what the questions answered by neither yes/no nor a number say of the leading arm, or None.

    Accuracy on yes/no and number questions can be had by inverting the answers' statistics; on the others it
    hardly can.
    """
    split, baseline = splits.ood, find_baseline(arms)
    if split is None or best is None:
        return None
    own = best.answer_type(split, "other")
    if own is None:
        return None
    why = "where inverting the answers' statistics helps little"
    if baseline is None or baseline is best or (base := baseline.answer_type(split, "other")) is None:
        return f"On OOD questions of type “other”, {why}, “{best.name}” reaches {percent(own)}."
    comparable = same_questions([*best.runs, *baseline.runs], split)
    verdict = COMPARISON_WORDS[compare(own, base, difference(best, baseline)) if comparable else "incomparable"]
    return (
        f"On OOD questions of type “other”, {why}, “{best.name}” stands at {percent(own)} against "
        f"{percent(base)} for “{baseline.name}” ({points(own.mean - base.mean, 1)}, {verdict})."
    )


def cautions(arms: Sequence[Arm], splits: Splits) -> list[str]:
    """Returns what a reader must know before trusting the numbers, a sentence each."""
    runs = [run for arm in arms for run in arm.runs]
    found: list[str] = []
    if splits.in_domain is None:
        found.append("No in-domain split was scored: a gain OOD may have been paid for in-domain.")
    for split in splits.names:
        if not same_questions(runs, split):
            found.append(f"Not all runs were scored on the same questions of {split}.")
    for arm in arms:
        for split in filter(None, (splits.in_domain, splits.ood)):
            missing = sum(1 for run in arm.runs if split not in run.metrics)
            if missing:
                found.append(f"“{arm.name}”: no scores on {split} in {missing} of {len(arm.runs)} runs.")
        known = [run.seed for run in arm.runs if run.seed is not None]
        if len(set(known)) < len(known):
            found.append(f"“{arm.name}”: two runs share a seed, so their spread is no spread over seeds.")
    for split in splits.names:
        notes = {note: None for run in runs if split in run.metrics for note in run.metrics[split].notes}
        found += [f"{split}: {note}." for note in notes]
    unfinished = [run.name for run in runs if not run.complete]
    if unfinished:
        found.append(f"Not marked as finished: {', '.join(unfinished)}.")
    return found
