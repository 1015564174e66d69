import pytest
from vqa_gs.eval.report.part import read_content
from vqa_gs.eval.report.sections.settings import build
from vqa_gs.eval.report_content.content import Options
from vqa_gs.eval.run_files import find_runs, load_run

from vqa_gs.common.errors import DataError

from .test_report_fixtures import write_run


def section(folder, runs):
    """Builds the section of runs, given as (arm, seed, settings)."""
    for arm, seed, config in runs:
        write_run(folder / f"{arm}-seed{seed}", name=arm, seed=seed, config=config)
    loaded = [load_run(run) for run in find_runs([folder])]
    return build(read_content("official", loaded, Options()))


def test_only_what_differs_is_told_and_other_training_is_a_warning(tmp_path):
    one = {"training": {"epochs": 12, "lr": 0.1}, "objectives": {"gs": {"weight": 0.0}}, "data": {"pairs": []}}
    other = {"training": {"epochs": 6, "lr": 0.1}, "objectives": {"gs": {"weight": 1.0}}, "data": {"pairs": ["p.h5"]}}
    (table,) = section(tmp_path, [("baseline", 1, one), ("gs", 1, other)]).blocks
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert cells["training.epochs"] == ["12", "6"]
    assert cells["objectives.gs.weight"] == ["0.0", "1.0"]
    assert "training.lr" not in cells
    assert [column.label for column in table.columns] == ["setting", "baseline", "gs"]
    (warning,) = table.warnings
    assert "training.epochs" in warning


def test_terms_of_the_loss_alone_are_no_warning(tmp_path):
    runs = [("a", 1, {"objectives": {"gs": {"weight": 0.0}}}), ("b", 1, {"objectives": {"gs": {"weight": 1.0}}})]
    (table,) = section(tmp_path, runs).blocks
    assert table.warnings == ()


def test_runs_of_one_name_that_differ_in_more_than_the_seed_are_two_arms(tmp_path):
    (table,) = section(tmp_path, [("a", 1, {"x": 1}), ("a", 2, {"x": 2})]).blocks
    assert [[cell.text for cell in row] for row in table.rows] == [["x", "1", "2"]]


def test_nothing_to_tell(tmp_path):
    assert section(tmp_path / "one", [("a", 1, {"x": 1})]) is None
    assert section(tmp_path / "same", [("a", 1, {"x": 1}), ("b", 2, {"x": 1})]) is None


def test_runs_are_found_at_any_depth_and_named_once(tmp_path):
    runs = [write_run(tmp_path / "demo" / place / "seed1", name=place, seed=1) for place in ("runs/b", "a")]
    assert runs
    found = find_runs([tmp_path / "demo", tmp_path / "demo" / "a" / "seed1"])
    assert found == [tmp_path / "demo/a/seed1", tmp_path / "demo/runs/b/seed1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds none with metrics"):
        find_runs([tmp_path / "empty"])
    with pytest.raises(DataError, match="no such run folder"):
        load_run(find_runs([tmp_path / "nowhere"])[0])
