import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from vqa_gs.eval.arms import Spread
from vqa_gs.eval.report.formats.markdown import escape_markdown, fenced
from vqa_gs.eval.report.write import summary_table, write_report
from vqa_gs.eval.report_content.blocks import Table
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.report_content.verdicts import compare, points
from vqa_gs.eval.run_files import load_run

from vqa_gs.common.errors import UsageError

from .report_world import build_parts
from .test_report_fixtures import QUESTION_TYPES, load_study, metrics_of, write_run

NASTY = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Collects tags, their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def flat_scores(overall: float, ood: float, scoring: str = "official") -> dict:
    """Scores that are the same for all questions."""

    def one(split: str, value: float) -> dict:
        scores = metrics_of(split, 0, 0, scoring=scoring)
        scores["overall"] = value
        scores["per_answer_type"] = dict.fromkeys(scores["per_answer_type"], value)
        scores["per_question_type"] = dict.fromkeys(scores["per_question_type"], value)
        return scores

    return {"iid_val": one("iid_val", overall), "ood_test": one("ood_test", ood)}


def study(tmp_path: Path, arms: dict[str, list[tuple[float, float]]], **config):
    return [
        load_run(
            write_run(tmp_path / f"{name}-seed{seed}", name=name, seed=seed, metrics=flat_scores(*scores), **config)
        )
        for name, seeds in arms.items()
        for seed, scores in enumerate(seeds)
    ]


def only_part(runs, options: Options | None = None):
    (part,) = build_parts(runs, options)
    return part


def table_of(part, anchor: str) -> Table:
    return part.section(anchor).tables()[0]


def test_page_holds_everything(tmp_path):
    runs = load_study(tmp_path / "runs")
    assert write_report(runs, tmp_path / "r.html") == [tmp_path / "r.html"]
    source = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(source)
    for heading in (
        "Arms",
        "Accuracy by answer type",
        "Accuracy by question type",
        "Pair consistency",
        "Subsets",
    ):
        assert heading in page.text
    for name, *_ in QUESTION_TYPES:
        assert name in page.text
    for shown in (
        "Training",
        "How each run was made",
        "answerable",
        "same_question",
        "gs alignment",
        "4f1c0d92ab",
    ):
        assert shown in page.text
    assert "e" * 64 in page.text, "data hashes"
    assert "vqa-gs train --config" in page.text
    assert page.count("svg") >= 4 + 2 + 4


def test_page_needs_nothing_but_itself(tmp_path):
    write_report(load_study(tmp_path / "runs"), tmp_path / "r.html")
    source = (tmp_path / "r.html").read_text(encoding="utf-8")
    # The name of SVG is spelt as an address, but none.
    assert not re.search(r"https?://|@import|url\(", source.replace('"http://www.w3.org/2000/svg"', ""))
    page = Page(source)
    for tag, attributes in page.tags:
        assert "src" not in attributes
        if "href" in attributes:
            assert attributes["href"].startswith("#") or attributes["href"] == "data:,", tag
        assert not any(name.startswith("on") for name in attributes)
    assert page.count("script") == 1


def test_scoring_rule_stands_at_every_table(tmp_path):
    part = only_part(load_study(tmp_path))
    tables = [table for section in part.sections for table in section.tables()]
    assert len(tables) == 7
    assert all("official" in table.notes[0] for table in tables)


def test_question_types_are_sorted_by_count_and_hold_the_numbers(tmp_path):
    runs = load_study(tmp_path)
    table = table_of(only_part(runs), "types")
    assert [row[0].text for row in table.rows] == [name for name, *_ in QUESTION_TYPES]
    assert all(len(row) == len(table.columns) for row in table.rows)
    row = table.rows[0]
    assert [cell.text for cell in row[2:4]] == ["263", "590"]
    values = [run.metrics["ood_test"].per_question_type["how many"] for run in runs if run.arm == "baseline"]
    column = next(
        index for index, column in enumerate(table.columns) if (column.group, column.label) == ("baseline", "OOD")
    )
    assert row[column].text == f"{sum(values) / 2:.2f}"
    assert row[column].spread == f"± {abs(values[0] - values[1]) / 2**0.5:.2f}"


def test_headline_names_a_winner_only_without_overlap(tmp_path):
    runs = study(tmp_path / "a", {"baseline": [(60, 40), (61, 41), (62, 40)], "gs": [(60, 45), (61, 46), (62, 45)]})
    head = only_part(runs).summary.headline
    assert head.tone == "clear"
    assert head.text == "“gs” reaches 45.3\xa0±\xa00.6\xa0% OOD, +5.0\xa0points over “baseline”."
    assert head.certainty == "Shown: over 3 seeds its lead is larger than the seeds' spread."
    runs = study(tmp_path / "b", {"baseline": [(60, 40), (61, 46), (62, 43)], "gs": [(60, 45), (61, 47), (62, 46)]})
    part = only_part(runs)
    assert part.summary.headline.tone == "open"
    assert "“gs” reaches 46.0" in part.summary.headline.text
    assert part.summary.headline.certainty == "Not shown: its seeds' spread overlaps that of “baseline”."
    assert table_of(part, "arms").rows[0][5].spread == "within the seeds' spread"
    assert not any(cell.strong for row in table_of(part, "types").rows for cell in row)


def test_one_seed_is_no_win(tmp_path):
    part = only_part(study(tmp_path, {"baseline": [(60, 10)], "gs": [(60, 90)]}))
    assert part.summary.headline.tone == "open"
    assert part.summary.headline.text == "“gs” reaches 90.0\xa0% OOD, +80.0\xa0points over “baseline”."
    assert part.summary.headline.certainty.startswith("Seen with one seed: what other questions would change is not")
    assert part.summary.headline.certainty.endswith("another seed may. A verdict needs three of each arm.")
    assert table_of(part, "arms").rows[0][5].spread == "fewer than three seeds"


def test_two_seeds_are_no_win(tmp_path):
    arms = {"baseline": [(60, 10), (61, 11), (60, 10)], "gs": [(60, 90), (60, 91)]}
    part = only_part(study(tmp_path, arms))
    assert part.summary.headline.tone == "open"
    assert part.summary.headline.certainty.startswith("Likely, not shown: ")
    assert part.summary.headline.certainty.endswith("the seeds agree. A verdict needs three of each.")
    assert table_of(part, "arms").rows[0][5].spread == "fewer than three seeds"


def test_one_arm_and_no_ood(tmp_path):
    part = only_part(study(tmp_path / "a", {"gs": [(60, 40), (61, 42)]}))
    assert "no other arm" in part.summary.headline.text
    assert [tile.value for tile in part.summary.tiles] == ["41.0", "60.5", "19.5", "41.0"]
    scores = {"iid_val": metrics_of("iid_val", 0, 0)}
    part = only_part([load_run(write_run(tmp_path / "b", metrics=scores))])
    assert "No OOD split was scored" in part.summary.headline.text
    write_report([load_run(tmp_path / "b")], tmp_path / "r.html")
    scores = {"ood_test": metrics_of("ood_test", 0, 0)}
    part = only_part([load_run(write_run(tmp_path / "c", metrics=scores))])
    assert any("No in-domain split" in caution for caution in part.summary.cautions)


def test_other_questions_are_not_compared(tmp_path):
    runs = study(tmp_path, {"baseline": [(60, 40), (61, 41)]})
    for seed in (0, 1):
        scores = flat_scores(60, 50 + seed)
        scores["ood_test"]["sources"]["questions"]["sha256"] = "9" * 64
        runs.append(load_run(write_run(tmp_path / f"gs-seed{seed}", name="gs", seed=seed, metrics=scores)))
    part = only_part(runs)
    assert part.summary.headline.tone == "open"
    assert "cannot be compared" in part.summary.headline.text
    assert any("same questions of ood_test" in caution for caution in part.summary.cautions)
    assert "not comparable" in table_of(part, "arms").rows[0][5].text


def test_cautions(tmp_path):
    folder = write_run(tmp_path / "gs-seed0", name="gs", metrics=flat_scores(60, 40))
    record = json.loads((folder / "run.json").read_text())
    record["selection"] = {"split": "ood_test", "epoch": 3}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "done").unlink()
    other = write_run(tmp_path / "gs-again", name="gs", metrics={"ood_test": flat_scores(60, 40)["ood_test"]})
    cautions = " ".join(only_part([load_run(folder), load_run(other)]).summary.cautions)
    assert "Not marked as finished: gs-seed0." in cautions
    assert "two runs share a seed" in cautions
    assert "no scores on iid_val in 1 of 2 runs" in cautions


def test_rules_are_kept_apart(tmp_path):
    runs = study(tmp_path / "a", {"gs": [(60, 40)]})
    runs += [load_run(write_run(tmp_path / "b", name="gs", metrics=flat_scores(70, 50, scoring="single")))]
    parts = build_parts(runs)
    assert [part.scoring for part in parts] == ["official", "single"]
    assert [len(table_of(part, "runs").rows) for part in parts] == [1, 1]
    write_report(runs, tmp_path / "r.html", markdown=True)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "must not be compared" in page.text
    assert "must not be compared" in (tmp_path / "r.md").read_text(encoding="utf-8")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    with pytest.raises(UsageError, match="different rules"):
        summary_table(runs)


def test_several_splits_of_a_side_go_by_their_names(tmp_path):
    scores = flat_scores(60, 40)
    scores["ood_ce"] = metrics_of("ood_ce", 0, 0)
    scores["train"] = metrics_of("train", 0, 0)
    runs = [load_run(write_run(tmp_path / "run", metrics=scores))]
    labels = [column.label for column in table_of(only_part(runs), "types").columns[2:6]]
    assert labels == ["in-domain", "ood_ce", "ood_test", "train"]
    write_report(runs, tmp_path / "r.html")


@pytest.fixture
def nasty_run(tmp_path):
    scores = flat_scores(60, 40)
    for split in scores.values():
        for nasty in (NASTY, '"><img src=x onerror=alert(2)>', "a|b `c` *d*", "{{ 7 * 7 }}"):
            split["per_question_type"][nasty] = 12.0
            split["counts"]["per_question_type"][nasty] = 9000
        split["per_answer_type"][NASTY] = 3.0
        split["pair_accuracy"][NASTY] = {"accuracy": 1.0, "pairs": 2}
        split["subsets"][NASTY] = split["subsets"]["answerable"]
        split["sources"][NASTY] = {"path": NASTY, "sha256": NASTY}
    nasty = write_run(tmp_path / "runs" / "x<img src=x onerror=alert(3)>", name=NASTY, metrics=scores)
    (nasty / "config.yaml").write_text(f"name: {NASTY}\nx: |\n  ```\n  </script><script>alert(4)</script>\n")
    (nasty / "run.json").write_text(json.dumps({NASTY: NASTY, "command": NASTY, "git_revision": NASTY}))
    (nasty / "epochs.csv").write_text(f"epoch,loss{NASTY}\n1,2\n2,1\n")
    return load_run(nasty)


def test_text_from_data_is_escaped(tmp_path, nasty_run):
    write_report([nasty_run], tmp_path / "r.html", title=NASTY, markdown=True)
    source = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(source)
    assert page.count("script") == 1
    assert page.count("img") == 0
    assert NASTY in page.text
    assert "alert(1)" not in source.split("<script>")[1].split("</script>")[0]
    assert "{{ 7 * 7 }}" in page.text
    twin = (tmp_path / "r.md").read_text(encoding="utf-8")
    prose = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", twin)
    assert "<script" not in prose
    assert "<img" not in prose
    assert "a\\|b \\`c\\` \\*d\\*" in prose


def test_markdown(tmp_path):
    runs = load_study(tmp_path / "runs")
    assert write_report(runs, tmp_path / "r.md") == [tmp_path / "r.md"]
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    widths = {}
    for number, block in enumerate(re.findall(r"(?m)(?:^\|.*\n)+", text)):
        widths[number] = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
    assert widths
    assert all(len(found) == 1 for found in widths.values()), "every row of a table has the same cells"
    assert "| pairs \\+ GS" in text or "| pairs + GS" in text
    files = write_report(runs, tmp_path / "both.html", markdown=True)
    assert files == [tmp_path / "both.html", tmp_path / "both.md"]
    assert (tmp_path / "both.md").read_text(encoding="utf-8") == text


def test_markdown_escapes():
    assert escape_markdown("a_b <b> | `x`\nnew") == "a\\_b &lt;b&gt; \\| \\`x\\` new"
    assert fenced("````").startswith("`````\n")


def test_what_cannot_be_written(tmp_path):
    runs = study(tmp_path, {"gs": [(60, 40)]})
    with pytest.raises(UsageError, match="at least one run"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(UsageError, match="given twice"):
        write_report(runs * 2, tmp_path / "r.html")
    with pytest.raises(UsageError, match=r"\.html or \.md"):
        write_report(runs, tmp_path / "r.pdf")


def test_compare():
    assert compare(Spread((5.0, 5.5, 6.0)), Spread((1.0, 1.5, 2.0))) == "above"
    assert compare(Spread((1.0, 1.5, 2.0)), Spread((5.0, 5.5, 6.0))) == "below"
    assert compare(Spread((1.0, 3.0, 5.5)), Spread((5.0, 5.5, 6.0))) == "overlap"
    assert compare(Spread((2.0, 2.0, 2.0)), Spread((2.0, 2.0, 2.0))) == "overlap"
    assert compare(Spread((9.0, 9.0)), Spread((1.0, 1.5, 2.0))) == "unknown"


def test_points():
    assert [points(value) for value in (1.234, -1.234, 0.001, -0.001)] == ["+1.23", "−1.23", "0.00", "0.00"]


def printed(table) -> str:
    console = Console(width=220, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_summary_table(tmp_path):
    text = printed(summary_table(load_study(tmp_path)))
    assert text.index("all questions") < text.index("how many") < text.index("what number is")
    assert "official" in text
    for shown in ("baseline", "pairs + GS", "in-domain", "OOD", "5,387"):
        assert shown in text


def test_summary_table_prints_names_as_they_stand(tmp_path):
    folder = write_run(tmp_path / "run", name="[red]x[/red]\x1b[31m", metrics=flat_scores(60, 40))
    text = printed(summary_table([load_run(folder)]))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text
