"""A breakdown of the user's own: one file, and it is computed, stored, printed, reported and measured in studies."""

import json

from ..report_world import write_world

PLUGIN = """
from typing import ClassVar

from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, StudyKind
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.measure_table import MeasureRow, measure_table


@BREAKDOWNS.register("brevity")
class Brevity(Breakdown, frozen=True):
    order: ClassVar[int] = 45
    study: ClassVar[StudyKind | None] = StudyKind("short", "Short answers", "Of up to 2 letters.", "Brevity", "%")

    questions: int
    short: float

    @classmethod
    def of(cls, scored):
        short = [len(answer) <= 2 for answer in scored.answers if answer is not None]
        return cls(len(short), 100 * sum(short) / len(short))

    def lines(self, rule):
        return [f"{self.short:.1f} % of the answers are short"]

    @classmethod
    def section(cls, content):
        rows = [MeasureRow("short answers, %", lambda one: one.short, lambda one: one.questions)]
        table = measure_table(content, Brevity, "Brevity", (), rows)
        return Section("Brevity", "brevity", "Brevity", (table,)) if table else None

    def measured(self):
        return {"": Measured(self.short, self.questions)}
"""

COMMANDS = """
import sys
from vqa_gs.cli import main
from vqa_gs.eval.metrics_file import read_metrics
from vqa_gs.eval.breakdown import study_kinds
from vqa_gs.study.results import measures_of

data, run, out = sys.argv[1:]
words = ["--questions", data + "/ood_test_questions.json", "--annotations", data + "/ood_test_annotations.json"]
metrics = run + "/metrics/ood_test.json"
results = run + "/predictions/ood_test.json"
assert main(["evaluate", *words, "--split", "ood_test", "--results", results, "--out", metrics]) == 0
assert main(["report", run, "--out", out, "--markdown"]) == 0
assert [kind.heading for kind in study_kinds() if kind.kind == "short"] == ["Short answers"]
print("measured", measures_of(read_metrics(metrics))["short", ""].value)
"""


def test_a_breakdown_is_one_file(processes, tmp_path):
    world = write_world(tmp_path / "world", {"gs": (0.9,)}, images=4)
    (world.runs[0] / "metrics/iid_val.json").unlink()
    (tmp_path / "brevity.py").write_text(PLUGIN)
    words = [str(world.folder / "data"), str(world.runs[0]), str(tmp_path / "r.html")]
    done = processes.run(*words, program=COMMANDS, VQA_GS_PLUGINS=str(tmp_path / "brevity.py"))
    assert done.returncode == 0, done.stderr
    section = json.loads((world.runs[0] / "metrics/ood_test.json").read_text())["breakdowns"]["brevity"]
    given = json.loads((world.runs[0] / "predictions/ood_test.json").read_text())
    share = 100 * sum(len(row["answer"]) <= 2 for row in given) / len(given)
    assert section == {"questions": len(given), "short": share}
    assert f"{share:.1f} % of the answers are short" in done.stdout
    assert f"measured {share}" in done.stdout
    assert f"| short answers, % | {len(given)} | {share:.2f} |" in (tmp_path / "r.md").read_text()
    assert "<h2>Brevity</h2>" in (tmp_path / "r.html").read_text()
