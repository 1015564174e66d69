import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_gs.common.errors import VqaGsError
from vqa_gs.study.spec import merged, nested, read_overrides, read_study

SETTINGS = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9), max_size=3), max_size=3
)


@settings(deadline=None)
@given(SETTINGS, SETTINGS)
def test_what_is_on_top_counts_and_nothing_else_is_lost(one, other):
    sections = {*one, *other}
    assert merged(one, other) == {name: {**one.get(name, {}), **other.get(name, {})} for name in sections}
    dotted = {f"{name}.{field}": value for name, inner in one.items() for field, value in inner.items()}
    assert nested(dotted) == {name: inner for name, inner in one.items() if inner}


def test_dotted_keys_lists_and_null():
    assert nested({"data.max_pairs": 5, "data": {"glove": "x"}}) == {"data": {"max_pairs": 5, "glove": "x"}}
    assert nested({"data": {"tests": {"v1.0": 1}}}) == {"data": {"tests": {"v1.0": 1}}}
    assert merged({"a": [1, 2], "b": {"c": 1, "d": 2}}, {"a": [3], "b": {"c": 5}}) == {"a": [3], "b": {"c": 5, "d": 2}}


def test_the_folder_of_the_study_stands_for_out(write_study):
    file = write_study(
        arms={"a": {"data": {"pairs": ["{out}/p.h5"]}}},
        prepare=[{"makes": "{out}/p.h5", "run": ["pairs", "build", "--out", "{out}/p.h5", "--seed", 3]}],
    )
    spec = read_study(file, "runs/x")
    assert spec.arms["a"].settings == {"data": {"pairs": ["runs/x/p.h5"]}}
    assert spec.prepare[0].words == ["pairs", "build", "--out", "runs/x/p.h5", "--seed", "3"]
    assert spec.seeds == (0,)


def test_overrides_are_read_as_yaml():
    assert read_overrides(["training.lr=0.5", "data.pairs=[a, b]"]) == {
        "training": {"lr": 0.5},
        "data": {"pairs": ["a", "b"]},
    }
    for word in ("training.lr", "seed=3", "nonsense.x=1", "data.pairs=[a"):
        with pytest.raises(VqaGsError):
            read_overrides([word])


BAD = {
    "unknown part": ({"sedes": [1]}, "sedes"),
    "no arms": ({"arms": {}}, "arms"),
    "arm is no mapping": ({"arms": {"a": 3}}, "arms"),
    "unknown section": ({"arms": {"a": {"trainin.lr": 1}}}, "arms.a: there is no setting 'trainin.lr'"),
    "unknown field": ({"arms": {"a": {"training.learn": 1}}}, "arms.a: "),
    "unknown field in a dataset": ({"datasets": {"d": {"training.learn": 1}}}, "datasets.d: "),
    "bad value": ({"arms": {"a": {"training.epochs": "many"}}}, "arms.a: "),
    "senseless value": ({"arms": {"a": {"training.epochs": 0}}}, "training.epochs must be at least 1"),
    "seed of an arm": ({"arms": {"a": {"seed": 1}}}, "'seed' is set by the study"),
    "seed twice": ({"seeds": [1, 1]}, "seeds: a seed stands twice"),
    "negative seed": ({"seeds": [-1]}, "seeds"),
    "extends nobody": ({"arms": {"a": {"extends": "b"}}}, "arms.a.extends: there is no arm 'b'"),
    "extends itself": ({"arms": {"a": {"extends": "b"}, "b": {"extends": "a"}}}, "extends itself"),
    "drawn nobody": ({"drawn": ["b"]}, "drawn: there is no arm 'b'"),
    "no control": ({"control": "b"}, "control: there is no arm 'b'"),
    "against nobody": ({"arms": {"a": {"against": "b"}}}, "arms.a.against: there is no arm 'b'"),
    "sweep over nothing": ({"arms": {"a": {"sweep": {"data.max_pairs": []}}}}, "arms.a.sweep.data.max_pairs"),
    "two sweeps": ({"arms": {"a": {"sweep": {"data.max_pairs": [1], "training.lr": [1]}}}}, "one field"),
    "sweep twice the same": ({"arms": {"a": {"sweep": {"data.max_pairs": [1, 1]}}}}, "stands twice"),
    "one folder": ({"arms": {"a b": {}, "A  b": {}}}, "would share the folder a-b"),
    "pairs are missing": ({"arms": {"a": {"data.pairs": []}}}, "gradient_supervision needs pairs"),
    "base is missing": ({"base": "nowhere.yaml"}, "nowhere.yaml"),
    "data are missing": ({"arms": {"a": {"data.features": "nowhere.h5"}}}, "the file nowhere.h5 is not there"),
    "step without a command": ({"prepare": [{"makes": "x", "run": []}]}, "prepare[0].run"),
    "unknown key of a step": ({"prepare": [{"makes": "x", "run": ["a"], "when": 1}]}, "prepare[0]"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_made(name, write_study, refused, tmp_path):
    parts, expected = BAD[name]
    error = refused(write_study(**parts), tmp_path / "out", "--workers", 1)
    assert expected in error
    if name != "base is missing":
        assert "study.yaml" in error
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arms: {a: {}, a: {}}", "'a' stands twice"),
        ("arms: [", "is not readable YAML"),
        ("- a", "is no study"),
        ("arms: {a: {}, 3: {}}", "arms"),
    ],
)
def test_files_that_are_no_study(text, expected, refused, tmp_path):
    (tmp_path / "study.yaml").write_text(text)
    assert expected in refused(tmp_path / "study.yaml", tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--arms", "b"], "no arm 'b'"),
        (["--seeds", "-7"], "--seeds must be from 0 to"),
        (["--datasets", "d"], "no dataset 'd'"),
        (["--shard", "3/2"], "'3/2' is no shard"),
        (["--workers", "0"], "--workers"),
        (["--set", "training.learn=1"], "--set: "),
        (["--report-only"], "no run is done yet"),
    ],
)
def test_bad_words(words, expected, write_study, refused, tmp_path):
    assert expected in refused(write_study(), tmp_path / "out", *words)


def test_yaml_merge_keys_are_no_repetition(write_study):
    file = write_study()
    file.write_text(file.read_text() + "datasets:\n  x: &x {training: {lr: 0.1}}\n  y: {<<: *x, scoring: exact}\n")
    assert read_study(file, "out").datasets["y"] == {"training": {"lr": 0.1}, "scoring": "exact"}
