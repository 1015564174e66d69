from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from vqa_gs.features.fingerprint import differences


def test_differences_are_named():
    one = json.dumps({"backbone": "a", "size": {"short": 224, "long": 1000}, "levels": [1, 2]})
    other = json.dumps({"backbone": "a", "size": {"short": 600, "long": 1000}, "levels": [2], "boxes": "grid"})
    assert differences(one, other) == [
        'boxes: absent, not "grid"',
        "levels: [1, 2], not [2]",
        "size.short: 224, not 600",
    ]
    assert differences(one, one) == []
    assert differences("{}", "{ }") == ["their wording"]
    assert differences("plain", "x" * 99) == ["plain, not " + "x" * 37 + "..."]


@given(st.text(), st.text())
def test_any_texts_differ_in_something(one, other):
    assert bool(differences(one, other)) == (one != other)
