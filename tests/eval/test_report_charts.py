import itertools
from xml.etree import ElementTree

import pytest

from eval import charts
from eval.runs import Spread

NASTY = "<script>alert(\"1\")</script> & 'x'"


def parsed(panel) -> ElementTree.Element:
    """An SVG in a figure is well-formed XML, so a parser notices whatever was not escaped."""
    return ElementTree.fromstring(str(panel))


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 100), (0, 37.2), (0.4, 1.03), (-0.2, 0.5), (3, 3), (1e-6, 2e-6), (0, 12345), (-5, -1)],
)
def test_ticks_cover_the_range(low, high):
    found = charts.ticks(low, high)
    assert found[0] <= low + 1e-9
    assert found[-1] >= high - 1e-9
    assert 2 <= len(found) <= 8
    steps = {round(b - a, 9) for a, b in itertools.pairwise(found)}
    assert max(steps) - min(steps) < 1e-8


def test_shorten():
    assert charts.shorten("abcdef", 6) == "abcdef"
    assert charts.shorten("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize("index", range(14))
def test_markers(index):
    assert ElementTree.fromstring(str(charts.marker(index, 1, 2))).get("class").startswith("arm")


def test_arms_beyond_the_colours_get_another_shape():
    assert charts.marker(0, 0, 0) != charts.marker(charts.ARM_COLOURS, 0, 0)


def test_bar_panel():
    bars = [charts.Bar(NASTY, Spread((60.0, 62.0)), Spread((40.0,))), charts.Bar("b", None, Spread((100.0,)))]
    assert charts.bar_ceiling(bars) == 100
    root = parsed(charts.bar_panel(NASTY, bars, 100))
    rects = [node for node in root.iter("rect") if "bar" in node.get("class")]
    assert [node.get("class") for node in rects] == ["bar in", "bar ood", "bar ood"]
    widths = [float(node.get("width")) for node in rects]
    assert widths[1] / widths[0] == pytest.approx(40 / 61, abs=0.01)
    assert len(list(root.iter("circle"))) == 2, "a dot a seed, none for a single seed"
    text = "".join(root.itertext())
    assert "61.0 ± 1.4" in text
    assert "no in-domain score" in text
    assert not list(root.iter("script"))


def test_bars_stay_inside_the_panel():
    bars = [charts.Bar("a", Spread((99.0, 100.0)), Spread((0.0, 0.0)))]
    root = parsed(charts.bar_panel("t", bars, charts.bar_ceiling(bars)))
    for node in root.iter("text"):
        assert 0 <= float(node.get("x")) <= charts.WIDTH - 20


def test_dot_panel():
    series = [charts.Series(NASTY, (Spread((10.0, 30.0)), None)), charts.Series("b", (None, Spread((90.0,))))]
    root = parsed(charts.dot_panel("t", [NASTY, "what is the longest question type"], series, 100))
    assert len(list(root.iter("g"))) == 2
    assert len(list(root.iter("path"))) == 1
    assert "what is the longest question type" in "".join(root.itertext()), "the whole name is in the tip"


def test_line_panel():
    lines = [
        charts.Line(NASTY, 0, ((1, 5.0), (2, 4.0)), mean=True),
        charts.Line("seed", 0, ((1, 5.5), (2, 4.5)), mean=False),
    ]
    root = parsed(charts.line_panel("loss", lines))
    assert [node.get("class") for node in root.iter("polyline")] == ["arm0 curve thin", "arm0 curve mean"]
    assert charts.line_panel("none", []) == ""
    assert parsed(charts.line_panel("one", [charts.Line("a", 0, ((3, 1.0),), mean=True)])) is not None
