import importlib
import sys

import numpy as np
import pytest
import torch
import torchmetrics
from torch import distributed as dist
from torch import multiprocessing
from vqa_gs.eval.rules import score_questions

from vqa_gs import VQAAccuracy
from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import Annotation, Answer


def annotated(count=20):
    rng = np.random.default_rng(0)
    return [
        Annotation(
            key,
            1,
            tuple(Answer(str(rng.choice(["red", "Red.", "blue"])), "yes", number) for number in range(1, 11)),
            "what color is the",
            "other" if key % 3 else "yes/no",
        )
        for key in range(count)
    ]


def test_batches_sum_to_the_whole():
    metric = VQAAccuracy(annotated())
    answers = ["red", "blue"] * 10
    expected = 100 * score_questions(annotated(), answers).mean()
    metric.update(torch.arange(12), answers[:12])
    metric.update(list(range(12, 20)), answers[12:])
    assert metric.compute().item() == pytest.approx(expected, abs=1e-12)
    metric.update([0, 1], answers[:2])  # padding of the last batch
    assert metric.compute().item() == pytest.approx(expected, abs=1e-12)
    metric.reset()
    metric.update([3], [answers[3]])
    assert metric.compute().item() == pytest.approx(100 * score_questions([annotated()[3]], [answers[3]])[0])


def test_broken_down_by_answer_type():
    metric = VQAAccuracy(annotated(), "min-n-over-3", per="answer_type")
    metric.update(range(20), ["red"] * 20)
    scores = score_questions(annotated(), ["red"] * 20, "min-n-over-3")
    found = {name: value.item() for name, value in metric.compute().items()}
    closed = np.arange(20) % 3 == 0
    assert found == pytest.approx(
        {"overall": 100 * scores.mean(), "other": 100 * scores[~closed].mean(), "yes/no": 100 * scores[closed].mean()}
    )


def test_shares_of_a_split_add_up():
    # What torchmetrics does over processes: every state is a plain sum.
    answers = ["red", "blue"] * 10
    whole, *shares = (VQAAccuracy(annotated()) for _ in range(3))
    whole.update(range(20), answers)
    for share, rows in zip(shares, (range(10), range(10, 20)), strict=True):
        share.update(rows, [answers[row] for row in rows])
    shares[0].scores += shares[1].scores
    shares[0].answered += shares[1].answered
    assert shares[0].compute().item() == pytest.approx(whole.compute().item(), abs=1e-12)


def test_refused():
    metric = VQAAccuracy(annotated())
    with pytest.raises(UsageError, match="1 answers to 2"):
        metric.update([1, 2], ["red"])
    with pytest.raises(UsageError, match="question 99 is unknown"):
        metric.update([99], ["red"])


def test_it_is_a_torchmetrics_metric():
    metric = VQAAccuracy(annotated())
    assert isinstance(metric, torchmetrics.Metric)
    collection = torchmetrics.MetricCollection({"vqa": metric})
    collection.update([0], ["red"])
    assert set(collection.compute()) == {"vqa"}


def _worker(rank, file, out):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    metric = VQAAccuracy(annotated())
    # Nine questions on two processes: the sampler pads the second one's share with question 0.
    share = [[0, 2, 4, 6, 8], [1, 3, 5, 7, 0]][rank]
    metric.update(share, ["red" if key % 2 else "blue" for key in share])
    values = [metric.compute().item() for _ in range(2)]
    metric.update([10], ["red"])
    torch.save([*values, metric.compute().item()], f"{out}{rank}")
    dist.destroy_process_group()


def test_without_torchmetrics_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.delitem(sys.modules, "vqa_gs.training.metric")
    with pytest.raises(UsageError, match=r"VQAAccuracy needs torchmetrics \(pip install torchmetrics\)"):
        importlib.import_module("vqa_gs.training.metric")


@pytest.mark.slow
def test_two_processes_score_what_one_would(tmp_path):
    multiprocessing.spawn(_worker, (tmp_path / "sync", tmp_path / "out"), nprocs=2)
    rows = [*range(9), 10]
    answers = ["red" if key % 2 or key == 10 else "blue" for key in rows]
    scores = 100 * score_questions([annotated()[row] for row in rows], answers)
    for rank in range(2):
        first, again, later = torch.load(tmp_path / f"out{rank}")
        assert first == again == pytest.approx(scores[:9].mean(), abs=1e-12)
        assert later == pytest.approx(scores.mean(), abs=1e-12)
