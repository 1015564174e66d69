"""What a study opens with: the accuracies that were seen, how sure they are, and the numbers of the best arm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vqa_gs.eval.arms import Spread
from vqa_gs.eval.report.controls import controls_clause
from vqa_gs.eval.report.summary import Tile
from vqa_gs.eval.report_content.blocks import interval_text
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.resampling import OVERALL
from vqa_gs.eval.report_content.verdicts import SEEDS, Headline, compare, lead_text
from vqa_gs.eval.statistics import Interval
from vqa_gs.study.results import Measure, Score
from vqa_gs.study.statistics import Difference
from vqa_gs.study.summary import Dataset

# A headline with more numbers is not read.
_SUBSETS = 2


class Looked(NamedTuple):
    """A measure that a headline tells, and what it is called there."""

    label: str
    side: str | None
    measure: Measure


def looked_at(data: Dataset, content: Content) -> list[Looked]:
    """Returns OOD, in-domain and OOD subsets, where the study has them, of one dataset and rule."""
    inside, outside = content.splits.in_domain, content.splits.ood

    def find(split: str | None, kind: str) -> Iterator[Measure]:
        for one in data.measures:
            # Answer types of subsets go by "subset: type".
            if (one.scoring, one.split, one.kind) == (content.scoring, split, kind) and ":" not in one.name:
                yield one

    found = [Looked("OOD", "ood", one) for one in find(outside, "overall")]
    found += [Looked("in-domain", "in", one) for one in find(inside, "overall")]
    found += [Looked(f"OOD, {one.name}", "ood", one) for one in find(outside, "subset")][:_SUBSETS]
    return found or [Looked(one.split, None, one) for one in data.measures if one.kind == "overall"][:1]


def control_of(data: Dataset) -> str | None:
    """Returns the arm that most others are tested against, None where none is."""
    against = [name for arm in data.arms for name in arm.against]
    return max(dict.fromkeys(against), key=against.count) if against else None


def best_of(data: Dataset, content: Content) -> str | None:
    """Returns the arm with the highest mean of what the headline tells first, None where there is none."""
    looked = looked_at(data, content)
    scores = looked[0].measure.arms if looked else {}
    return max(scores, key=lambda arm: scores[arm].over_seeds.mean, default=None)


def _told(score: Score) -> str:
    mean, interval = score.over_seeds.mean, score.over_seeds.shown_interval
    around = f" ({interval_text(Interval(*interval))})" if interval else ""
    return f"{mean:.1f}\N{NO-BREAK SPACE}%{around}"


def study_headline(data: Dataset, content: Content) -> Headline:
    """Returns the accuracies of the arm that is best OOD beside those of the control, and how sure its lead is."""
    looked, best, control = looked_at(data, content), best_of(data, content), control_of(data)
    if best is None:
        return Headline("Nothing was scored on all questions of a split.", "none", None)
    first, *rest = looked
    own = first.measure.arms[best]
    text = f"“{best}” reaches {_told(own)} {first.label}"
    compared = control is not None and control != best and control in first.measure.arms
    difference = _tested(own, control) if compared else None
    interval = None
    if compared:
        assert control is not None
        lead = difference.mean if difference else own.over_seeds.mean - first.measure.arms[control].over_seeds.mean
        interval = _lead_interval(data, content, best, control, difference)
        text += f", {lead_text(lead, interval)} over “{control}”"
    for one in rest:
        if best in one.measure.arms:
            text += f"; {one.label} {_told(one.measure.arms[best])}"
            if compared and control in one.measure.arms:
                text += f" against {one.measure.arms[control].over_seeds.mean:.1f}"
    arm = next((arm for arm in content.arms if arm.name == best), None)
    if not compared:
        return Headline(f"{text}.", "none", arm)
    assert control is not None
    shown, certainty = _certainty(own, first.measure.arms[control], control, difference, interval)
    # How far tricks on the answers' statistics get belongs to how sure one can be that a model looks.
    certainty = " ".join(filter(None, (certainty, controls_clause(content, arm))))
    return Headline(f"{text}.", "clear" if shown else "open", arm, certainty)


def _tested(own: Score, control: str | None) -> Difference | None:
    return next((one for one in own.differences if one.against == control), None)


def _lead_interval(
    data: Dataset, content: Content, best: str, control: str, difference: Difference | None
) -> Interval | None:
    """Returns the interval of the lead: of the study's own test, else over the questions of its only world."""
    if difference is not None:
        return difference.shown_interval and Interval(*difference.shown_interval)
    arms = {arm.name: arm for arm in content.arms}
    if data.worlds or best not in arms or control not in arms:
        return None
    return content.difference(arms[best], arms[control], content.splits.ood, OVERALL)


def _certainty(
    own: Score, other: Score, control: str, difference: Difference | None, interval: Interval | None
) -> tuple[bool, str]:
    """Returns whether the lead over the control is shown, and the sentence that says so or why not."""
    ahead, behind = (Spread(tuple(one.over_seeds.values.values())) for one in (own, other))
    least = min(_replicas(own), _replicas(other))
    if least < SEEDS:
        asked = (
            "" if interval is None else "; over questions the lead " + ("may be 0" if _holds_0(interval) else "holds")
        )
        return False, f"Not tested: a verdict needs three seeds or worlds, and there {_are(least)}{asked}."
    if difference is not None and difference.p_holm is not None:
        tests = f"p {difference.p_holm:.2g} after Holm over {difference.comparisons} tests"
        if difference.decided:
            return True, f"Shown: the lead over “{control}” holds over {_over(difference)} ({tests})."
        return False, f"Not shown: the lead over “{control}” may be chance ({tests})."
    # The study sets this arm against others, not against the control.
    if compare(ahead, behind, interval) == "above":
        leaves = ", and the interval leaves 0 out" if interval else ""
        return True, f"Shown: all seeds of both lie apart{leaves} (no test of the study's own)."
    if interval and _holds_0(interval):
        return False, f"Not shown: the interval of the lead over “{control}” holds 0."
    return False, f"Not shown: seeds of “{control}” reach as high."


def _replicas(score: Score) -> int:
    """Returns how many seeds an arm was run with, or worlds, whichever are more."""
    labels = [str(label).split("/") for label in score.over_seeds.values]
    return max(len({label[0] for label in labels}), len({label[-1] for label in labels}))


def _holds_0(interval: Interval) -> bool:
    return interval[0] <= 0 <= interval[1]


def _are(count: int) -> str:
    return "is one" if count == 1 else f"are {count}"


def _over(difference: Difference) -> str:
    words = {"image": "questions", "seed": f"{difference.seeds} seeds", "world": f"{difference.worlds} worlds"}
    named = [words[name] for name in difference.over]
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1]))) if named else "seeds"


def study_tiles(data: Dataset, content: Content) -> list[Tile]:
    """Returns the numbers of the arm that is best OOD."""
    best = best_of(data, content)
    found = []
    for one in looked_at(data, content):
        score = one.measure.arms.get(best or "")
        if score is not None:
            seen = score.over_seeds
            interval = interval_text(seen.shown_interval and Interval(*seen.shown_interval))
            std = "" if seen.std is None else f"± {seen.std:.1f}"
            found.append(Tile(one.label, f"{seen.mean:.1f}", std, interval, one.side))
    return found
