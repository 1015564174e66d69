import gzip
import json

import pytest

from vqa_gs.common.errors import DataError
from vqa_gs.data.gqa import is_gqa, read_gqa


def record(answer, image="n123", structural="query", semantic="attr", local="10q-red", balanced=True):
    """A question in the published shape of GQA and GQA-OOD."""
    return {
        "semantic": [{"operation": "select", "dependencies": [], "argument": "car (1)"}],
        "entailed": ["201"],
        "equivalent": ["200"],
        "question": "What color is the car?",
        "imageId": image,
        "isBalanced": balanced,
        "groups": {"global": "color", "local": local},
        "answer": answer,
        "semanticStr": "select: car (1)",
        "annotations": {"answer": {}, "question": {"4": "1"}, "fullAnswer": {}},
        "types": {"detailed": "colorQ", "semantic": semantic, "structural": structural},
        "fullAnswer": "The car is red.",
    }


def test_the_published_shape(tmp_path):
    content = {
        "200": record("red"),
        "201": record("yes", structural="verify", semantic="obj", local=None),
        "202": record("no", balanced=False),
    }
    path = tmp_path / "ood_testdev_all.json"
    for data in (json.dumps(content).encode(), gzip.compress(json.dumps(content).encode())):
        path.write_bytes(data)
        assert is_gqa(path)
        read = read_gqa(path)
        assert read.questions.question_ids == ["200", "201"]
        assert read.unbalanced == 1
        assert read.local_groups == {"200": "10q-red", "201": "none"}
        assert read.semantic_types == {"200": "attr", "201": "obj"}
        first, second = read.questions.annotations
        assert (first.question_type, first.answer_type, first.majority) == ("query", "open", "red")
        assert (second.question_type, second.answer_type) == ("verify", "binary")
        assert list(read.questions.sources) == [str(path)]


def test_other_files_are_not_taken_for_gqa(tmp_path):
    path = tmp_path / "q.json"
    for content in (
        b'{"questions": [{"question_id": 1, "image_id": 1, "question": "imageId?"}]}',
        b"[1, 2]",
        b"\x1f\x8bno",
    ):
        path.write_bytes(content)
        assert not is_gqa(path)
    with pytest.raises(DataError, match="no such questions file"):
        is_gqa(tmp_path / "absent.json")


def test_refused(tmp_path):
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"1": record("no", balanced=False)}))
    with pytest.raises(DataError, match="holds no balanced question"):
        read_gqa(path)
    path.write_text(json.dumps({"1": {"imageId": "n1"}}))
    with pytest.raises(DataError, match="an object of GQA questions"):
        read_gqa(path)
