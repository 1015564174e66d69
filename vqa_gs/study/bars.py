"""What supervision does to a model, drawn: where it looks, and how far it leans on the training set's habits."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.eval.report.content import Content
from vqa_gs.study.arms import slug
from vqa_gs.study.curves import COLOURS, Curve, reach, svg_of
from vqa_gs.study.results import Measure
from vqa_gs.study.summary import Dataset

# More arms, or more question types, are no longer told apart in a figure.
_ARMS = len(COLOURS)
_TYPES = 6


def bars_of(data: Dataset, drawn: Sequence[str] = ()) -> list[Curve]:
    """Returns the figures of one dataset: a bar an arm on where models look, and on prior bias by question type.

    Args:
        data: the dataset.
        drawn: the arms to draw, in this order; none: all. There are at most as many as colours.
    """
    figures = []
    for content in data.contents:
        for kind, title, draw in (("looks", "Where models look", _looks), ("prior", "Prior bias", _prior)):
            found = [one for one in data.measures if one.kind == kind and one.scoring == content.scoring]
            if not found:
                continue
            rule = content.scoring if len(data.contents) > 1 else ""
            name = slug("-".join(part for part in (data.name, title.lower(), rule) if part)) + ".svg"
            full = title + (f", {data.name}" if data.name else "")
            figures.append(Curve(name, f"{full} ({content.scoring})", draw(found, content, _arms(found, drawn))))
    return figures


def _arms(measures: Sequence[Measure], drawn: Sequence[str]) -> list[str]:
    there = dict.fromkeys(arm for one in measures for arm in one.arms)
    # Of a study under way, the arms to draw may not have been run yet.
    return ([arm for arm in drawn if arm in there] or list(there))[:_ARMS]


def _panels(
    measures: Sequence[Measure],
    content: Content,
    arms: Sequence[str],
    label: str,
    names: dict[str, str],
    chance: str | None = None,
) -> str:
    """Draws horizontal bars, a panel a split, a group a name, a bar an arm."""
    from matplotlib.figure import Figure

    splits = [split for split in content.splits.names if any(one.split == split for one in measures)]
    height = 0.9 + 0.17 * len(arms) * len(names) + 0.25 * len(arms) ** 0.5
    figure = Figure(figsize=(4.2 * len(splits), height), layout="constrained")
    axes = figure.subplots(1, len(splits), squeeze=False, sharey=True)[0]
    step = 0.84 / len(arms)
    for axis, split in zip(axes, splits, strict=True):
        at = {one.name: one for one in measures if one.split == split}
        for index, arm in enumerate(arms):
            places, means, spans = [], [], []
            for row, name in enumerate(names):
                score = at[name].arms.get(arm) if name in at else None
                if score is not None:
                    places.append(row + (index - (len(arms) - 1) / 2) * step)
                    means.append(score.over_seeds.mean)
                    spans.append(reach(score))
            errors = [[span[end] for span in spans] for end in (0, 1)]
            axis.barh(places, means, height=step * 0.9, xerr=errors, color=COLOURS[index], label=arm, capsize=1.5)
        if chance in at:
            level = next(iter(at[chance].arms.values())).over_seeds.mean
            axis.axvline(level, color="#666", linestyle="--", linewidth=1)
            axis.text(level, 1, " chance", transform=axis.get_xaxis_transform(), va="bottom", fontsize=7, color="#666")
        axis.axvline(0, color="#333", linewidth=0.8)
        axis.set_yticks(range(len(names)), list(names.values()), fontsize=8)
        axis.set_title(content.splits.label(split), fontsize=10)
        axis.set_xlabel(label, fontsize=8)
        axis.grid(axis="x", alpha=0.25)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return svg_of(figure)


def _looks(measures: Sequence[Measure], content: Content, arms: Sequence[str]) -> str:
    label = "share on the regions the answer is read from, %"
    return _panels(measures, content, arms, label, {"attention": "attention", "gradient": "gradient"}, chance="chance")


def _prior(measures: Sequence[Measure], content: Content, arms: Sequence[str]) -> str:
    asked: dict[str, int] = {}
    for one in measures:
        asked[one.name] = asked.get(one.name, 0) + (one.count or 0)
    names = sorted((name for name in asked if name), key=lambda name: (-asked[name], name))[:_TYPES]
    label = "training's top answer: given minus true, points"
    return _panels(measures, content, arms, label, {"": "all", **{name: name for name in names}})
