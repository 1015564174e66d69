"""Files of texts become examples, vocabularies and pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.pair_builders.alignment.tokens import align_tokens

from tests.run_settings import task_of
from tests.vqa_gs.tasks.conftest import write_tsv
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.labelled_texts import plain_words, read_labelled_texts
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.text_alignment import TextAlignment
from vqa_gs.pipeline.text_data import Columns, TextData, load_texts
from vqa_gs.tasks import TASKS

CAD = Path(__file__).parents[3].parent / "shared" / "data" / "cad"
needs_cad = pytest.mark.skipif(not CAD.is_dir(), reason="the counterfactually edited texts are not there")


def columns_of(task):
    return Columns(TASKS[task].columns, TASKS[task].label, TASKS[task].labels)


def text_of(data, row):
    return tuple(
        " ".join(data.words.words[token] for token in part[row].tolist() if token) for part in data.examples.tokens
    )


def test_pairs_of_groups_are_an_original_and_its_edit(sentiment):
    data, sources = load_texts(TextData(**sentiment["data"]), columns_of("sentiment"), 0)
    assert (data.ordinary, len(data.pairs), len(data.examples)) == (40, 40, 120)
    assert set(sources) == {sentiment["data"]["train"], *sentiment["data"]["pairs"]}
    for a, b in data.pairs:
        (own,), (other,) = text_of(data, a), text_of(data, b)
        assert data.examples.labels[a] != data.examples.labels[b]
        assert len(set(own.split()) ^ set(other.split()) - {"a"}) == 2


def test_pairs_in_the_order_of_the_originals(inference):
    data, _ = load_texts(TextData(**inference["data"]), columns_of("nli"), 0)
    assert len(data.pairs) == 60
    for a, b in data.pairs:
        assert a < 15 <= b
        assert sum(x == y for x, y in zip(text_of(data, a), text_of(data, b), strict=True)) == 1


def test_first_pairs_of_several_files_are_of_all_of_them(inference):
    data, _ = load_texts(TextData(**inference["data"], max_pairs=20), columns_of("nli"), 0)
    assert len(data.pairs) == 20
    assert 0 < (data.pairs[:, 1] < 15 + 30).sum() < 20


def test_shuffled_partners_keep_labels_and_texts_but_no_relation(sentiment):
    given = sentiment["data"]
    plain, _ = load_texts(TextData(**given), columns_of("sentiment"), 0)
    dealt, _ = load_texts(TextData(**given, partners="shuffled"), columns_of("sentiment"), 0)
    assert (plain.pairs[:, 0] == dealt.pairs[:, 0]).all()
    assert (plain.pairs[:, 1] != dealt.pairs[:, 1]).all()
    assert sorted(plain.pairs[:, 1]) == sorted(dealt.pairs[:, 1])
    labels = plain.examples.labels
    assert (labels[plain.pairs[:, 1]] == labels[dealt.pairs[:, 1]]).all()


def test_words_are_of_training_texts_only(sentiment, tmp_path):
    dev = write_tsv(tmp_path / "dev.tsv", ["Sentiment", "Text"], [["Positive", "zzz good"]])
    task = task_of(sentiment, data__iid_val=[dev])
    assert "zzz" not in task.data.words.index
    assert task.validation.examples.tokens[0][0, -2] == 1  # unknown


def test_alignment_by_hand():
    # a: "5 6 7 8", b: "5 9 7"; second text: equal. The batch is narrower than the examples.
    one = torch.tensor([[0, 5, 6, 7, 8], [0, 0, 5, 9, 7], [0, 0, 0, 0, 4]])
    two = torch.tensor([[0, 0, 3, 4], [0, 0, 3, 4], [0, 0, 0, 3]])
    alignment = TextAlignment((one, two), np.array([[2, 1], [0, 1]]))
    batch = one[[0, 1]][:, 1:], two[[0, 1]][:, 1:]
    index_a, moves_a, index_b, moves_b = (part[0].tolist() for part in alignment.of(np.array([1]), batch))
    assert index_a == [1, 2, 3, -1, -1, 5, 6]
    assert moves_a == [True, True, True, True, False, True, True]
    assert index_b == [-1, 0, 1, 2, -1, 5, 6]
    assert moves_b == [False, True, True, True, False, True, True]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_alignment_kept_is_the_alignment_of_the_batch(data):
    lengths = data.draw(st.lists(st.integers(0, 9), min_size=4, max_size=4))
    tokens = torch.zeros(4, 12, dtype=torch.int64)
    for row, length in enumerate(lengths):
        words = data.draw(st.lists(st.integers(1, 4), min_size=length, max_size=length))
        tokens[row, 12 - length :] = torch.tensor(words, dtype=torch.int64)
    pairs = np.array([[0, 1], [2, 3], [3, 0]])
    chosen = np.array(data.draw(st.permutations(range(3))))
    width = data.draw(st.integers(max(1, *lengths), 12))
    batch = tokens[pairs[chosen].T.reshape(-1)][:, 12 - width :]
    expected = align_tokens(batch[:3].numpy(), batch[3:].numpy())
    for found, part in zip(TextAlignment((tokens,), pairs).of(chosen, (batch,)), expected, strict=True):
        np.testing.assert_array_equal(found.numpy(), part)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["Sentiment"], [["Positive"]], "has no column 'Text'"),
        (["Sentiment", "Text"], [["Fine", "x"]], "line 2: the label is 'Fine' .use Negative, Positive"),
        (["Sentiment", "Text"], [["Positive", "x"], ["Positive"]], "line 3: 1 cells where the header has 2"),
        (["Sentiment", "Text"], [["Positive", "  "]], "line 2: a text is empty"),
        (["Sentiment", "Text"], [], "has no rows"),
    ],
)
def test_bad_files_are_one_line(tmp_path, header, rows, message):
    file = write_tsv(tmp_path / "bad.tsv", header, rows)
    with pytest.raises(DataError, match=message) as told:
        read_labelled_texts(file, ("Text",), "Sentiment", ("Negative", "Positive"))
    assert str(told.value).startswith(file)


def test_edits_out_of_order_are_refused(inference, tmp_path):
    lines = Path(inference["data"]["pairs"][0]).read_text().splitlines()
    (tmp_path / "turned.tsv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    given = {**inference["data"], "pairs": [str(tmp_path / "turned.tsv")]}
    with pytest.raises(DataError, match="edits share a text with the original"):
        load_texts(TextData(**given), columns_of("nli"), 0)
    (tmp_path / "short.tsv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match="29 edits of 15 originals"):
        load_texts(TextData(**{**given, "pairs": [str(tmp_path / "short.tsv")]}), columns_of("nli"), 0)


def test_dev_texts_that_are_tested_on_are_refused(sentiment):
    with pytest.raises(DataError, match="is in iid_val too"):
        task_of(sentiment, data__iid_val=[sentiment["data"]["tests"]["ood_paired"]])
    with pytest.raises(UsageError, match="iid_val names no file"):
        TextData("t", [])


def test_words_as_glove_has_them():
    assert plain_words("I DON'T like it!<br /><br />It's \"bad\", really...") == (
        "i do n't like it ! it 's bad really . . ."
    )


@needs_cad
def test_the_papers_own_files():
    folder = CAD / "sentiment"
    paired = str(folder / "combined" / "paired" / "train_paired.tsv")
    data, _ = load_texts(
        TextData(str(folder / "orig" / "train.tsv"), ["-"], pairs=[paired]), columns_of("sentiment"), 0
    )
    assert (data.ordinary, len(data.pairs)) == (1707, 1707)
    assert (data.examples.labels[data.pairs[:, 0]] != data.examples.labels[data.pairs[:, 1]]).all()
    folder = CAD / "NLI"
    edits = [str(folder / kind / "train.tsv") for kind in ("revised_premise", "revised_hypothesis")]
    data, _ = load_texts(TextData(str(folder / "original" / "train.tsv"), ["-"], pairs=edits), columns_of("nli"), 0)
    assert (data.ordinary, len(data.pairs)) == (1666, 6664)
    labels = data.examples.labels[data.pairs]
    assert np.mean(labels[:, 0] != labels[:, 1]) == 1


def test_texts_of_splits_that_are_trained_on_are_counted(inference, tmp_path):
    header, *rows = Path(inference["data"]["train"]).read_text().splitlines()
    dev = Path(inference["data"]["iid_val"][0]).read_text().splitlines()
    edited = Path(inference["data"]["pairs"][0]).read_text().splitlines()[1]
    premise, _, label = rows[1].split("\t")
    half = f"{premise}\tAnother hypothesis.\t{label}"
    mixed = tmp_path / "dev.tsv"
    mixed.write_text("\n".join([*dev, rows[0].upper().replace("CONTRADICTION", "contradiction")
                                .replace("ENTAILMENT", "entailment").replace("NEUTRAL", "neutral"),
                                edited, half, ""]))  # fmt: skip
    task = task_of(inference, data__iid_val=[str(mixed)])
    # The original in capitals and the edit; not what shares its premise alone.
    assert task.facts()["texts_in_training"] == {"iid_val": 2, "ood_premise": 0}
    assert task.notes == ["2 of 18 texts of iid_val are training texts too; they are kept"]
    assert len(task.validation.examples) == 18
    alone = task_of(inference, data__iid_val=[str(mixed)], data__pairs=[])
    assert alone.facts()["texts_in_training"]["iid_val"] == 1


def test_batches_are_of_about_one_length():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 300, 1000)
    plain, sorted_ = Plan(1000, 1000, 32, 32, 3), Plan(1000, 1000, 32, 32, 3, lengths=(lengths, lengths))
    spread = [[np.ptp(lengths[plan.step(step)[1]]) for step in range(31)] for plan in (plain, sorted_)]
    assert np.median(spread[1]) < 0.25 * np.median(spread[0])
    epoch = np.concatenate([sorted_.step(step)[0] for step in range(32)])
    assert sorted(epoch) == list(range(1000))
    first = [lengths[sorted_.step(step)[0]].mean() for step in range(31)]
    assert abs(np.corrcoef(first, range(31))[0, 1]) < 0.5  # batches come in no order of length


def test_few_examples_are_not_sorted():
    lengths = np.arange(60)
    orders = [Plan(60, 0, 32, 0, 3, lengths=given).step(0)[0].tolist() for given in ((None, None), (lengths, None))]
    assert np.ptp(orders[1]) > 50
