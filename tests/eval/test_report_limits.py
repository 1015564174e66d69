"""What is out of reach, and tables of a report for terminals of any width."""

import gzip
import json

import pytest
from rich.console import Console
from vqa_gs.eval.breakdowns.controls import Controls
from vqa_gs.eval.report.limits import ceiling, limits_sentence
from vqa_gs.eval.report.sections.arms import build
from vqa_gs.eval.report.write import summary_table
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.records import _is_of_texts
from vqa_gs.eval.report_content.verdicts import Splits
from vqa_gs.eval.runs import RunSummary, SplitMetrics

from .test_report_fixtures import load_study


def content(reach, supported):
    """Runs of two arms whose controls say how much their vocabulary allows, in-domain and OOD."""
    runs = []
    for arm in ("baseline", "gs"):
        metrics = {}
        for split, most, seen in zip(("iid_val", "ood_test"), reach, supported, strict=True):
            controls = Controls(10, 40.0, 10.0, 10.0, 50.0, most, seen, 7, None)
            metrics[split] = SplitMetrics("official", split, 40.0, 10, breakdowns={"controls": controls})
        runs.append(RunSummary(name=arm, arm=arm, folder=arm, metrics=metrics, seed=1))
    return Content("official", runs)


def test_what_is_out_of_reach_is_told_beside_the_accuracies():
    found = content((99.0, 95.8), (98.0, 3.0))
    assert limits_sentence(found) == (
        "Limits: answers outside the vocabulary put 4.2 points OOD and 1.0 points in-domain out of reach; 97.0 % of the"
        " OOD questions and 2.0 % of the in-domain questions have an answer that training never shows with their"
        " question type."
    )
    assert ceiling(found, found.arms[0], "ood_test").mean == pytest.approx(95.8)
    (table,) = build(found).tables()
    labels = [column.label for column in table.columns]
    assert labels[2:6] == ["OOD", "best possible", "in-domain", "best possible"]
    assert [cell.text for cell in table.rows[0][2:6]] == ["40.00", "95.8", "40.00", "99.0"]
    assert any(note.startswith("Best possible: ") for note in table.notes)


def test_where_all_is_in_reach_nothing_is_said():
    found = content((100.0, 100.0), (100.0, 100.0))
    assert limits_sentence(found) is None
    assert "best possible" not in [column.label for column in build(found).tables()[0].columns]
    bare = RunSummary(name="a", arm="a", folder="a", metrics={"ood_test": SplitMetrics("official", "ood_test", 2.0, 9)})
    assert limits_sentence(Content("official", [bare])) is None


def test_arms_go_down_where_they_do_not_fit_across(tmp_path):
    runs = load_study(tmp_path)

    def lines(width):
        console = Console(width=width, file=open("/dev/null", "w"), record=True)  # noqa: SIM115
        console.print(summary_table(runs, width))
        return console.export_text().splitlines()

    narrow, wide = lines(80), lines(200)
    assert max(map(len, narrow)) <= 80
    # A row an arm and question type, none of its words cut.
    (row,) = (line for line in narrow if "all questions" in line)
    assert "5,387" in row
    assert sum("pairs + GS" in line for line in narrow) == sum("baseline" in line for line in narrow) > 20
    assert "…" not in "".join(narrow)
    assert sum("baseline" in line for line in wide) == 1


def test_splits_looked_at_again_are_known_by_their_names():
    sides = {
        "iid_val": "in",
        "ood_test": "ood",
        "ood_test_last_epoch": "ood",
        "ood_test_prior_-0.1": "ood",
        "x_prior_1": None,
    }
    splits = Splits(tuple(sides), "iid_val", "ood_test", sides)
    assert splits.first_looks == ("iid_val", "ood_test", "x_prior_1")
    assert [splits.label(split) for split in sides] == ["in-domain", "OOD", *list(sides)[2:]]


def test_compressed_questions_are_no_table_of_texts(tmp_path):
    # The header of gzip holds the time: this one's is four tabs.
    file = tmp_path / "q.json.gz"
    file.write_bytes(gzip.compress(json.dumps([{"question": "a"}]).encode(), mtime=0x09090909))
    assert b"\t" in file.read_bytes()
    assert not _is_of_texts(file)
    table = tmp_path / "t.tsv"
    table.write_text("Text\tSentiment\na\tPositive\n")
    assert _is_of_texts(table)
