import json

import numpy as np
from vqa_gs.pair_builders.describe import describe, render
from vqa_gs.pair_builders.table import PairTable, concatenate


def test_description(make_questions):
    questions = make_questions(
        [
            (1, 10, "Is it red?", "yes"),
            (2, 11, "Is it red?", "no"),
            (3, 12, "What colour?", "Red."),
            (4, 12, "?", "x"),
        ]
    )
    edited = make_questions([("e", "10_e", "Is it red?", "no")], "edited.json")
    table = concatenate(
        [
            PairTable.of_one_kind(
                "same-question",
                [1, 1, 3],
                ["e", "e", "lost"],
                alignment="matched",
                rows=[[(0, 0), (1, -1)], [(0, 1)], [(0, 0)]],
                distance=[0.1, 0.2, np.nan],
                settings={"partners": 3},
                sources={"questions.json": "ab" * 32},
            ),
            PairTable.of_one_kind("masked", [3], ["x"], masks=[[0, 1]], answer_b=[""]),
        ]
    )
    summary = describe(table, questions, edited)
    json.dumps(summary, allow_nan=False)
    assert summary["pairs"] == 4
    assert summary["kinds"] == {"same-question": 3, "masked": 1}
    assert summary["alignments"] == {"identity": 1, "matched": 3, "sparse": 0}
    assert summary["questions"] == 5
    assert (summary["known_questions"], summary["total_questions"], summary["unknown_questions"]) == (3, 5, 2)
    assert summary["most_pairs_of_a_question"] == 2
    assert summary["rows"] == {"mean": 4 / 3, "without_counterpart": 0.25}
    assert summary["masked"] == 1
    assert summary["per_question_type"] == {"is it": 2, "what colour?": 2}
    assert summary["per_answer_type"] == {"yes/no": 2, "other": 2}
    assert summary["frequent_answers"] == {"yes": 2, "red": 2, "no": 2}
    assert sum(summary["distance"]["counts"]) == 2
    assert summary["distance"]["unknown"] == 2
    text = render(summary)
    assert text.startswith("4 pairs of 5 questions, 3 of 5 given (60.0 %)\n2 questions are in none of the files")
    assert "is it" in text
    assert "same-question made with {'partners': 3}" in text
    assert "distance unknown: 2" in text
    assert max(map(len, text.splitlines())) < 120


def test_one_question_at_both_ends_is_one_pair():
    table = PairTable.of_one_kind("masked", [1], [1], masks=[[0, 1]])
    assert describe(table)["most_pairs_of_a_question"] == 1


def test_long_lists_are_cut_in_the_text_only(make_questions):
    questions = make_questions([(n, n, f"word{n} is", "yes") for n in range(40)])
    summary = describe(PairTable.of_one_kind("x", range(20), range(20, 40)), questions)
    assert len(summary["per_question_type"]) == 20
    assert "  and 5 more" in render(summary)


def test_an_empty_table():
    summary = describe(PairTable.of_one_kind("same-question", [], []))
    assert render(summary).startswith("0 pairs of 0 questions\n")
