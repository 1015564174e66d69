"""Reports: one HTML page or Markdown file for a supervisor, twins for papers, one table for the terminal."""

from vqa_gs.eval.report.content import Options
from vqa_gs.eval.report.write import summary_table, write_report

__all__ = ["Options", "summary_table", "write_report"]
