"""A model's card, and the figure that sets in-domain beside mean OOD."""

import csv
import io
import json
import statistics

import msgspec
import numpy as np
import pytest
from vqa_gs.eval.arms import Spread
from vqa_gs.eval.breakdowns.free_form import FreeForm
from vqa_gs.eval.breakdowns.subset_means import SubsetMean, SubsetMeans
from vqa_gs.eval.metrics_file import read_metrics, write_metrics
from vqa_gs.eval.report.card import build_card
from vqa_gs.eval.report.ood_mean import Figure, estimate, ood_figures
from vqa_gs.eval.report.part import build_part, read_content
from vqa_gs.eval.report.write import write_card
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.report_content.resampling import OVERALL
from vqa_gs.eval.suite_record import RecordedTest, SuiteRecord, read_record, write_record

from vqa_gs.common.errors import DataError, UsageError

from .report_world import NASTY, write_world

SHARES = {"baseline": (0.3, 0.35, 0.3), "gs": (0.8, 0.9, 0.9)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two arms of three seeds, evaluated on a suite of one OOD test and the in-domain one."""
    made = write_world(tmp_path_factory.mktemp("world"), SHARES, 24)
    tests = [RecordedTest("inside", "in", ["iid_val"]), RecordedTest("outside", "ood", ["ood_test"], "vqa-cp-v2")]
    record = SuiteRecord(title="the suite", file="suite.yaml", sha256="0", tests=tests, left_out=["x: y is not there"])
    for run in made.runs:
        write_record(run, "small", msgspec.structs.replace(record, notes=[NASTY]))
    return made


def overall(world, run, split):
    return json.loads((world.runs[run] / f"metrics/{split}.json").read_text())["overall"]


def test_every_test_in_a_row_with_both_sides(world):
    card = build_card(world.load())
    inside, outside = (
        next(line for line in card.lines if line.test == name and not line.measure) for name in ("inside", "outside")
    )
    assert card.suites == ("the suite",)
    assert (inside.side, inside.count, inside.scoring) == ("in", 72, "official")
    found = outside.arms["gs"]
    assert found.outside.spread.values == tuple(overall(world, run, "ood_test") for run in (3, 4, 5))
    assert found.inside.mean == pytest.approx(statistics.fmean(overall(world, run, "iid_val") for run in (3, 4, 5)))
    # Over seeds alone the interval is Student's; questions make it wider.
    half = 4.302652729911275 * statistics.stdev(found.outside.spread.values) / 3**0.5
    low, high = found.outside.interval
    assert low < found.outside.mean - half
    assert high > found.outside.mean + half
    measures = {line.measure for line in card.lines if line.test == "outside"}
    assert {
        "CS(4)",
        "Q-Acc",
        "RAD",
        "ViLP-F score",
        "VQA-CE, hard",
        "mean of two",
        "texts as written, raw exact",
    } <= measures
    (published,) = card.published
    assert not published.same  # 72 questions are not VQA-CP's
    assert not outside.published
    assert "Left out of the suite: x: y is not there." in card.notes


def test_runs_without_a_suite(world, tmp_path):
    other = write_world(tmp_path / "other", {"gs": (0.9,)}, 4)
    card = build_card(other.load())
    assert [line.test for line in card.lines if not line.measure] == ["held out of training (iid_val)", "ood_test"]
    assert card.suites == ()
    with pytest.raises(UsageError, match="a card needs at least one run"):
        build_card([])


def test_the_four_forms(world, tmp_path):
    runs = [msgspec.structs.replace(run, arm=NASTY) if run.arm == "gs" else run for run in world.load()]
    files = write_card(runs, tmp_path / "card.html", markdown=True, csv=True, latex=True, title=NASTY)
    assert [file.name for file in files] == ["card.html", "card.md", "card.csv", "card.tex"]
    html, markdown, table, latex = (file.read_text() for file in files)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "<script>alert" not in markdown
    assert "Not the same test: outside has 72 questions, VQA-CP v2 test has 219,928" in html
    assert latex.count("{") == latex.count("}")
    assert "alert('q')" in latex
    rows = list(csv.DictReader(io.StringIO(table)))
    scores = {(row["test"], row["measure"], row["arm"]): row for row in rows}
    own = scores["outside", "", NASTY]
    assert float(own["score"]) == pytest.approx(statistics.fmean(overall(world, run, "ood_test") for run in (3, 4, 5)))
    assert (own["seeds"], own["side"], own["count"]) == ("3", "ood", "72")
    assert float(own["in_domain"]) == pytest.approx(
        statistics.fmean(overall(world, run, "iid_val") for run in (3, 4, 5))
    )
    with pytest.raises(UsageError, match="cannot tell the card's form"):
        write_card(runs, tmp_path / "card.pdf")


def test_means_over_subsets_are_ood_figures_of_an_in_domain_test(world, tmp_path):
    """As of VQA-VS, whose OOD tests are parts of its IID test; published results on the same test are grey."""
    made = write_world(tmp_path / "world", {"gs": (0.8, 0.9, 0.7)}, 24)
    for run in made.runs:
        file = run / "metrics/iid_val.json"
        metrics = read_metrics(file)
        means = SubsetMeans({"mean": SubsetMean(metrics.overall - 10, ["a", "b"], 218_943)})
        texts = FreeForm(218_943, 10.0, 20.0, 15.0)
        sections = {"subset_means": means, "free_form": texts}
        write_metrics(file, msgspec.structs.replace(metrics, breakdowns=sections))
        (run / "metrics/ood_test.json").unlink()
        tests = [RecordedTest("VQA-VS", "in", ["iid_val"], "vqa-vs")]
        write_record(run, "vs", SuiteRecord(title="x", file="x", sha256="", tests=tests))
    content = read_content("official", made.load(), Options(examples=0))
    (figure,) = ood_figures(content)
    assert figure.name == "iid_val, mean"
    found = estimate(content, content.arms[0], [figure])
    inside = estimate(content, content.arms[0], [Figure("iid_val", "", (OVERALL,))])
    assert found.mean == pytest.approx(inside.mean - 10)
    section = build_part(content).section("beside")
    (chart,) = section.blocks[0].figures
    assert {one.label: (one.across, one.up) for one in chart.published}["UpDn"] == (65.20, 46.80)
    lines = {line.measure: line for line in build_card(made.load()).lines}
    assert not lines["texts as written, raw exact"].published  # others report no such thing
    line = lines["mean"]
    assert line.side == "ood"
    assert line.published == "38.73 to 53.70 (11 results, 11 of them not selected on the test)"
    assert line.arms["gs"].inside.mean == pytest.approx(inside.mean)


def test_the_mean_over_tests_with_its_interval(world):
    content = read_content("official", world.load(), Options(examples=0))
    arm = content.arms[1]
    one, other = Figure("ood_test", "", (OVERALL,)), Figure("iid_val", "", (OVERALL,))
    both = estimate(content, arm, [one, other])
    values = [(overall(world, run, "ood_test") + overall(world, run, "iid_val")) / 2 for run in (3, 4, 5)]
    assert both.spread == Spread(tuple(values))
    # Each test's questions are drawn apart, so that the mean of two is known better than either.
    draws = [content.intervals[figure.split].images(list(arm.runs), OVERALL).draws for figure in (one, other)]
    apart = float(np.std((draws[0] + draws[1][::-1]) / 2))
    assert both.interval[1] - both.interval[0] > 2 * 1.8 * apart


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": "x"}, "no suite record: its format is 'x'"),
        ({"format": "vqa-gs-suite-record", "title": 1}, "no suite record of this version"),
        (
            {"format": "vqa-gs-suite-record", "title": "", "file": "", "sha256": "",
             "tests": [{"title": "", "side": "in", "splits": ["../x"]}]},
            "'../x' cannot be the name of a file",
        ),
    ],
)  # fmt: skip
def test_records_that_are_none(tmp_path, content, message):
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises((DataError, UsageError), match=message):
        read_record(tmp_path / "r.json")
