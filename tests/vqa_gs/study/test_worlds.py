"""Worlds as a third factor, and intervals over questions: runs with answers, written by hand."""

import json
import random

import numpy as np
import pytest
import yaml
from vqa_gs.eval.analysis import analyse
from vqa_gs.eval.crossed import Images, carrying, crossed, crossed_difference, sources_of
from vqa_gs.eval.evaluate import score_answers
from vqa_gs.eval.metrics_file import write_metrics
from vqa_gs.eval.results import write_results
from vqa_gs.eval.statistics import Groups, resampled

from vqa_gs.cli import main
from vqa_gs.data.questions import read_question_set
from vqa_gs.study.plan import make_plan
from vqa_gs.study.report import write_study_report

ARMS = {"baseline": {"data.max_pairs": 1}, "gs": {"data.max_pairs": 2, "against": "baseline"}}
RIGHT = {"baseline": 0.3, "gs": 0.7}


def write_questions(folder, split, seed, images=20):
    dice = random.Random(seed)
    questions, annotations = [], []
    for number in range(2 * images):
        common = {"question_id": number, "image_id": number // 2}
        questions.append({**common, "question": "what is it?"})
        answer = dice.choice(["red", "blue"])
        told = [{"answer": answer, "answer_id": at + 1} for at in range(10)]
        kinds = {"question_type": "what", "answer_type": "other" if number % 2 else "number"}
        annotations.append({**common, **kinds, "multiple_choice_answer": answer, "answers": told})
    files = []
    for name, rows in (("questions", questions), ("annotations", annotations)):
        files.append(folder / f"{split}_{name}.json")
        files[-1].write_text(json.dumps(rows))
    (folder / f"{split}_easy.json").write_text(json.dumps(list(range(0, 2 * images, 3))))
    return files


def write_run(run, data):
    """Writes a finished run of which every answer is known."""
    (run.folder / "metrics").mkdir(parents=True)
    (run.folder / "predictions").mkdir()
    for split in ("iid_val", "ood_test"):
        questions = read_question_set(*(data / f"{split}_{name}.json" for name in ("questions", "annotations")))
        dice = random.Random(f"{run.title} {split}")
        answers = {
            one.question_id: one.majority if dice.random() < RIGHT[run.arm.name] else "no"
            for one in questions.annotations
        }
        subsets = {"easy": json.loads((data / f"{split}_easy.json").read_text())}
        write_results(run.folder / "predictions" / f"{split}.json", answers)
        write_metrics(
            run.folder / "metrics" / f"{split}.json", analyse(questions, answers, split=split, subsets=subsets)
        )
    (run.folder / "config.yaml").write_text(yaml.safe_dump(run.config.to_dict()))
    (run.folder / "run.json").write_text(json.dumps({"seed": run.seed, "sources": {}}))
    (run.folder / "done").write_text("")


@pytest.fixture
def study(write_study, tmp_path):
    """Returns a function that writes a study with finished runs and its report; gives the plan and study.json."""

    def make(**parts):
        place = "{out}/world{world}" if parts.get("worlds") else "{out}/data"
        files = {
            split: {
                **{name: f"{place}/{split}_{name}.json" for name in ("questions", "annotations")},
                "subsets": {"easy": f"{place}/{split}_easy.json"},
            }
            for split in ("iid_val", "ood_test")
        }
        settings = {"data.iid_val": files["iid_val"], "data.tests": {"ood_test": files["ood_test"]}}
        out = tmp_path / "out"
        plan = make_plan(write_study(arms=ARMS, seeds=[1, 2, 3], settings=settings, **parts), out)
        for world in parts.get("worlds") or [None]:
            data = out / ("data" if world is None else f"world{world}")
            data.mkdir(parents=True)
            for number, split in enumerate(("iid_val", "ood_test")):
                write_questions(data, split, 10 * (world or 0) + number)
            for run in plan.runs:
                if run.world == world:
                    write_run(run, data)
        write_study_report(plan)
        return plan, json.loads((out / "study.json").read_text())

    return make


def find(found, kind="overall", name=""):
    (measure,) = [
        one
        for one in found["datasets"][0]["measures"]
        if (one["split"], one["kind"], one["name"]) == ("ood_test", kind, name)
    ]
    return measure["arms"]


def scores_of(plan, data, arm, world=None):
    questions = read_question_set(*(data / f"ood_test_{name}.json" for name in ("questions", "annotations")))
    found = []
    for run in plan.runs:
        if run.arm.name == arm and run.world == world:
            rows = json.loads((run.folder / "predictions" / "ood_test.json").read_text())
            answers = {row["question_id"]: row["answer"] for row in rows}
            found.append(score_answers(questions, answers, "official"))
    return questions, found


def test_intervals_are_over_questions_and_seeds(study, tmp_path):
    plan, found = study()
    questions, ours = scores_of(plan, tmp_path / "out" / "data", "gs")
    _, theirs = scores_of(plan, tmp_path / "out" / "data", "baseline")
    easy = [row for row in range(40) if row % 3 == 0]
    odd = [row for row in easy if row % 2]
    for kind, name, rows in (
        ("overall", "", range(40)),
        ("answer_type", "other", range(1, 40, 2)),
        ("subset", "easy", easy),
        ("subset", "easy: other", odd),
    ):
        labels = ["in" if row in rows else "out" for row in range(40)]
        expected = crossed_difference(Groups(questions.image_ids, {"": labels}), ours, theirs, paired=True)[("", "in")]
        (difference,) = find(found, kind, name)["gs"]["differences"]
        assert difference["over"] == ["image", "seed"]
        assert difference["interval"] == pytest.approx(expected, abs=1e-3), name
        assert difference["seed_interval"] != difference["interval"]
    assert find(found)["gs"]["over_seeds"]["over"] == ["image", "seed"]
    text = (tmp_path / "out" / "study.md").read_text()
    assert "interval of the mean difference over questions (images resampled) and seeds" in text
    assert "over seeds alone" in text


def test_runs_of_worlds(study, tmp_path, write_study):
    plan, found = study(worlds=[2, 5])
    folders = [str(run.folder.relative_to(tmp_path / "out" / "runs")) for run in plan.runs]
    assert folders[:4] == [f"world{world}/{arm}/seed1" for world in (2, 5) for arm in ("baseline", "gs")]
    assert len(folders) == 2 * 2 * 3
    (run,) = plan.chosen(["gs"], [3], worlds=[5])
    assert run.title == "world 5, gs, seed 3"
    assert run.config.data.tests["ood_test"].questions == str(tmp_path / "out" / "world5" / "ood_test_questions.json")
    assert found["worlds"] == [2, 5]
    tables, draws = [], []
    for world in (2, 5):
        questions, ours = scores_of(plan, tmp_path / "out" / f"world{world}", "gs", world)
        _, theirs = scores_of(plan, tmp_path / "out" / f"world{world}", "baseline", world)
        tables.append([100 * float((a - b).mean()) for a, b in zip(ours, theirs, strict=True)])
        both = np.mean(ours, axis=0) - np.mean(theirs, axis=0)
        draws.append(resampled(Groups(questions.image_ids, {"": [""] * 40}), both)[0][0])
    whole = (draws[0] + np.roll(draws[1], 1)) / 2
    expected = crossed(float(np.mean(tables)), sources_of(tables), Images(whole, 40))
    (difference,) = find(found)["gs"]["differences"]
    assert (difference["worlds"], difference["seeds"], difference["over"]) == (2, 3, ["image", "seed", "world"])
    assert difference["mean"] == pytest.approx(np.mean(tables))
    assert difference["interval"] == pytest.approx(expected.interval, rel=1e-3)
    assert difference["p"] == pytest.approx(expected.p, rel=1e-3)
    assert sorted(find(found)["gs"]["over_seeds"]["values"]) == ["2/1", "2/2", "2/3", "5/1", "5/2", "5/3"]
    text = (tmp_path / "out" / "study.md").read_text()
    assert "2 arms, 3 seeds, 2 worlds: 12 of 12 runs done" in text
    assert "over questions (images resampled) and seeds, without worlds where there are two" in text
    assert (difference["shown_over"], difference["over"]) == (["image", "seed"], ["image", "seed", "world"])
    without = crossed(float(np.mean(tables)), carrying(sources_of(tables)), Images(whole, 40))
    assert difference["shown_interval"] == pytest.approx(without.interval, rel=1e-3)
    assert "Means over the worlds 2, 5." in text
    assert "2 worlds x 3 seeds" in text


def test_worlds_go_by_their_number_in_steps_and_settings(write_study, tmp_path):
    steps = [
        {
            "makes": "{out}/world{world}.h5",
            "run": ["demo", "--world.seed", "{world}", "--out", "{out}/world{world}.h5"],
        },
        {"makes": "{out}/once.h5", "run": ["features", "info", "{out}/once.h5"]},
    ]
    file = write_study(worlds=[1, 2], prepare=steps, settings={"data.features": "{out}/world{world}.h5"})
    plan = make_plan(file, tmp_path)
    assert [step.files for step in plan.spec.prepare] == [
        [f"{tmp_path}/world1.h5"],
        [f"{tmp_path}/world2.h5"],
        [f"{tmp_path}/once.h5"],
    ]
    assert plan.spec.prepare[1].words == ["demo", "--world.seed", "2", "--out", f"{tmp_path}/world2.h5"]
    assert [run.config.data.features for run in plan.runs] == [f"{tmp_path}/world1.h5", f"{tmp_path}/world2.h5"]


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"worlds": [1, 2]}, "worlds: are all the same (name {world} in the settings that differ between them)"),
        ({"worlds": [1, 1], "settings": {"data.features": "{world}"}}, "worlds: a world stands twice"),
        ({"worlds": ["a"], "settings": {"data.features": "{world}"}}, "Expected `int`"),
        ({"settings": {"data.features": "{world}.h5"}}, "{world} is named, but there are no worlds"),
        ({"prepare": [{"makes": "{world}", "run": ["demo"]}]}, "{world} is named, but there are no worlds"),
    ],
)
def test_refused(write_study, refused, tmp_path, parts, line):
    assert line in refused(write_study(**parts), tmp_path / "out", "--dry-run")


def test_worlds_that_are_not_there(write_study, refused, tmp_path):
    file = write_study(worlds=[1, 2], settings={"data.features": "{out}/{world}.h5"})
    assert "the study has no world 3 (choose among 1, 2)" in refused(file, tmp_path / "out", "--worlds", 3)


def test_the_plan_tells_worlds(study, tmp_path, capfd):
    study(worlds=[2, 5])
    words = ["study", "--config", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")]
    assert main([*words, "--worlds", "5", "--report-only"]) == 0
    assert "study.json" in capfd.readouterr().out
