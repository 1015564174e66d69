import json
import pickle

import h5py
import numpy as np
import pytest
from vqa_gs.eval.grounding_file import (
    GroundingFile,
    overlaps,
    read_grounding,
    read_hints,
    read_relevant_boxes,
    write_grounding,
)

from vqa_gs.common.errors import DataError, UsageError

ROWS = [(1, "what", "other", "red", "red"), (2, "what", "other", "red", "blue"), (3, "what", "other", "red", "red")]
BOXES = np.array([[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [0, 0, 10, 10], [10, 0, 20, 10]], np.float32)


def made(**more):
    # Question 1 has three regions, question 2 two, question 3 none.
    attention = np.array([0.5, 0.3, 0.2, 0.1, 0.9], np.float32)
    gradient = np.array([1, 2, 1, 3, 1], np.float32)
    return GroundingFile([1, 2, 3], np.array([0, 3, 5, 5]), attention, gradient, BOXES, **more)


def test_written_files_are_read_back(tmp_path):
    cosine = np.array([[0.5, np.nan], [-0.25, 1]], np.float32)
    for ids, pairs in (([1, 2, 3], [(1, 2), (2, 3)]), (["a", "b", "ö"], [("a", "b"), ("b", "ö")])):
        file = GroundingFile(ids, *list(vars(made()).values())[1:5], pairs, cosine, "contrast")
        write_grounding(tmp_path / "g.h5", file)
        back = read_grounding(tmp_path / "g.h5")
        assert (back.question_ids, back.pairs, back.function) == (ids, pairs, "contrast")
        for name in ("first", "attention", "gradient", "boxes", "cosine"):
            np.testing.assert_array_equal(getattr(back, name), getattr(file, name))


def test_shares_by_hand(scored, tmp_path, section_of):
    boxes = [
        {"question_id": 1, "boxes": [[0, 0, 10, 9], [0, 11, 10, 20]]},
        {"question_id": 2, "boxes": [[10, 0, 20, 10]]},
    ]
    (tmp_path / "b.json").write_text(json.dumps(boxes))
    relevance = read_relevant_boxes(tmp_path / "b.json")
    section = section_of("grounding", scored(ROWS, grounding=made(), relevance=relevance))["regions"]
    assert section["right"] == {
        "questions": 1,
        "attention": pytest.approx(70),
        "gradient": pytest.approx(50),
        "chance": pytest.approx(200 / 3),
        "attention_pointing": 100.0,
        "gradient_pointing": 0.0,
    }
    assert section["wrong"]["attention"] == pytest.approx(90)
    assert section["wrong"]["gradient"] == pytest.approx(25)
    assert section["all"]["attention"] == pytest.approx(80)
    assert section["all"]["questions"] == 2


def test_questions_without_a_choice_of_regions_are_left_out(scored, tmp_path, section_of):
    (tmp_path / "b.json").write_text(json.dumps([{"question_id": 2, "boxes": []}, {"question_id": 3, "boxes": []}]))
    assert (
        section_of("grounding", scored(ROWS, grounding=made(), relevance=read_relevant_boxes(tmp_path / "b.json")))
        is None
    )
    assert section_of("grounding", scored(ROWS)) is None


def test_hints_as_pickle_and_json(scored, tmp_path, section_of):
    hints = {1: np.array([0.7, 0.1, 0.6]), 2: np.array([0.0, 1.0])}
    (tmp_path / "h.pkl").write_bytes(pickle.dumps(hints, protocol=2))
    (tmp_path / "h.json").write_text(json.dumps({str(key): scores.tolist() for key, scores in hints.items()}))
    for name in ("h.pkl", "h.json"):
        section = section_of("grounding", scored(ROWS, grounding=made(), relevance=read_hints(tmp_path / name)))
        assert section["threshold"] == 0.6
        assert section["regions"]["right"]["attention"] == pytest.approx(70)
        assert section["regions"]["wrong"]["attention"] == pytest.approx(90)


def test_hints_of_other_features(scored, tmp_path, section_of):
    (tmp_path / "h.json").write_text(json.dumps({"1": [0.7] * 36}))
    with pytest.raises(DataError, match=r"h.json: question 1: the hints are for 36 regions, the features have 3"):
        section_of("grounding", scored(ROWS, grounding=made(), relevance=read_hints(tmp_path / "h.json")))
    (tmp_path / "h.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="scores by question id"):
        read_hints(tmp_path / "h.json")
    (tmp_path / "h.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match="list of scores"):
        read_hints(tmp_path / "h.pkl")


def test_alignment_with_pairs(scored, section_of):
    cosine = np.array([[0.5, np.nan], [-0.25, 1]], np.float32)
    section = section_of(
        "grounding", scored(ROWS, grounding=made(pairs=[(1, 2), (2, 3)], cosine=cosine, function="true"))
    )
    assert section["regions"] is None
    assert section["pairs"] == {
        "pairs": 2,
        "ends": 3,
        "cosine": pytest.approx(1.25 / 3),
        "positive": pytest.approx(200 / 3),
        "function": "true",
    }


def test_overlaps_by_hand():
    a, b = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32), np.array([[0, 0, 10, 10], [5, 0, 15, 10]], np.float32)
    np.testing.assert_allclose(overlaps(a, b), [[1, 50 / 150], [0, 0]])


def test_relevant_boxes_beyond_any_image(tmp_path):
    file = tmp_path / "boxes.json"
    file.write_text('[{"question_id": 1, "boxes": [[0, 0, 1, 1], [0, 0, 1e300, 1]]}]')
    with pytest.raises(DataError, match="boxes.json: question '1': a box reaches beyond any image"):
        read_relevant_boxes(file)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "g.h5"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not an HDF5 file, or damaged"):
        read_grounding(path)
    with h5py.File(path, "w") as file:
        file["x"] = [1]
    with pytest.raises(DataError, match="is no vqa-gs-grounding file"):
        read_grounding(path)
    write_grounding(path, made())
    with h5py.File(path, "r+") as file:
        file["questions/first"][-1] = 4
    with pytest.raises(DataError, match="do not fit together"):
        read_grounding(path)
    with pytest.raises(UsageError, match="both numbers and text"):
        write_grounding(path, GroundingFile([1, "1", 3], *list(vars(made()).values())[1:5]))


def test_hdf5_is_looked_at_before_it_is_opened_here(tmp_path, monkeypatch):
    """A damaged attribute can keep the library busy for ever: that happens in a process that is given up."""
    from vqa_gs.eval import grounding_file

    path = tmp_path / "g.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = grounding_file.FORMAT

    def lost(file):
        raise DataError("HDF5 did not find its way", file=file)

    monkeypatch.setattr(grounding_file, "look", lost)
    monkeypatch.setattr(grounding_file.h5py, "File", None)  # opening it here would fail otherwise
    with pytest.raises(DataError, match="did not find its way"):
        read_grounding(path)
