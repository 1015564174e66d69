"""Metrics over groups of questions, each against a slow transcription of its definition, on data with ties and gaps."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.eval.breakdown import BREAKDOWNS
from vqa_gs.eval.evidence import Evidence, Restricted, Scored
from vqa_gs.eval.rules import score_questions

from vqa_gs.data.asked_set import with_own_ids
from vqa_gs.data.groups import Choices, Groups, Quad, Triple
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet

WORDS = ["red", "blue", "a", "2", ""]
words = st.sampled_from(WORDS)
many = settings(max_examples=60, deadline=None)


def scored(truths, predictions, rule="exact", keys=None, **evidence):
    """Scored answers to questions 0, 1 ..., or under other ids; None for an unanswered one."""
    keys = list(range(len(truths))) if keys is None else keys
    questions = [Question(key, f"image {key}", "What?") for key in keys]
    annotations = [
        Annotation(key, f"image {key}", (Answer(truth, "", 1),), "what", "other", truth)
        for key, truth in zip(keys, truths, strict=True)
    ]
    scores = np.zeros(len(keys))
    given_rows = [row for row, text in enumerate(predictions) if text is not None]
    scores[given_rows] = score_questions(
        [annotations[row] for row in given_rows], [predictions[row] for row in given_rows], rule
    )
    return Scored(QuestionSet(questions, annotations, {}), predictions, scores, rule, Evidence(**evidence))


def close(found, expected):
    """Compares sections but for rounding, all names alike; what images add to the uncertainty has tests of its own."""
    found = {name: value for name, value in found.items() if name != "spread"}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, dict):
            close(found[name], value)
        else:
            assert found[name] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), name


def share(part, whole):
    return 100 * sum(part) / len(whole)


@st.composite
def answered(draw, least=1, most=24):
    count = draw(st.integers(least, most))
    truths = draw(st.lists(words, min_size=count, max_size=count))
    return truths, draw(st.lists(words | st.none(), min_size=count, max_size=count))


def slow_consensus(scores, groups):
    """Every subset of every group is looked at, as concat-vqa's script does."""
    whole = [group for group in groups if len(group) >= 4]
    found = {}
    for k in (1, 2, 3, 4):
        means = []
        for group in whole:
            subsets = list(combinations([scores[row] for row in group], k))
            means.append(sum(1.0 if 0.0 not in subset else 0.0 for subset in subsets) / len(subsets))
        found[str(k)] = 100 * sum(means) / len(means) if means else None
    return found, len(whole)


@many
@given(answered(), st.data())
def test_consensus(section_of, given_answers, data):
    truths, predictions = given_answers
    rows = list(range(len(truths)))
    groups = data.draw(st.lists(st.lists(st.sampled_from(rows), unique=True, max_size=6), min_size=1, max_size=5))
    one = scored(truths, predictions, groups=Groups(rephrasings=[tuple(group) for group in groups]))
    section = section_of("consensus", one)
    cs, count = slow_consensus(one.scores.tolist(), groups)
    close(section["cs"], cs)
    assert (section["groups"], section["smaller"]) == (count, len(groups) - count)


def test_consensus_by_hand(section_of):
    # Three of four right: 3/4 of the ones, 3/6 of the twos, 1/4 of the threes, none of four.
    one = scored(["red"] * 4, ["red", "red", "red", "blue"], groups=Groups(rephrasings=[(0, 1, 2, 3), (0, 1)]))
    section = section_of("consensus", one)
    assert section["cs"] == {"1": 75.0, "2": 50.0, "3": 25.0, "4": 0.0}
    assert (section["groups"], section["smaller"], section["original"], section["rephrased"]) == (
        1,
        1,
        100,
        pytest.approx(200 / 3),
    )
    assert section_of("consensus", scored(["red"], ["red"])) is None


def slow_natural_bench(right, quads):
    """The authors' counting, from which of the four answers are right."""
    acc = question = image = group = 0
    for q0_i0, q0_i1, q1_i0, q1_i1 in ([right[row] for row in quad] for quad in quads):
        acc += q0_i0 + q0_i1 + q1_i0 + q1_i1
        of_questions = (q0_i0 and q0_i1) + (q1_i0 and q1_i1)
        of_images = (q0_i0 and q1_i0) + (q0_i1 and q1_i1)
        question += of_questions
        image += of_images
        group += of_questions == 2 and of_images == 2
    count = len(quads)
    return {
        "groups": count,
        "accuracy": 100 * acc / (4 * count),
        "question": 100 * question / (2 * count),
        "image": 100 * image / (2 * count),
        "group": 100 * group / count,
    }


@many
@given(answered(4), st.data())
def test_natural_bench(section_of, given_answers, data):
    truths, predictions = given_answers
    row = st.integers(0, len(truths) - 1)
    quads = data.draw(st.lists(st.builds(Quad, row, row, row, row), min_size=1, max_size=6))
    one = scored(truths, predictions, groups=Groups(quads=quads))
    close(section_of("natural_bench", one), slow_natural_bench([int(score == 1) for score in one.scores], quads))


def slow_carets(one, kind, pairs):
    consistent, comprehensive, first = [], [], []
    for a, b in pairs:
        before, after = one.predictions[a], one.predictions[b]
        right = before is not None and before == one.annotations[a].majority
        if before is None or after is None:
            agrees = False
        elif kind == "invariance":
            agrees = before == after
        elif kind == "directional":
            agrees = before != after
        else:
            agrees = before == after if right else True
        consistent.append(agrees)
        comprehensive.append(agrees and right)
        first.append(right)
    return {
        "kind": kind,
        "pairs": len(pairs),
        "consistent": share(consistent, pairs),
        "comprehensive": share(comprehensive, pairs),
        "first_right": share(first, pairs),
    }


@pytest.mark.parametrize("kind", ["invariance", "directional", "ontological"])
@many
@given(answered(2), st.data())
def test_carets(section_of, kind, given_answers, data):
    truths, predictions = given_answers
    row = st.integers(0, len(truths) - 1)
    pairs = data.draw(st.lists(st.tuples(row, row), min_size=1, max_size=8))
    one = scored(truths, predictions, "one-of", groups=Groups(contrasts=pairs, contrast_kind=kind))
    close(section_of("carets", one), slow_carets(one, kind, pairs))


@many
@given(answered(), st.data())
def test_rad(section_of, given_answers, data):
    truths, predictions = given_answers
    row = st.integers(0, len(truths) + 2)  # some are no questions of the set
    originals = data.draw(st.dictionaries(row, st.sampled_from([0.0, 0.3, 1.0])))
    one = scored(truths, predictions, originals=originals)
    section = section_of("rad", one)
    known = [key for key in originals if key < len(truths)]
    if not known:
        assert section is None
        return
    right = [key for key in known if originals[key] == 1.0]
    both = [key for key in right if predictions[key] == truths[key]]
    expected = {"twins": len(known), "original_right": len(right), "both_right": len(both)}
    close(section, {**expected, "rad": 100 * len(both) / len(right) if right else None})


@many
@given(answered(2), st.data())
def test_minimal_pairs(section_of, given_answers, data):
    truths, predictions = given_answers
    row = st.integers(0, len(truths) - 1)
    pairs = data.draw(st.lists(st.tuples(row, row), min_size=1, max_size=8))
    one = scored(truths, predictions, groups=Groups(minimal_pairs=pairs))
    right = [text is not None and text == truth for truth, text in zip(truths, predictions, strict=True)]
    counts = [right[a] + right[b] for a, b in pairs]
    expected = {name: share([count == n for count in counts], pairs) for n, name in enumerate(("none", "one", "both"))}
    close(section_of("minimal_pairs", one), {"pairs": len(pairs), **{f"{n}_right": v for n, v in expected.items()}})


@many
@given(answered(3), st.data())
def test_vilp(section_of, given_answers, data):
    truths, predictions = given_answers
    row = st.integers(0, len(truths) - 1)
    triples = data.draw(st.lists(st.builds(Triple, row, row, row), min_size=1, max_size=8))
    one = scored(truths, predictions, "exact-normalized", groups=Groups(triples=triples, mode="prior"))
    table = one.scores[np.array(triples)]  # the authors' script: a row a question, a column an image
    columns = table.mean(axis=0)
    expected = {
        "mode": "prior",
        "questions": len(triples),
        "score": 100 * float(np.mean(columns[1:3])),
        "prior": 100 * float(columns[0]),
        "all_right": 100 * float((table.sum(axis=1) == 3).mean()),
    }
    close(section_of("vilp", one), expected)


def slow_gqa(one):
    """GQA's script, line by line, over questions that are all balanced."""
    groups, gold, predicted, valid, plausible = one.evidence.groups, {}, {}, [], []
    for key, annotation, text in zip(one.questions.question_ids, one.annotations, one.predictions, strict=True):
        said = text or ""
        group = groups.global_groups.get(key)
        if group is not None:
            for table, answer in ((gold, annotation.majority), (predicted, said)):
                table.setdefault(group, {}).setdefault(answer, 0)
                table[group][answer] += 1
        if key in groups.choices:
            allowed = ["color", "material", "shape"] if key in groups.common else None
            valid.append(said in (allowed or groups.choices[key].valid))
            plausible.append(said in (allowed or groups.choices[key].plausible))
    total, weights = 0, 0
    for group in gold:
        score, size = 0, 0
        for answer in gold[group]:
            e, o = gold[group][answer], predicted[group].get(answer, 0)
            score += (float(o - e) ** 2) / e
            size += gold[group][answer]
        total += score * size
        weights += size
    return {
        "distribution": float(total) / weights / 100 if weights else None,
        "grouped": weights,
        "validity": 100 * sum(valid) / len(valid) if valid else None,
        "plausibility": 100 * sum(plausible) / len(plausible) if plausible else None,
        "chosen": len(valid),
    }


@many
@given(answered(), st.data())
def test_gqa_answers(section_of, given_answers, data):
    truths, predictions = given_answers
    keys = [f"0{row}" for row in range(len(truths))]
    some = st.frozensets(words, max_size=3)
    groups = Groups(
        global_groups=data.draw(st.dictionaries(st.sampled_from(keys), st.sampled_from(["animal", "color"]))),
        common=data.draw(st.frozensets(st.sampled_from(keys))),
        choices=data.draw(st.dictionaries(st.sampled_from(keys), st.builds(Choices, some, some))),
    )
    one = scored(truths, predictions, keys=keys, groups=groups)
    assert section_of("gqa_answers", one) == slow_gqa(one)  # to the last digit
    assert section_of("gqa_answers", scored(truths, predictions)) is None


def slow_fpvg(one, relevant, irrelevant):
    """By the released script's cases: what becomes of a right or wrong answer with either kind of regions."""
    counts = dict.fromkeys(("good_right", "good_wrong", "bad_right", "bad_wrong"), 0)
    for key, annotation, text in zip(one.questions.question_ids, one.annotations, one.predictions, strict=True):
        if text is None or key not in relevant or key not in irrelevant:
            continue
        truth = annotation.majority
        right, with_relevant, with_irrelevant = (said == truth for said in (text, relevant[key], irrelevant[key]))
        if right:
            counts["good_right" if with_relevant and not with_irrelevant else "bad_right"] += 1
        else:
            stays_wrong = not with_relevant and relevant[key] == text
            changes = with_irrelevant or irrelevant[key] != text
            counts["good_wrong" if stays_wrong and changes else "bad_wrong"] += 1
    total = sum(counts.values())
    if not total:
        return None
    shares = {name: 100 * count / total for name, count in counts.items()}
    return {"questions": total, "good": shares["good_right"] + shares["good_wrong"], **shares}


@many
@given(answered(), st.data())
def test_fpvg(section_of, given_answers, data):
    truths, predictions = given_answers
    some = st.dictionaries(st.sampled_from(range(len(truths))), words)
    relevant, irrelevant = data.draw(some), data.draw(some)
    one = scored(truths, predictions, restricted=Restricted(relevant, irrelevant))
    expected = slow_fpvg(one, relevant, irrelevant)
    section = section_of("fpvg", one)
    if expected is None:
        assert section is None
    else:
        close(section, expected)


@many
@given(answered(), st.data())
def test_means_over_subsets(section_of, given_answers, data):
    truths, predictions = given_answers
    part = st.lists(st.sampled_from(range(len(truths))), unique=True, min_size=1)
    subsets = data.draw(st.dictionaries(st.sampled_from("abc"), part, min_size=1))
    one = scored(truths, predictions, means={"mean": subsets})
    accuracies = [share([one.scores[row] for row in rows], rows) for rows in subsets.values()]
    expected = {"subsets": list(subsets), "questions": sum(map(len, subsets.values()))}
    close(section_of("subset_means", one)["mean"], {"accuracy": sum(accuracies) / len(accuracies), **expected})
    assert section_of("subset_means", scored(truths, predictions)) is None


def test_raw_scores_of_free_form_answers(section_of):
    raw = {0: "It is red.", 1: "blue", 2: "2"}
    one = scored(["red", "blue", "3"], ["red", "blue", "2"], raw=raw)
    section = section_of("free_form", one)
    close(section, {"questions": 3, "changed": 100 / 3, "raw": 100 / 3, "raw_exact": 100 / 3})


def test_ids_that_repeat_are_told_apart(section_of):
    """One question about two images, as in the released files: the group metrics see two questions."""
    questions = [Question(7, image, "Is it?") for image in ("x", "y")]
    annotations = [
        Annotation(7, image, (Answer(text, "", 1),), "is", "yes/no", text)
        for image, text in zip("xy", ("yes", "no"), strict=True)
    ]
    asked = with_own_ids(QuestionSet(questions, annotations, {}))
    ids = asked.questions.question_ids
    assert ids == ["7@x", "7@y"]
    assert asked.keys == {(7, "x"): "7@x", (7, "y"): "7@y"}
    one = Scored(
        asked.questions,
        ["yes", "yes"],
        np.array([1.0, 0.0]),
        "exact",
        Evidence(groups=Groups(minimal_pairs=[tuple(ids)])),
    )
    assert section_of("minimal_pairs", one)["one_right"] == 100


ON_CARDS = {
    "consensus": Groups(rephrasings=[(0, 1, 2, 3)]),
    "natural_bench": Groups(quads=[Quad(0, 1, 2, 3)]),
    "carets": Groups(contrasts=[(0, 1)]),
    "minimal_pairs": Groups(minimal_pairs=[(0, 1)]),
    "vilp": Groups(triples=[Triple(0, 1, 2)], mode="fact"),
    "gqa_answers": Groups(global_groups={0: "color"}),
}


@pytest.mark.parametrize("name", sorted(ON_CARDS))
def test_what_terminal_and_card_show(name):
    section = BREAKDOWNS[name].of(scored(["red"] * 4, ["red", "red", "blue", None], groups=ON_CARDS[name]))
    assert section.lines("exact")
    shown = section.on_card()
    assert shown
    assert all(one.questions for one in shown.values())
    assert json.dumps(section.to_json(), allow_nan=False)
