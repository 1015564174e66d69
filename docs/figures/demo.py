"""Draws README's figure: in-domain and OOD accuracy of the arms of a demonstration, with their intervals.

python docs/figures/demo.py runs/demo/runs/*-seed* > docs/figures/demo.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from vqa_gs.eval.report.part import read_content
from vqa_gs.eval.report.sections.answer_types import bar_charts
from vqa_gs.eval.report.svg_file import svg_file
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.run_files import load_run

if __name__ == "__main__":
    content = read_content("official", [load_run(Path(name)) for name in sys.argv[1:]], Options(examples=0))
    of_all_questions = msgspec.structs.replace(bar_charts(content)[0], title="Accuracy in %: in-domain grey, OOD blue")
    print(svg_file([of_all_questions], []), end="")
