from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_gs.common.errors import DataError
from vqa_gs.common.yaml_files import LARGEST, parse_yaml, read_mapping, read_yaml


def laughs(levels: int) -> str:
    """Aliases of aliases: nine levels of nine are a third of a billion entries."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines)


def merges(levels: int) -> str:
    """The same by merging what is merged already."""
    again = ["a0: &a0 {x: 1}"]
    again += [f"a{i}: &a{i} {{<<: *a{i - 1}, y: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, levels)]
    return "\n".join(again)


REFUSED = {
    "aliases of aliases": laughs(9),
    "merged aliases of aliases": merges(9),
    "itself": "a: &a [*a]",
    "itself in a mapping": "&a b: &c {d: *c}",
    "levels of brackets": "[" * 1500 + "]" * 1500,
    "levels of braces": "{a: " * 1500 + "}" * 1500,
    "levels of lists": "- " * 1500 + "x",
    "levels of keys": "? " * 1500 + "x",
    "a class": "model: {class_path: payload.X}",
    "arguments of a class": "model: {init_args: {}}",
    "a class within a text": "model: '{class_path: payload.X}'",
    "python": "!!python/object/apply:os.system [ls]",
    "python's name": "!!python/name:os.system ''",
    "bytes": "!!binary aGVsbG8=",
    "a set": "!!set {a, b}",
    "pairs": "!!pairs [a: b]",
    "a key that is a list": "? [a, b]\n: c",
    "twice": "a: 1\na: 2",
    "digits": "a: " + "9" * 10_000,
    "two documents": "a: 1\n---\nb: 2",
    "half a surrogate": 'a: "\\ud800"',
    "an unknown alias": "a: *b",
    "a tab": "a:\n\t- b",
    "NUL": "a: b\0c",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_plain_data_is_refused_at_once(tmp_path, name):
    (tmp_path / "x.yaml").write_text(REFUSED[name], encoding="utf-8")
    begun = time.process_time()
    with pytest.raises(DataError, match=r"x\.yaml: is not readable YAML") as caught:
        read_yaml(tmp_path / "x.yaml", "configuration")
    assert time.process_time() - begun < 5
    assert "\n" not in str(caught.value)


def test_a_few_aliases_merges_and_dates_are_read():
    text = "base: &b {x: 1, y: [1, 2]}\none: {<<: *b, x: 2}\ntwo: *b\nday: 2020-01-31\n"
    base = {"x": 1, "y": [1, 2]}
    assert parse_yaml(text) == {"base": base, "one": {"x": 2, "y": [1, 2]}, "two": base, "day": "2020-01-31"}


def test_files_that_are_no_configuration(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(DataError, match="not readable YAML"):
        read_yaml(path, "study")
    path.write_text("- a")
    with pytest.raises(DataError, match="is no study: its top level is no mapping"):
        read_mapping(path, "study")
    path.write_text("#" * (LARGEST + 1))
    with pytest.raises(DataError, match="is larger than a study can be"):
        read_yaml(path, "study")


# PyYAML writes the line breaks of other scripts as they are, and reads them as plain ones.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(value=PLAIN)
def test_plain_data_comes_back(value):
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True)) == value
