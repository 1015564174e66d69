import json
from pathlib import Path

import pytest

from vqa_gs.cli import main
from vqa_gs.data.questions import read_question_set


@pytest.fixture
def dataset(tmp_path):
    """A v2 form file pair: 600 questions of three types, two answers each."""
    questions, annotations = [], []
    for key in range(600):
        kind = ("is there a", "is it", "are there")[key % 3]
        answer = "yes" if key // 3 % 4 else "no"
        questions.append(
            {"question_id": key, "image_id": key // 2, "question": f"{kind} dog?", "coco_split": "train2014"}
        )
        answers = [{"answer": answer, "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]
        annotations.append(
            {
                "question_id": key,
                "image_id": key // 2,
                "question_type": kind,
                "answer_type": "yes/no",
                "multiple_choice_answer": answer,
                "answers": answers,
            }
        )
    paths = tmp_path / "q.json", tmp_path / "a.json"
    paths[0].write_text(json.dumps({"questions": questions}))
    paths[1].write_text(json.dumps({"annotations": annotations}))
    return list(map(str, paths))


def split(dataset, out, *more):
    return main(
        ["split", "changing-priors", "--questions", dataset[0], "--annotations", dataset[1], "--out", str(out), *more]
    )


def test_writes_three_splits_that_read_back_whole(dataset, tmp_path, capsys):
    out = tmp_path / "split"
    assert split(dataset, out, "--seed", "2") == 0
    whole = read_question_set(*dataset)
    by_id = {q.question_id: (q, a) for q, a in zip(whole.questions, whole.annotations, strict=True)}
    seen = []
    for name in ("train", "iid_val", "ood_test"):
        part = read_question_set(out / f"{name}_questions.json.gz", out / f"{name}_annotations.json.gz")
        assert all(by_id[q.question_id] == (q, a) for q, a in zip(part.questions, part.annotations, strict=True))
        seen += part.question_ids
    assert sorted(seen) == whole.question_ids
    report = json.loads((out / "split.json").read_text())
    assert report["summary"]["total_variation"] == 1.0
    assert report["summary"]["questions"]["ood_test"] + report["summary"]["questions"]["train"] < 600
    assert report["sources"] == whole.sources
    assert "is it" in capsys.readouterr().out


def test_same_seed_same_bytes(dataset, tmp_path):
    for name in ("a", "b"):
        assert split(dataset, tmp_path / name, "--seed", "5") == 0
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_check_measures_two_files(dataset, tmp_path, capsys):
    out = tmp_path / "m.json"
    assert main(["split", "check", dataset[1], dataset[1], "--out", str(out)]) == 0
    assert json.loads(out.read_text())["summary"]["jensen_shannon"] == 0
    assert "right for 75.0 %" in capsys.readouterr().out.replace("\n", " ")


def test_bad_input_is_one_line(dataset, tmp_path, capsys):
    assert split(dataset, tmp_path / "x", "--groups", "colour") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "colour" in error
    assert not (tmp_path / "x").exists()


def test_several_files_without_the_images_of_others_and_with_a_subset(dataset, tmp_path):
    questions, annotations = (json.loads(Path(file).read_bytes()) for file in dataset)
    halves = []
    for name, rows in (("one", slice(0, 300)), ("two", slice(300, None))):
        files = tmp_path / f"{name}_q.json", tmp_path / f"{name}_a.json"
        files[0].write_text(json.dumps(questions["questions"][rows]))
        files[1].write_text(json.dumps(annotations["annotations"][rows]))
        halves.append(list(map(str, files)))
    held = tmp_path / "held.json"
    held.write_text(json.dumps(questions["questions"][:60]))  # images 0 to 29
    subset = tmp_path / "subset.json"
    subset.write_text(json.dumps(list(range(0, 600, 5))))
    out = tmp_path / "split"
    words = ["--questions", halves[0][0], halves[1][0], "--annotations", halves[0][1], halves[1][1]]
    more = ["--without-images-of", str(held), "--subset", f"few={subset}", "--out", str(out)]
    assert main(["split", "changing-priors", *words, *more]) == 0
    ids, listed = [], []
    for name in ("train", "iid_val", "ood_test"):
        part = read_question_set(out / f"{name}_questions.json.gz", out / f"{name}_annotations.json.gz")
        few = json.loads((out / f"{name}_few.json").read_text())
        assert set(few) <= set(part.question_ids)
        ids += part.question_ids
        listed += few
    assert sorted(ids) == list(range(60, 600))
    assert sorted(listed) == list(range(60, 600, 5))
    assert set(json.loads((out / "split.json").read_text())["sources"]) == {*halves[0], *halves[1], str(held)}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--questions", "{q}", "{q}", "--annotations", "{a}", "{a}"], "question 0: this question id stands in"),
        (["--questions", "{q}", "{q}", "--annotations", "{a}"], "2 questions files and 1 annotations files"),
        (["--questions", "{q}", "--annotations", "{a}", "--without-images-of", "{q}"], "no question is left"),
        (["--questions", "{q}", "--annotations", "{a}", "--subset", "../x={q}"], "--subset"),
    ],
)
def test_files_that_do_not_fit_are_one_line(dataset, tmp_path, capsys, words, problem):
    words = [word.format(q=dataset[0], a=dataset[1]) for word in words]
    assert main(["split", "changing-priors", *words, "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert problem in error
    assert not (tmp_path / "x").exists()


def images_of(out, *names):
    return [set(read_question_set(out / f"{name}_questions.json.gz").image_ids) for name in names]


def test_an_image_and_its_near_duplicates_stay_on_one_side(dataset, tmp_path, capsys):
    out = tmp_path / "split"
    assert split(dataset, out, "--by", "image-group") == 0
    train, val, test = images_of(out, "train", "iid_val", "ood_test")
    assert not train & test
    assert not train & val
    assert not val & test
    summary = json.loads((out / "split.json").read_text())["summary"]
    assert summary["images_on_both_sides"] == 0
    assert summary["total_variation"] == 1.0, "what is left out makes the priors change no less"
    assert summary["left_out"] + sum(summary["questions"].values()) == 600
    assert f"{summary['left_out']} left out" in capsys.readouterr().out
    groups = [[image, image + 1, image + 2] for image in range(0, 300, 3)]
    (tmp_path / "g.json").write_text(json.dumps(groups))
    assert split(dataset, out, "--by", "image-group", "--image-groups", str(tmp_path / "g.json")) == 0
    parts = images_of(out, "train", "iid_val", "ood_test")
    owners = [{image // 3 for image in part} for part in parts]
    assert not owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2]
    assert all(owners)


def test_groups_need_what_they_are_for(dataset, tmp_path, capsys):
    assert split(dataset, tmp_path / "x", "--image-groups", "g.json") == 2
    assert "--by image-group" in capsys.readouterr().err
    (tmp_path / "g.json").write_text(json.dumps([list(range(300))]))
    words = ["--by", "image-group", "--image-groups", str(tmp_path / "g.json")]
    assert split(dataset, tmp_path / "x", *words) == 2
    assert "all images are of one side" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_groups_from_features(tiny, tmp_path, capsys):
    words = [
        "split",
        "image-groups",
        "--questions",
        tiny["data"]["train"]["questions"],
        "--out",
        str(tmp_path / "g.json"),
    ]
    assert main([*words, "--features", tiny["data"]["features"], "--distance", "2"]) == 0
    assert "1 groups of 80 of 80 images, the largest of 80" in capsys.readouterr().out
    assert main([*words, "--features", tiny["data"]["features"], "--distance", "0"]) == 0
    assert json.loads((tmp_path / "g.json").read_text()) == []
    for more, line in (
        (["--distance", "1"], "--features and --distance go together"),
        ([], "nothing tells which images are alike"),
        (["--features", tiny["data"]["features"], "--distance", "5"], "a distance of 5"),
    ):
        capsys.readouterr()
        assert main([*words, *more]) == 2
        assert line in capsys.readouterr().err


def test_an_image_without_regions_is_named(dataset, tiny, tmp_path, capsys):
    words = ["split", "image-groups", "--questions", dataset[0], "--out", str(tmp_path / "g.json")]
    assert main([*words, "--features", tiny["data"]["features"], "--distance", "1"]) == 2
    assert "has no regions of image 120" in capsys.readouterr().err
    assert not (tmp_path / "g.json").exists()
