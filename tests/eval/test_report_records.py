import dataclasses
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from vqa_gs.eval.arms import Arm, group_runs
from vqa_gs.eval.crossed import crossed_difference
from vqa_gs.eval.report.sections.answers import train_shares
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.records import UNANSWERED, find_source, gather
from vqa_gs.eval.report_content.resampling import OVERALL, ArmIntervals, answer_type, question_type, resampled_means
from vqa_gs.eval.statistics import Groups, bootstrap

from vqa_gs.common.files import sha256_file

from .report_world import NASTY, TYPES, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"), {"baseline": (0.4, 0.5), "gs": (0.7, 0.8)})


def look_away(records, questions):
    pass


def test_records_hold_what_the_files_say(world):
    seen = []
    runs = world.load()
    found = gather(runs, "official", None, lambda records, questions: seen.append((records.split, len(questions))))
    assert sorted(seen) == [("iid_val", 36), ("ood_test", 36)]
    assert found.reasons == []
    records = found.splits["ood_test"]
    assert records.folders == tuple(world.runs)
    for row, run in enumerate(runs):
        assert 100 * records.scores[row].mean() == pytest.approx(run.metrics["ood_test"].overall, abs=1e-4)
        given = json.loads((run.folder / "predictions/ood_test.json").read_text())
        assert [records.lexicon[code] for code in records.predicted[row]] == [entry["answer"] for entry in given]
    assert set(records.question_types) == set(TYPES)
    assert np.bincount(records.image).tolist() == [3] * 12
    train = json.loads((world.folder / "data/train_annotations.json").read_text())
    counted = Counter(entry["multiple_choice_answer"] for entry in train if entry["question_type"] == "how many")
    shares = train_shares(Content("official", runs), "ood_test")
    assert shares["how many"] == pytest.approx({answer: counted[answer] / 12 for answer in shares["how many"]})
    assert counted.keys() <= shares["how many"].keys()


def test_moved_files_are_found_by_name_and_hash(world, tmp_path):
    file = world.folder / "data" / "train_questions.json"
    digest = sha256_file(file)
    (tmp_path / file.name).write_bytes(file.read_bytes())
    assert find_source(f"/nowhere/{file.name}", digest, tmp_path) == tmp_path / file.name
    assert find_source(str(file), digest, None) == file
    # Whoever wrote a record without a hash could have named any file of the reader.
    assert find_source(str(file), "", file.parent) == file
    with pytest.raises(FileNotFoundError, match="is not recorded"):
        find_source(str(file), "", None)
    with pytest.raises(FileNotFoundError, match="is not there"):
        find_source(f"/nowhere/{file.name}", digest, None)
    (tmp_path / file.name).write_text("[]")
    with pytest.raises(FileNotFoundError, match="not the file it was"):
        find_source(f"/nowhere/{file.name}", digest, tmp_path)


def copy_of(tmp_path):
    return write_world(tmp_path / "copy", {"baseline": (0.5,), "gs": (0.8,)}, images=6)


def test_what_cannot_be_used_is_told(tmp_path):
    copy = copy_of(tmp_path)
    (copy.runs[0] / "predictions/iid_val.json").unlink()
    metrics = json.loads((copy.runs[1] / "metrics/iid_val.json").read_text())
    metrics["overall"] += 1
    (copy.runs[1] / "metrics/iid_val.json").write_text(json.dumps(metrics))
    (copy.runs[1] / "predictions/ood_test.json").write_text("[{]")
    found = gather(copy.load(), "official", None, look_away)
    assert list(found.splits) == ["ood_test"]
    assert found.splits["ood_test"].folders == (copy.runs[0],)
    told = " ".join(found.reasons)
    for expected in (
        "No examples of “baseline-seed0” on iid_val",
        "its metrics say",
        "not valid JSON",
    ):
        assert expected in told
    (copy.folder / "data/ood_test_questions.json").write_text("[1]")
    told = " ".join(gather(copy.load(), "official", None, look_away).reasons)
    assert "ood_test_questions.json is not the file it was" in told
    assert "'other'" in gather(copy.load(), "other", None, look_away).reasons[0]


def test_unanswered_questions_have_no_answer(tmp_path):
    copy = copy_of(tmp_path)
    before = gather(copy.load(), "official", None, look_away).splits["ood_test"]
    file = copy.runs[0] / "predictions/ood_test.json"
    file.write_text(json.dumps(json.loads(file.read_text())[1:]))
    metrics = json.loads((copy.runs[0] / "metrics/ood_test.json").read_text())
    metrics["overall"] -= 100 * float(before.scores[0, 0]) / metrics["questions"]
    (copy.runs[0] / "metrics/ood_test.json").write_text(json.dumps(metrics))
    after = gather(copy.load(), "official", None, look_away).splits["ood_test"]
    assert after.predicted[0, 0] == UNANSWERED
    assert after.scores[0, 0] == 0
    assert (after.scores[0, 1:] == before.scores[0, 1:]).all()


def test_intervals_are_those_of_the_bootstrap(world):
    runs = world.load()
    arms = group_runs(runs)
    records = gather(runs, "official", None, look_away).splits["ood_test"]
    intervals = ArmIntervals(records, arms)
    labels = {
        "overall": [""] * 36,
        "answer_type": [records.answer_types[code] for code in records.answer_type],
        "question_type": [records.question_types[code] for code in records.question_type],
    }
    groups = Groups(records.image.tolist(), labels)
    means = [records.scores[[0, 1]].mean(axis=0), records.scores[[2, 3]].mean(axis=0)]
    for arm, mean in zip(arms, means, strict=True):
        expected = bootstrap(groups, mean.astype(np.float64))
        for group in (OVERALL, answer_type("number"), question_type("what")):
            assert intervals.of(arm, group) == pytest.approx(expected[group], abs=1e-3)
    scores = records.scores.astype(np.float64)
    # Two seeds carry no interval over seeds: it is over questions alone.
    expected = crossed_difference(groups, [scores[2:].mean(0)], [scores[:2].mean(0)])
    low, high = intervals.of_difference(arms[1], arms[0], OVERALL)
    assert (low, high) == pytest.approx(tuple(expected[OVERALL]), abs=1e-3)
    # Of three it is over seeds too.
    three = np.concatenate([scores[:2], scores[:1], scores[2:], scores[2:3]])
    folders = (*records.folders[:2], Path("c"), *records.folders[2:], Path("d"))
    more = dataclasses.replace(records, scores=three.astype(np.float32), folders=folders)
    longer = [
        Arm(arm.name, (*arm.runs, replace(arm.runs[0], seed=7, folder=folder)))
        for arm, folder in zip(arms, (Path("c"), Path("d")), strict=True)
    ]
    intervals = ArmIntervals(more, longer)
    expected = crossed_difference(groups, list(three[3:]), list(three[:3]), paired=True)
    low, high = intervals.of_difference(longer[1], longer[0], OVERALL)
    assert (low, high) == pytest.approx(tuple(expected[OVERALL]), abs=1e-3)
    # Other seeds than those of the other arm are not paired with them.
    renumbered = Arm("gs", tuple(replace(run, seed=run.seed + 5) for run in longer[1].runs))
    expected = crossed_difference(groups, list(three[3:]), list(three[:3]))
    low, high = intervals.of_difference(renumbered, longer[0], OVERALL)
    assert (low, high) == pytest.approx(tuple(expected[OVERALL]), abs=1e-3)
    assert intervals.of(arms[0], question_type("absent")) is None


def test_a_group_in_one_image_has_no_interval():
    groups = Groups([0, 0, 1, 2], {"kind": ["a", "a", "b", "b"]})
    drawn = resampled_means(groups, np.ones((1, 4), np.float32), replicates=200)
    assert np.isnan(drawn[:, 0, 0]).any()
    assert np.nanmin(drawn) == 1


def test_the_nasty_question_is_in_the_world(world):
    assert NASTY in (world.folder / "data/ood_test_questions.json").read_text().replace('\\"', '"')


def test_a_tab_in_a_gzip_makes_no_table_of_texts(tmp_path):
    world = write_world(tmp_path, {"gs": (0.7,)})
    file, metrics = tmp_path / "data" / "ood_test_questions.json", world.runs[0] / "metrics" / "ood_test.json"
    before = sha256_file(file)
    file.write_bytes(gzip.compress(file.read_bytes(), mtime=ord("\t")))
    metrics.write_text(metrics.read_text().replace(before, sha256_file(file)))
    assert gather(world.load(), "official", None, look_away).reasons == []
