"""The numbers of a report, worked by hand on runs written by hand."""

import csv
import io
import json
import os
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from rich.console import Console

from vqa_gs.common.errors import DataError
from vqa_gs.study.figures import closest
from vqa_gs.study.plan import make_plan
from vqa_gs.study.report import write_study_report
from vqa_gs.study.run import prepare_study

# In-domain and OOD accuracy by arm and seed.
SCORES = {
    "control": {1: (70.0, 30.0), 2: (72.0, 33.0), 3: (71.0, 30.0)},
    "better": {1: (70.0, 40.0), 2: (72.0, 44.0), 3: (71.0, 42.0)},
    "swept @ 10": {1: (69.0, 31.0), 2: (73.0, 32.0), 3: (71.0, 33.0)},
    "swept @ 100": {1: (69.0, 35.0), 2: (73.0, 36.0), 3: (71.0, 37.0)},
}


def write_run(run, iid, ood, extra):
    (run.folder / "metrics").mkdir(parents=True)
    for split, overall in (("iid_val", iid), ("ood_test", ood)):
        content = {"format": "vqa-gs-metrics", "scoring": "accuracy<1>", "split": split, "overall": overall}
        (run.folder / "metrics" / f"{split}.json").write_text(json.dumps(content | extra(overall)))
    (run.folder / "config.yaml").write_text(yaml.safe_dump(run.config.to_dict()))
    (run.folder / "run.json").write_text(json.dumps({"pairs": 5, "parameters": 1234, "seed": run.seed}))
    (run.folder / "epochs.csv").write_text("epoch,step,seconds\n0,5,3.5\n1,10,2.5\n")
    (run.folder / "done").write_text("")


def report(write_study, out, extra=lambda overall: {}, **parts):
    arms = {"control": {}, "better": {"training.lr": 0.1}, "swept": {"sweep": {"data.max_pairs": [10, 100]}}}
    plan = make_plan(write_study(**{"arms": arms, "seeds": [1, 2, 3], "control": "control"} | parts), out)
    for run in plan.runs:
        if run.seed in SCORES[run.arm.name]:
            write_run(run, *SCORES[run.arm.name][run.seed], extra)
    files = write_study_report(plan)
    return json.loads((out / "study.json").read_text()), (out / "study.md").read_text(), files


def find(found, split, kind="overall", name=""):
    (measure,) = [
        one
        for one in found["datasets"][0]["measures"]
        if (one["split"], one["kind"], one["name"]) == (split, kind, name)
    ]
    return measure


def test_numbers_worked_by_hand(write_study, tmp_path):
    found, text, files = report(write_study, tmp_path)
    assert found["format"] == "vqa-gs-study"
    ood = find(found, "ood_test")
    better = ood["arms"]["better"]
    assert better["over_seeds"]["values"] == {"1": 40.0, "2": 44.0, "3": 42.0}
    assert better["over_seeds"]["mean"] == pytest.approx(42)
    assert better["over_seeds"]["std"] == pytest.approx(2)
    # t(0.975, 2) = 4.302653: 42 -+ 4.302653 * 2 / sqrt 3.
    assert better["over_seeds"]["interval"] == pytest.approx([37.03173, 46.96827], abs=1e-4)
    (difference,) = better["differences"]
    # 10, 11, 12: mean 11, deviation 1, t = 11 sqrt 3; p = 1 - t / sqrt(t^2 + 2) = 1 - sqrt(363 / 365).
    assert difference["against"] == "control"
    assert difference["mean"] == pytest.approx(11)
    assert difference["t"] == pytest.approx(19.0526, abs=1e-4)
    assert difference["p"] == pytest.approx(1 - (363 / 365) ** 0.5)
    # Three tests: swept @ 100 differs by 5, 3, 7 (t = 5 sqrt(3) / 2), swept @ 10 by 1, -1, 3 (t = sqrt(3) / 2).
    assert difference["comparisons"] == 3
    assert difference["p_holm"] == pytest.approx(3 * difference["p"])
    second, third = (ood["arms"][name]["differences"][0] for name in ("swept @ 100", "swept @ 10"))
    assert second["p"] == pytest.approx(1 - (18.75 / 20.75) ** 0.5)
    assert second["p_holm"] == pytest.approx(2 * second["p"])
    assert third["p_holm"] == pytest.approx(third["p"]) == pytest.approx(1 - (0.75 / 2.75) ** 0.5)
    # In-domain `better` is what the control is, seed by seed: nothing to test.
    assert find(found, "iid_val")["arms"]["better"]["differences"][0]["p"] is None
    assert ood["arms"]["control"]["differences"] == []

    arm = next(arm for arm in found["datasets"][0]["arms"] if arm["name"] == "better")
    assert (arm["seconds"], arm["parameters"], arm["pairs"]) == ({"1": 6.0, "2": 6.0, "3": 6.0}, 1234, 5)
    lines = text.splitlines()
    row = next(line for line in lines if line.startswith("| [better](runs/better/report.html) | 3 |"))
    tested = next(line for line in lines if line.startswith("| better | control |"))
    assert "**42.00 ± 2.00 (37.0 to 47.0)**" in row
    assert "| better | control |" in tested
    assert "**+11.00 p 0.0027, Holm 0.0082, 3 seeds (8.5 to 13.5)**" in tested
    assert "“better” +11.0 against “control” (p 0.0082)" in text
    assert "Epochs were chosen by in-domain accuracy" in text
    assert "accuracy&lt;1&gt;" in text
    assert [file.name for file in files if file.suffix == ".svg"] == ["bars.svg", "trade.svg", "data.max_pairs.svg"]
    drawn = (tmp_path / "figures" / "trade.svg").read_text()
    assert all(f"{arm} · in-domain" in drawn for arm in SCORES)


def test_only_scoring_and_overall_are_asked_for(write_study, tmp_path):
    found, text, _ = report(write_study, tmp_path)
    assert {one["kind"] for one in found["datasets"][0]["measures"]} == {"overall"}
    assert "By answer type" not in text


def test_types_pairs_and_subsets(write_study, tmp_path):
    def extra(overall):
        return {
            "questions": 100,
            "per_answer_type": {"yes/no": overall, "other": overall / 2},
            "per_question_type": {"is <b>": overall},
            "counts": {"per_answer_type": {"yes/no": 60}, "per_question_type": {"is <b>": 100}},
            "pair_accuracy": {"same_question": {"accuracy": overall / 4, "pairs": 7}},
            "subsets": {"answerable": {"overall": overall / 3, "questions": 40, "per_answer_type": {"other": 9.0}}},
        }

    found, text, _ = report(write_study, tmp_path, extra)
    kinds = {(one["kind"], one["name"]) for one in found["datasets"][0]["measures"]}
    assert kinds == {
        ("overall", ""),
        ("answer_type", "yes/no"),
        ("answer_type", "other"),
        ("question_type", "is <b>"),
        ("pair_accuracy", "same_question"),
        ("subset", "answerable"),
        ("subset", "answerable: other"),
    }
    assert find(found, "ood_test", "pair_accuracy", "same_question")["arms"]["better"]["over_seeds"]["mean"] == 10.5
    assert find(found, "ood_test", "subset", "answerable")["arms"]["better"]["over_seeds"]["mean"] == pytest.approx(14)
    # Two answer types of three arms against the control.
    halved = find(found, "ood_test", "answer_type", "other")["arms"]["better"]["differences"][0]
    assert halved["comparisons"] == 6
    for heading in ("By answer type", "By question type", "Pair accuracy", "Subsets"):
        assert f"## {heading}" in text
    page = (tmp_path / "study.html").read_text()
    assert "is &lt;b&gt;" in page
    assert "is <b>" not in page


def test_where_models_look_and_their_bias(write_study, tmp_path):
    def extra(overall):
        divergence = {"predicted_train": 0.1, "predicted_true": 0.2, "train_true": 0.3}
        section = {"questions": 10, "predicted_prior": overall, "true_prior": 25.0, "divergence": divergence}
        of_type = section | {"true_prior": 90.0, "train_questions": 9, "prior_answer": "2", "answers": []}
        looks = {"questions": 8, "attention": overall / 2, "gradient": overall / 4, "chance": 17.0}
        looks |= {"attention_pointing": 1.0, "gradient_pointing": 2.0}
        regions = {"all": looks, "right": None, "wrong": None}
        return {
            "breakdowns": {
                "grounding": {"threshold": 0.5, "regions": regions, "pairs": None},
                "prior": {"overall": section, "per_question_type": {"how <many>": of_type}},
            }
        }

    found, text, files = report(write_study, tmp_path, extra)

    def mean(kind, name):
        return find(found, "ood_test", kind, name)["arms"]["better"]["over_seeds"]["mean"]

    assert (mean("looks", "attention"), mean("looks", "gradient"), mean("looks", "chance")) == (21, 10.5, 17)
    assert (mean("prior", ""), mean("prior", "how <many>")) == (pytest.approx(17), pytest.approx(-48))
    looks, prior = (
        text.partition(f"## {name}\n")[2].partition("\n## ")[0] for name in ("Where it looks", "Prior bias")
    )
    # More of the attention is better, so it is marked; more bias is not.
    assert "**21.00" in looks
    assert "**" not in prior
    assert "| all |" in prior
    drawn = {file.name: file.read_text() for file in files if file.suffix == ".svg"}
    assert {"where-models-look.svg", "prior-bias.svg"} <= set(drawn)
    assert "how &lt;many&gt;" in drawn["prior-bias.svg"]
    assert "chance" in drawn["where-models-look.svg"]
    # The legend tells which arms are drawn.
    assert ">control<" in drawn["prior-bias.svg"]
    assert ">better<" in drawn["prior-bias.svg"]
    report(write_study, tmp_path / "two", extra, drawn=["better"])
    chosen = (tmp_path / "two" / "figures" / "prior-bias.svg").read_text()
    assert ">better<" in chosen
    assert ">control<" not in chosen


def test_curves_are_the_same_files_and_safe(write_study, tmp_path):
    report(write_study, tmp_path / "one", title="<script>")
    report(write_study, tmp_path / "two", title="<script>")
    one, two = ((tmp_path / name / "figures" / "data.max_pairs.svg").read_text() for name in ("one", "two"))
    assert one == two
    for shown in ("data.max_pairs", "swept", "control", "in-domain", "OOD", "accuracy, % (accuracy&lt;1&gt;)"):
        assert f">{shown}" in one or shown in re.sub(r"<[^>]+>", "", one)
    page = (tmp_path / "one" / "study.html").read_text()
    assert page.count('<figure class="panel">') == 4, "bars, the plane, and a panel a split, in the page itself"
    ElementTree.fromstring(one)
    assert "<script>" not in page.split("<script>{", 1)[0].split("</title>")[0]


def test_datasets_stand_apart(write_study, tmp_path):
    found, text, _ = report(write_study, tmp_path, datasets={"one": {}, "two": {"training.lr": 0.3}})
    assert [data["name"] for data in found["datasets"]] == ["one", "two"]
    assert "## Arms: one" in text
    assert "## Arms: two" in text


def test_one_seed_is_no_test(write_study, tmp_path):
    found, text, _ = report(write_study, tmp_path, seeds=[1])
    (difference,) = find(found, "ood_test")["arms"]["better"]["differences"]
    assert (difference["mean"], difference["p"], difference["p_holm"], difference["interval"]) == (10, None, None, None)
    assert "no two arms have three seeds, so no difference is tested" in text
    assert "not tested, 1 seed" in text


def test_above_one_control_of_two_is_not_above(write_study, tmp_path):
    arms = {"control": {}, "better": {"training.lr": 0.1, "against": ["control", "swept @ 100"]}}
    arms["swept"] = {"sweep": {"data.max_pairs": [10, 100]}}
    found, text, _ = report(write_study, tmp_path, arms=arms)
    both = find(found, "ood_test")["arms"]["better"]["differences"]
    assert [one["against"] for one in both] == ["control", "swept @ 100"]
    # Against swept @ 100: 5, 8, 5, mean 6, deviation sqrt 3, t = 6; four tests beside.
    assert both[1]["t"] == pytest.approx(6)
    assert both[1]["p_holm"] > 0.05 > both[0]["p_holm"]
    row = next(line for line in text.splitlines() if line.startswith("| [better](runs/better/report.html) |"))
    assert "| 42.00" in row


def test_ticks_of_a_sweep_keep_apart():
    even, doubling = [190, 379, 569, 759, 948, 1138], [25, 50, 100, 200, 400]
    assert closest(even) > closest(np.log(even))
    assert closest(np.log(doubling)) == pytest.approx(1 / 4)
    assert closest(doubling) == pytest.approx(1 / 15)


def test_two_arms_against_each_other_are_one_test(write_study, tmp_path):
    arms = {"control": {"against": "better"}, "better": {"training.lr": 0.1, "against": "control"}}
    found, _, _ = report(write_study, tmp_path, arms=arms, control=None)
    ood = find(found, "ood_test")["arms"]
    (one,), (other,) = ood["better"]["differences"], ood["control"]["differences"]
    assert one["mean"] == -other["mean"] == pytest.approx(11)
    assert one["comparisons"] == other["comparisons"] == 1
    assert one["p_holm"] == other["p_holm"] == pytest.approx(one["p"])


def test_it_opens_with_accuracies_then_how_sure_they_are(write_study, tmp_path):
    def extra(overall):
        return {"subsets": {"answerable": {"overall": overall / 2, "questions": 40}}}

    _, text, _ = report(write_study, tmp_path, extra)
    head = (
        "**“better” reaches 42.0 % (37.0 to 47.0) OOD, +11.0 points (8.5 to 13.5) over “control”;"
        " in-domain 71.0 % (68.5 to 73.5) against 71.0; OOD, answerable 21.0 % (18.5 to 23.5) against 15.5.**"
    )
    assert head in text
    assert "Shown: the lead over “control” holds over 3 seeds (p 0.0082 after Holm over 3 tests)." in text
    assert "| OOD, answerable |" in text, "in the table of the arms"
    page = (tmp_path / "study.html").read_text()
    assert (
        page.index("reaches 42.0") < page.index("Shown: the lead") < page.index('<span class="label">OOD, answerable')
    )


def test_a_linked_folder_of_a_study_is_not_followed(write_study, tmp_path):
    report(write_study, tmp_path / "out")
    plan = make_plan(tmp_path / "study.yaml", tmp_path / "out")
    arm = plan.runs[0].folder.parent
    arm.rename(tmp_path / "elsewhere")
    arm.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "report.html").unlink()
    with pytest.raises(DataError, match=f"{arm.name}: is a link, a folder of the study was expected"):
        write_study_report(plan)
    with pytest.raises(DataError, match="is a link"):
        prepare_study(plan, plan.runs, Console(file=io.StringIO()))
    assert not (tmp_path / "elsewhere" / "report.html").exists()


def test_files_for_papers_stand_beside_it_and_are_linked(write_study, tmp_path):
    _, _, files = report(write_study, tmp_path)
    assert {"study.csv", "study.tex", "study.md", "study.json"} <= {file.name for file in files}
    page = (tmp_path / "study.html").read_text()
    addresses = re.findall(r'href="([^"#]+)"', page)
    assert {"study.csv", "study.tex", "study.md", "study.json", "runs/better/report.html"} <= set(addresses)
    assert all((tmp_path / address).is_file() for address in addresses if address != "data:,")
    rows = list(csv.DictReader((tmp_path / "study.csv").open()))
    (better,) = (row for row in rows if (row["arm"], row["split"], row["measure"]) == ("better", "ood_test", "overall"))
    assert (float(better["mean"]), float(better["std"]), better["domain"]) == (42, 2, "ood")
    assert float(better["low"]) == pytest.approx(37.03173, abs=1e-4)
    assert (better["against"], float(better["difference"]), better["comparisons"]) == ("control", 11, "3")
    table = (tmp_path / "study.tex").read_text()
    assert r"better (3) & \textbf{42.0} {\scriptsize (37.0 to 47.0)} & 71.0" in table
    assert r"accuracy\textless{}1\textgreater{}" in table
    arm = (tmp_path / "runs" / "better" / "report.html").read_text()
    assert "better-seed" in arm or "seed1" in arm


def test_an_arm_s_report_is_written_again_only_for_a_newer_run(write_study, tmp_path):
    file = write_study(arms={"control": {}, "better": {"training.lr": 0.1}}, seeds=[1, 2])
    plan = make_plan(file, tmp_path)
    for run in plan.runs:
        write_run(run, *SCORES[run.arm.name][run.seed], lambda overall: {})
    write_study_report(plan)
    pages = [tmp_path / "runs" / name / "report.html" for name in ("control", "better")]
    for page in pages:
        page.write_text("kept")
        os.utime(page, (2**31, 2**31))
    os.utime(plan.runs[-1].folder / "done", (2**31 + 9, 2**31 + 9))
    write_study_report(plan)
    assert [page.read_text() == "kept" for page in pages] == [True, False]


def test_two_seeds_carry_no_interval(write_study, tmp_path):
    found, text, _ = report(write_study, tmp_path, seeds=[1, 2])
    better = find(found, "ood_test")["arms"]["better"]
    # 40 and 44: Student's interval of two, 42 -+ 12.7 * 2, is kept in the file and shown nowhere.
    assert better["over_seeds"]["interval"] == pytest.approx([16.588, 67.412], abs=1e-3)
    assert better["over_seeds"]["shown_interval"] is None
    assert better["differences"][0]["shown_interval"] is None
    assert "16.6" not in text
    assert "“better” reaches 42.0 % OOD, +10.5 points over “control”" in text
    assert "a verdict needs three seeds or worlds, and there are 2" in text


def test_accuracies_stay_possible_and_axes_are_set_by_the_points(write_study, tmp_path):
    scores = {"control": {1: (99.0, 2.0), 2: (60.0, 1.0), 3: (98.0, 9.0)}}
    scores |= {"better": {1: (97.0, 3.0), 2: (99.0, 4.0), 3: (98.0, 5.0)}}
    plan = make_plan(write_study(arms={name: {} for name in scores}, seeds=[1, 2, 3], control="control"), tmp_path)
    for run in plan.runs:
        write_run(run, *scores[run.arm.name][run.seed], lambda overall: {})
    write_study_report(plan)
    found = json.loads((tmp_path / "study.json").read_text())
    inside, outside = (find(found, split)["arms"]["control"]["over_seeds"] for split in ("iid_val", "ood_test"))
    assert inside["interval"][1] > 100 > inside["shown_interval"][0]
    assert inside["shown_interval"][1] == 100
    assert outside["interval"][0] < 0 == outside["shown_interval"][0]
    drawn = (tmp_path / "figures" / "trade.svg").read_text()
    ticks = [float(text) for text in re.findall(r'class="tick"[^>]*>(-?[\d.]+)<', drawn)]
    assert min(ticks) >= 0
    assert max(ticks) <= 100
    assert min(tick for tick in ticks if tick > 20) >= 75, "not down to the whisker's end at 30"


def test_splits_looked_at_again_stand_apart(write_study, tmp_path):
    plan = make_plan(write_study(arms={"control": {}, "better": {}}, seeds=[1, 2, 3], control="control"), tmp_path)
    for run in plan.runs:
        write_run(run, *SCORES[run.arm.name][run.seed], lambda overall: {})
        first = json.loads((run.folder / "metrics" / "ood_test.json").read_text())
        again = json.dumps(first | {"split": "ood_test_last_epoch", "overall": 12.5})
        (run.folder / "metrics" / "ood_test_last_epoch.json").write_text(again)
    write_study_report(plan)
    text = (tmp_path / "study.md").read_text()
    arms, again = (text.partition(f"## {name}\n")[2].partition("\n## ")[0] for name in ("Arms", "Looked at again"))
    assert "12.50" in again
    assert "12.50" not in arms
    assert "| OOD |" in arms, "the only split on its side but for the other look"


def test_runs_of_an_arm_are_one_arm_whatever_a_later_version_records(write_study, tmp_path):
    plan = make_plan(write_study(arms={"control": {}, "better": {}}, seeds=[1, 2, 3], control="control"), tmp_path)
    for run in plan.runs:
        write_run(run, *SCORES[run.arm.name][run.seed], lambda overall: {})
    config = plan.runs[-1].folder / "config.yaml"
    config.write_text(config.read_text() + "a_setting_of_tomorrow: 1\n")
    files = write_study_report(plan)
    for file in (*files[:2], tmp_path / "runs" / "better" / "report.html"):
        assert "a_setting_of_tomorrow=" not in file.read_text()
    assert "3 runs, 1 arm" in (tmp_path / "runs" / "better" / "report.html").read_text()
