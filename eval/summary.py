"""A metrics file in a few lines of text, the rule beside every number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _interval(bounds: Any) -> str:
    return "" if bounds is None else f"  [{bounds[0]:.2f}, {bounds[1]:.2f}]"


def _shown(value: float | None) -> str:
    return "     -" if value is None else f"{value:6.2f}"


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Returns what `vqa-gs evaluate` prints: accuracies with intervals, one line a breakdown, the notes."""
    rule, intervals = metrics["scoring"], metrics.get("intervals", {})
    of_type = intervals.get("per_answer_type", {})
    level = f", {100 * intervals['level']:.0f} % interval over images" if intervals else ""
    lines = [
        f"{rule} score of {metrics['questions']:,} questions{level}: {metrics['overall']:.2f} %"
        f"{_interval(intervals.get('overall'))}"
    ]
    for name, value in metrics["per_answer_type"].items():
        lines.append(f"  {name:<24} {_shown(value)} % ({rule}){_interval(of_type.get(name))}")
    for name, part in metrics["subsets"].items():
        bounds = intervals.get("subsets", {}).get(name)
        lines.append(f"  subset {name:<17} {_shown(part['overall'])} % ({rule}){_interval(bounds)}")
    sections = metrics.get("breakdowns", {})
    for name, write in _SECTIONS.items():
        if name in sections:
            lines += [f"  {line}" for line in write(sections[name], rule)]
    return [*lines, *(f"note: {note}" for note in metrics.get("notes", []))]


def _gap(section: Any, rule: str) -> list[str]:
    whole = section["overall"]
    gap = "" if whole["gap"] is None else f", gap {whole['gap']:.2f} points"
    return [
        f"in-domain ({section['split']}) {_shown(whole['in_domain'])} %, here {_shown(whole['ood'])} % ({rule}){gap}"
    ]


def _head_tail(section: Any, rule: str) -> list[str]:
    return [f"head {_shown(section['head'])} %, tail {_shown(section['tail'])} % ({rule}, alpha {section['alpha']})"]


def _vqa_ce(section: Any, rule: str) -> list[str]:
    parts = [f"{name} {_shown(part['accuracy'])} % of {part['questions']:,}" for name, part in section.items()]
    return [f"VQA-CE ({rule}): {', '.join(parts)}"]


def _flips(section: Any, rule: str) -> list[str]:
    ways = ", ".join(f"{name.replace('_', '->')} {section[name]:.2f}" for name in ("pos_neg", "neg_pos", "neg_neg"))
    consistent = f", consistent {section['consistent']:.2f}" if "consistent" in section else ""
    kind = section["kind"].upper()
    return [f"{kind} flips {section['flips']:.2f} % of {section['edits']:,} edits ({ways}{consistent})"]


def _pairs(section: Any, rule: str) -> list[str]:
    return [
        f"pairs {name}: both right {_shown(part['both_right'])} % of {part['pairs']:,} ({rule}),"
        f" same answer {_shown(part['same_answer'])} %"
        for name, part in section.items()
    ]


def _prior(section: Any, rule: str) -> list[str]:
    whole = section["overall"]
    return [
        f"the training prior's answer is given {whole['predicted_prior']:.2f} %, true {whole['true_prior']:.2f} % of"
        " the time"
    ]


def _calibration(section: Any, rule: str) -> list[str]:
    return [f"expected calibration error {section['ece']:.2f} points ({rule})"]


def _grounding(section: Any, rule: str) -> list[str]:
    lines = []
    if section["regions"]:
        part = section["regions"]["all"]
        lines.append(
            f"relevant regions get {part['attention']:.2f} % of attention, {part['gradient']:.2f} % of gradient,"
            f" chance {part['chance']:.2f} %"
        )
    if section["pairs"]:
        lines.append(f"gradient alignment with {section['pairs']['pairs']:,} pairs {section['pairs']['cosine']:+.3f}")
    return lines


_SECTIONS = {
    "gap": _gap,
    "head_tail": _head_tail,
    "vqa_ce": _vqa_ce,
    "flips": _flips,
    "pair_consistency": _pairs,
    "prior": _prior,
    "calibration": _calibration,
    "grounding": _grounding,
}
