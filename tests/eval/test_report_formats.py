import csv
import io
import re

import pytest
from vqa_gs.eval.report.formats.csv_table import COLUMNS
from vqa_gs.eval.report.formats.latex import escape_latex
from vqa_gs.eval.report.write import write_report
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.run_files import load_run

from .report_world import write_world
from .test_report_fixtures import load_study, metrics_of, write_run

NASTY = "=1+2 {a}_b & 50% \\x $"


def written(runs, folder, **options):
    files = write_report(runs, folder / "r.html", csv=True, latex=True, **options)
    assert [file.suffix for file in files] == [".html", ".csv", ".tex"]
    return files[1].read_text(encoding="utf-8"), files[2].read_text(encoding="utf-8")


def test_csv_holds_every_score_unrounded(tmp_path):
    runs = load_study(tmp_path / "runs")
    rows = list(csv.DictReader(io.StringIO(written(runs, tmp_path)[0])))
    assert tuple(rows[0]) == COLUMNS
    by_key = {(row["run"], row["split"], row["measure"], row["name"]): row for row in rows}
    assert len(by_key) == len(rows)
    for run in runs:
        for split, scores in run.metrics.items():
            assert float(by_key[run.name, split, "overall", ""]["score"]) == scores.overall
            for kind, value in scores.per_question_type.items():
                row = by_key[run.name, split, "question_type", kind]
                assert float(row["score"]) == value
                assert int(row["count"]) == scores.counts.per_question_type[kind]
            assert float(by_key[run.name, split, "pair_accuracy", "edited"]["score"]) > 0
            assert by_key[run.name, split, "subset:answerable", ""]["scoring"] == "official"


def test_csv_bounds_the_arms(tmp_path):
    world = write_world(tmp_path / "world", {"gs": (0.5, 0.6)})
    rows = list(csv.DictReader(io.StringIO(written(world.load(), tmp_path)[0])))
    overall = [row for row in rows if row["measure"] == "overall" and row["split"] == "ood_test"]
    low, high = float(overall[0]["arm_low"]), float(overall[0]["arm_high"])
    assert low < sum(float(row["score"]) for row in overall) / 2 < high


def test_csv_cells_are_no_formulas(tmp_path):
    scores = metrics_of("ood_test", 0, 0)
    scores["per_question_type"][NASTY] = 12.5
    runs = [load_run(write_run(tmp_path / "run", name=NASTY, metrics={"ood_test": scores}))]
    text, _ = written(runs, tmp_path)
    assert all(not cell.startswith(("=", "+", "@")) for row in csv.reader(io.StringIO(text)) for cell in row)


def test_latex_table_is_whole(tmp_path):
    runs = load_study(tmp_path / "runs", seeds=3)
    _, text = written(runs, tmp_path, options=Options(published="vqa-cp-v2"))
    assert text.count("\\begin{") == text.count("\\end{") == 2
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    lines = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {8}
    assert len(lines) == 1 + 3 + 38
    assert "scored by official" in text
    assert "GGE-DQ$^\\dagger$" in text
    assert "LMH &" in text
    assert "GradSup &" in text
    gs = [run.metrics["ood_test"].overall for run in runs if run.arm == "pairs + GS"]
    assert f"\\textbf{{{sum(gs) / 3:.2f}}}" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("50% & more_#", r"50\% \& more\_\#"),
        ("{a}\\b", r"\{a\}\textbackslash{}b"),
        ("a\nb  ~^", r"a b \textasciitilde{}\textasciicircum{}"),
    ],
)
def test_latex_is_escaped(text, escaped):
    assert escape_latex(text) == escaped
