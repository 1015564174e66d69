"""Sweeps drawn: accuracy over the value of a field, in-domain beside OOD, with error bars over seeds."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from vqa_gs.eval.report.verdicts import Splits
from vqa_gs.study.arms import slug
from vqa_gs.study.results import Measure, Score
from vqa_gs.study.summary import ArmState, Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKERS = "os^DPX"


@dataclass(frozen=True)
class Curve:
    """A figure as a report holds it, and as a file.

    Attributes:
        name: the file's name, without a folder.
        title: what it shows.
        source: SVG.
    """

    name: str
    title: str
    source: str

    def svg(self) -> Markup:
        """Returns the figure as a picture in itself: its ids and styles cannot meet those of the page."""
        data = base64.b64encode(self.source.encode("utf-8")).decode("ascii")
        return Markup(
            '<figure class="panel" style="grid-column: 1 / -1; max-width: 56rem"><figcaption>{}</figcaption>'
            '<img style="width: 100%; background: #fff" alt="{}" src="data:image/svg+xml;base64,{}"></figure>'
        ).format(self.title, self.title, data)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def curves_of(data: Dataset) -> list[Curve]:
    """Returns a figure for each swept field whose values are numbers, and each scoring rule."""
    curves = []
    for content in data.contents:
        overall = [one for one in data.measures if one.kind == "overall" and one.scoring == content.scoring]
        fields = dict.fromkeys(arm.field for arm in data.arms if arm.field and _is_number(arm.value))
        for field in fields:
            families: dict[str, list[ArmState]] = {}
            for arm in data.arms:
                if arm.field == field and _is_number(arm.value) and any(arm.name in one.arms for one in overall):
                    families.setdefault(arm.family, []).append(arm)
            if families:
                parts = (data.name, field, content.scoring if len(data.contents) > 1 else "")
                name = slug("-".join(part for part in parts if part)) + ".svg"
                title = f"Accuracy over {field}" + (f", {data.name}" if data.name else "")
                source = _draw(field, families, overall, content.splits, _levels(data, families))
                curves.append(Curve(name, f"{title} ({content.scoring})", source))
    return curves


def _levels(data: Dataset, families: dict[str, list[ArmState]]) -> list[str]:
    """Returns the arms without a sweep that swept ones are tested against."""
    swept = {arm.name for arms in families.values() for arm in arms}
    against = {name for arms in families.values() for arm in arms for name in arm.against}
    return [arm.name for arm in data.arms if arm.name in against - swept]


def _draw(
    field: str, families: dict[str, list[ArmState]], overall: Sequence[Measure], splits: Splits, levels: Sequence[str]
) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(overall), 3.2), layout="constrained")
    axes = figure.subplots(1, len(overall), squeeze=False)[0]
    values = [float(arm.value) for arms in families.values() for arm in arms]
    for axis, one in zip(axes, overall, strict=True):
        for index, (family, arms) in enumerate(families.items()):
            points = sorted((float(arm.value), one.arms[arm.name]) for arm in arms if arm.name in one.arms)
            axis.errorbar(
                [value for value, _ in points],
                [score.over_seeds.mean for _, score in points],
                yerr=[[reach(score)[end] for _, score in points] for end in (0, 1)],
                label=family,
                color=COLOURS[index % len(COLOURS)],
                marker=_MARKERS[index % len(_MARKERS)],
                markersize=4,
                capsize=2,
                linewidth=1.4,
            )
        for index, name in enumerate(levels):
            if name in one.arms:
                style = ("--", ":", "-.")[index % 3]
                axis.axhline(one.arms[name].over_seeds.mean, label=name, color="#666", linestyle=style, linewidth=1)
        swept = sorted(set(values))
        if min(swept) > 0 and max(swept) / min(swept) >= 8 and _closest(np.log(swept)) > _closest(swept):
            axis.set_xscale("log")
        if len(swept) > 1:
            axis.set_xticks(swept, [f"{value:g}" for value in swept], fontsize=9 if len(swept) < 9 else 7)
            axis.minorticks_off()
        axis.set_xlabel(field)
        axis.set_title(splits.label(one.split), fontsize=10)
        axis.grid(alpha=0.25)
    axes[0].set_ylabel(f"accuracy, % ({overall[0].scoring})")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return svg_of(figure)


def _closest(values: Sequence[float] | np.ndarray) -> float:
    """Returns the least gap of rising numbers, as a share of their range: labels on it must not run into each other."""
    gaps = np.diff(values)
    return float(gaps.min() / gaps.sum())


def svg_of(figure: Figure) -> str:
    """Returns a figure's SVG; the same numbers give the same file."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "vqa-gs", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def reach(score: Score) -> tuple[float, float]:
    """Returns how far the 95 % interval over seeds reaches down and up; nowhere with one seed."""
    found = score.over_seeds
    return (found.mean - found.interval[0], found.interval[1] - found.mean) if found.interval else (0.0, 0.0)
