"""What images add to the uncertainty of metrics over groups: a transcription, resampling, and every metric's own."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.eval.breakdown import BREAKDOWNS
from vqa_gs.eval.evidence import Evidence, Restricted, Scored
from vqa_gs.eval.group_breakdown import ratio_error

from vqa_gs.data.groups import Groups, Quad, Triple
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet

GROUPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 5)), max_size=30)


def slowly(groups):
    """The formula as the book has it, over totals by cluster."""
    totals = {}
    for part, whole, cluster in groups:
        if whole:
            y, x = totals.get(cluster, (0, 0))
            totals[cluster] = y + part, x + whole
    if len(totals) < 2:
        return None
    ratio = sum(y for y, _ in totals.values()) / sum(x for _, x in totals.values())
    count, mean = len(totals), sum(x for _, x in totals.values()) / len(totals)
    variance = sum((y - ratio * x) ** 2 for y, x in totals.values()) / (count - 1)
    return 100 * math.sqrt(variance / count) / mean, count


@settings(max_examples=200, deadline=None)
@given(groups=GROUPS)
def test_against_the_formula(groups):
    groups = [(min(part, whole), whole, cluster) for part, whole, cluster in groups]
    found, expected = ratio_error(*np.array(groups, np.int64).reshape(-1, 3).T), slowly(groups)
    if expected is None:
        assert found is None
    else:
        assert found == (pytest.approx(expected[0], abs=1e-9), expected[1])


def test_against_resampled_images():
    rng = np.random.default_rng(0)
    image = np.sort(rng.integers(0, 150, 500))
    easy = rng.random(150)[image]
    whole = rng.integers(1, 3, 500)
    part = rng.binomial(whole, easy)
    found = ratio_error(part, whole, image)
    by_image = np.array([(part[image == one].sum(), whole[image == one].sum()) for one in np.unique(image)])
    drawn = by_image[rng.integers(0, len(by_image), (4000, len(by_image)))].sum(axis=1)
    assert found.error == pytest.approx((100 * drawn[:, 0] / drawn[:, 1]).std(), rel=0.05)
    assert found.error > 1.2 * ratio_error(part, whole, np.arange(500)).error  # alone they would seem surer


def answered(count, seed):
    """Answers to questions about images of four questions each, right by chance."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 2, count).astype(np.float64)
    questions = [Question(key, f"image {key // 4}", "What?") for key in range(count)]
    annotations = [Annotation(key, f"image {key // 4}", (Answer("a", "", 1),), "w", "o", "a") for key in range(count)]
    answers = ["a" if score else "b" for score in scores]
    return questions, annotations, answers, scores


FOURS = [tuple(range(at, at + 4)) for at in range(0, 120, 4)]


@pytest.mark.parametrize(("name", "evidence"), [
    ("consensus", Evidence(groups=Groups(rephrasings=FOURS))),
    ("natural_bench", Evidence(groups=Groups(quads=[Quad(*four) for four in FOURS]))),
    ("minimal_pairs", Evidence(groups=Groups(minimal_pairs=[four[:2] for four in FOURS]))),
    ("carets", Evidence(groups=Groups(contrasts=[four[1:3] for four in FOURS], contrast_kind="invariance"))),
    ("vilp", Evidence(groups=Groups(triples=[Triple(*four[:3]) for four in FOURS], mode="fact"))),
    ("rad", Evidence(originals={four[3]: float(at % 3 > 0) for at, four in enumerate(FOURS)})),
    ("fpvg", Evidence(restricted=Restricted(dict.fromkeys(range(120), "a"), dict.fromkeys(range(120), "b")))),
])  # fmt: skip
def test_every_group_metric_has_the_error_of_its_measures(name, evidence):
    questions, annotations, answers, scores = answered(120, 3)
    section = BREAKDOWNS[name].of(Scored(QuestionSet(questions, annotations, {}), answers, scores, "exact", evidence))
    again = BREAKDOWNS[name].from_json(msgspec.json.decode(msgspec.json.encode(section.to_json())))
    assert again == section
    shown = section.on_card()
    assert shown
    for measure, found in shown.items():
        error, images = found.sampling
        assert images == {"rad": 20}.get(name, 30), measure
        # Of one measure a group, the error is that of a mean of shares.
        share = found.value / 100
        most = 100 * math.sqrt(share * (1 - share) / (images - 1))
        assert 0 <= error <= most * 1.0001 + 1e-9, measure
    if name == "minimal_pairs":
        assert shown["pairs, both right"].sampling[0] == pytest.approx(most)


def test_a_metric_about_one_image_has_none():
    questions, annotations, answers, scores = answered(4, 0)
    evidence = Evidence(groups=Groups(rephrasings=[(0, 1, 2, 3)]))
    found = BREAKDOWNS["consensus"].of(
        Scored(QuestionSet(questions, annotations, {}), answers, scores, "exact", evidence)
    )
    assert all(one.sampling is None for one in found.on_card().values())
    assert "spread" not in found.to_json()
