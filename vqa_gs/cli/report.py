"""`vqa-gs report`: several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.report import write_report
from eval.runs import load_run
from vqa_gs.cli._shared import new_parser


def run(words: Sequence[str]) -> None:
    """Writes a report of run directories."""
    parser = new_parser("report", "Set several runs side by side.")
    parser.add_argument("runs", nargs="+", type=str, help="run directories")
    parser.add_argument("--out", type=str, required=True, help="report.html or report.md")
    parser.add_argument("--markdown", action="store_true", help="write a Markdown twin beside the HTML")
    given = parser.parse_args(list(words))
    for path in write_report([load_run(folder) for folder in given.runs], Path(given.out), markdown=given.markdown):
        print(path)
