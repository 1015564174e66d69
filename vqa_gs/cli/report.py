"""`vqa-gs report`: several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli.parsing import new_parser
from vqa_gs.common.phases import phase
from vqa_gs.eval.report.write import write_card, write_report
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.run_files import find_runs, load_run


def run(words: Sequence[str]) -> None:
    """Writes a report of run directories."""
    parser = new_parser(
        "report", "Set several runs side by side.", "vqa-gs report runs/demo --image-dir runs/demo/world/images"
    )
    parser.add_argument("runs", nargs="+", type=str, help="run directories, or folders with runs inside")
    parser.add_argument("--out", type=str, default=None, help="an HTML or a Markdown file; report.html or card.html")
    parser.add_argument("--title", type=str, default=None, help="the report's title")
    card = "write a model's card in place of a report: every test of its suites in a row"
    parser.add_argument("--card", action="store_true", help=card)
    parser.add_argument("--markdown", action="store_true", help="write a Markdown twin beside the HTML")
    parser.add_argument("--csv", action="store_true", help="write all scores, unrounded, beside it as CSV")
    parser.add_argument("--latex", action="store_true", help="write the main table beside it as LaTeX")
    parser.add_argument("--image-dir", type=str, default=None, help="folder of the images, for the examples")
    parser.add_argument(
        "--data-dir", type=str, default=None, help="folder of questions and annotations that were moved"
    )
    parser.add_argument("--examples", type=int, default=200, help="examples of each split at most; 0: none")
    parser.add_argument(
        "--published", type=str, default=None, help="published results to set beside, such as vqa-cp-v2"
    )
    given = parser.parse_args(list(words))
    options = Options(
        data_dir=Path(given.data_dir) if given.data_dir else None,
        image_dir=Path(given.image_dir) if given.image_dir else None,
        examples=given.examples,
        published=given.published,
    )
    runs = []
    folders = find_runs(given.runs)
    with phase("reading runs", len(folders), "runs") as far:
        for folder in folders:
            runs.append(load_run(folder))
            far(1)
    form, name, title = (
        (write_card, "card.html", "Model card")
        if given.card
        else (write_report, "report.html", "Accuracy in and out of domain")
    )
    files = form(
        runs,
        Path(given.out or name),
        markdown=given.markdown,
        csv=given.csv,
        latex=given.latex,
        title=title if given.title is None else given.title,
        options=options,
    )
    for path in files:
        print(path)
