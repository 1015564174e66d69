import itertools
from xml.etree import ElementTree

import pytest
from vqa_gs.eval.arms import Spread
from vqa_gs.eval.report_content.charts.bars import Bar, BarChart, bar_ceiling
from vqa_gs.eval.report_content.charts.dots import DotChart, Series
from vqa_gs.eval.report_content.charts.lines import Line, LineChart
from vqa_gs.eval.report_content.charts.plane import PlaneChart, Point, Reference
from vqa_gs.eval.report_content.marks import ARM_COLOURS, WIDTH, Estimate, marker, shorten, span, ticks

NASTY = "<script>alert(\"1\")</script> & 'x'"


def parsed(chart) -> ElementTree.Element:
    """An SVG in a figure is well-formed XML, so a parser notices whatever was not escaped."""
    return ElementTree.fromstring(str(chart.svg()))


def seeds(*values: float) -> Estimate:
    return Estimate(Spread(values))


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 100), (0, 37.2), (0.4, 1.03), (-0.2, 0.5), (3, 3), (1e-6, 2e-6), (0, 12345), (-5, -1)],
)
def test_ticks_cover_the_range(low, high):
    found = ticks(low, high)
    assert found[0] <= low + 1e-9
    assert found[-1] >= high - 1e-9
    assert 2 <= len(found) <= 8
    steps = {round(b - a, 9) for a, b in itertools.pairwise(found)}
    assert max(steps) - min(steps) < 1e-8


def test_shorten():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize("index", range(14))
def test_markers(index):
    assert ElementTree.fromstring(str(marker(index, 1, 2))).get("class").startswith("arm")


def test_arms_beyond_the_colours_get_another_shape():
    assert marker(0, 0, 0) != marker(ARM_COLOURS, 0, 0)


def test_bar_panel():
    bars = (Bar(NASTY, seeds(60.0, 62.0), seeds(40.0)), Bar("b", None, seeds(100.0)))
    assert bar_ceiling(bars) == 100
    root = parsed(BarChart(NASTY, bars, 100))
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
    bars = (Bar("a", seeds(99.0, 100.0), Estimate(Spread((1.0,)), (0.0, 4.0))),)
    root = parsed(BarChart("t", bars, bar_ceiling(bars)))
    for node in root.iter("text"):
        assert 0 <= float(node.get("x")) <= WIDTH - 20


def test_dot_panel():
    series = (Series(NASTY, (seeds(10.0, 30.0), None)), Series("b", (None, seeds(90.0))))
    root = parsed(DotChart("t", (NASTY, "what is the longest question type"), series))
    assert len(list(root.iter("g"))) == 2
    assert len(list(root.iter("path"))) == 1
    assert "what is the longest question type" in "".join(root.itertext()), "the whole name is in the tip"


def test_line_panel():
    lines = (
        Line(NASTY, 0, ((1, 5.0), (2, 4.0)), mean=True),
        Line("seed", 0, ((1, 5.5), (2, 4.5)), mean=False),
    )
    root = parsed(LineChart("loss", lines))
    assert [node.get("class") for node in root.iter("polyline")] == ["arm0 curve thin", "arm0 curve mean"]
    assert LineChart("none", ()).svg() == ""
    assert parsed(LineChart("one", (Line("a", 0, ((3, 1.0),), mean=True),))) is not None


def test_plane_panel():
    points = (
        Point(NASTY, 0, seeds(40.0), Estimate(Spread((20.0, 22.0)), (18.0, 24.0))),
        Point("better", 2, seeds(50.0), seeds(30.0)),
    )
    root = parsed(PlaneChart("OOD", points, "in-domain", origin=NASTY))
    one, other = root.iter("g")
    assert len(list(one.iter("path"))) == 1, "a whisker upwards, none across for a single seed"
    assert not list(other.iter("path"))
    circle, triangle = next(one.iter("circle")), next(other.iter("polygon"))
    x, y = (sum(float(pair.split(",")[at]) for pair in triangle.get("points").split()) / 3 for at in (0, 1))
    assert x > float(circle.get("cx")) + 50
    assert y < float(circle.get("cy")) - 50, "upwards is more"
    quarters = [node.get("d") for node in root.iter("path") if node.get("class") == "diagonal"]
    assert len(quarters) == 2
    assert f"{float(circle.get('cy')):.1f}H" in quarters[0]
    text = "".join(root.itertext())
    assert "in-domain 50.0" in text
    assert "OOD 21.0 ± 1.4" in text
    assert PlaneChart("none", (), "x").svg() == ""


def test_an_axis_is_set_by_its_points_and_whiskers_end_inside():
    assert span([10.0, 20.0]) == (10, 20)
    assert span([10.0, 20.0], [(8.0, 21.0), None]) == (8, 21)
    # Not down to -200: half of what the points lie apart.
    assert span([10.0, 20.0], [(-200.0, 200.0)]) == (5, 25)
    assert span([10.0], [(-200.0, 200.0)]) == (9, 11)
    points = (
        Point("a", 0, Estimate(Spread((40.0,)), (0.0, 90.0)), Estimate(Spread((20.0,)), (0.0, 100.0))),
        Point("b", 1, seeds(50.0), seeds(30.0)),
    )
    root = parsed(PlaneChart("OOD", points, "in-domain"))
    (whiskers,) = (node.get("d") for node in root.iter("path") if "reach" in node.get("class"))
    across, up = whiskers.split("M")[1:]
    x, right = float(across.split(" ")[0]), float(across.split("H")[1])
    top, bottom = float(up.split(" ")[1].split("V")[0]), float(up.split("V")[1])
    assert 40 <= x < right <= WIDTH - 12
    assert min(top, bottom) >= 8
    assert max(top, bottom) <= 258
    swept = Line("swept", 0, ((1, 40.0), (2, 42.0)), mean=True, reach=((0.0, 90.0), None))
    root = parsed(LineChart("accuracy", (swept,)))
    (whisker,) = (node.get("d") for node in root.iter("path"))
    low, high = map(float, whisker.split(" ")[1].split("V"))
    assert 8 <= min(low, high) < max(low, high) <= 178


def test_a_deviation_ends_where_accuracies_do():
    assert seeds(99.0, 100.0, 95.0).reach[1] == 100
    assert Estimate(Spread((-5.0, 5.0)), possible=(-100.0, 100.0)).reach[0] < 0


def test_published_results_are_grey_points_of_the_plane():
    points = (Point("own", 0, seeds(40.0), seeds(20.0)),)
    root = parsed(PlaneChart("OOD", points, "in-domain", published=(Reference(NASTY, 60.0, 45.0),)))
    grey, own = root.iter("g")
    assert next(grey.iter("circle")).get("class") == "published"
    assert f"{NASTY} (published) · in-domain 60.0 · OOD 45.0" in "".join(grey.itertext())
    x, y = (float(next(grey.iter("circle")).get(name)) for name in ("cx", "cy"))
    circle = next(own.iter("circle"))
    assert x > float(circle.get("cx")) + 50, "the axes reach to the published ones"
    assert y < float(circle.get("cy")) - 50
