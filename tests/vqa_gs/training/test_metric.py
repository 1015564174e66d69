import importlib
import importlib.util

import numpy as np
import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing
from vqa_gs.eval.rules import score_questions

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import Annotation, Answer

HAS_TORCHMETRICS = importlib.util.find_spec("torchmetrics") is not None


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


def load(monkeypatch, plain):
    """Returns the metric with or without torchmetrics."""
    module = importlib.import_module("vqa_gs.training.metric")
    if plain:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    elif not HAS_TORCHMETRICS:
        pytest.skip("torchmetrics is not installed")
    return importlib.reload(module).VQAAccuracy


@pytest.fixture(autouse=True)
def reloaded():
    yield
    importlib.reload(importlib.import_module("vqa_gs.training.metric"))


@pytest.mark.parametrize("plain", [True, False])
def test_batches_sum_to_the_whole(monkeypatch, plain):
    metric = load(monkeypatch, plain)(annotated())
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


@pytest.mark.parametrize("plain", [True, False])
def test_broken_down_by_answer_type(monkeypatch, plain):
    metric = load(monkeypatch, plain)(annotated(), "min-n-over-3", per="answer_type")
    metric.update(range(20), ["red"] * 20)
    scores = score_questions(annotated(), ["red"] * 20, "min-n-over-3")
    found = {name: value.item() for name, value in metric.compute().items()}
    closed = np.arange(20) % 3 == 0
    assert found == pytest.approx(
        {"overall": 100 * scores.mean(), "other": 100 * scores[~closed].mean(), "yes/no": 100 * scores[closed].mean()}
    )


def test_refused():
    from vqa_gs import VQAAccuracy

    metric = VQAAccuracy(annotated())
    with pytest.raises(UsageError, match="1 answers to 2"):
        metric.update([1, 2], ["red"])
    with pytest.raises(UsageError, match="question 99 is unknown"):
        metric.update([99], ["red"])


@pytest.mark.skipif(not HAS_TORCHMETRICS, reason="torchmetrics is not installed")
def test_it_is_a_torchmetrics_metric():
    import torchmetrics

    from vqa_gs import VQAAccuracy

    metric = VQAAccuracy(annotated())
    assert isinstance(metric, torchmetrics.Metric)
    collection = torchmetrics.MetricCollection({"vqa": metric})
    collection.update([0], ["red"])
    assert set(collection.compute()) == {"vqa"}


def _worker(rank, plain, file, out):
    if plain:
        importlib.util.find_spec = lambda name, package=None: None
    from vqa_gs.training.metric import VQAAccuracy

    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    metric = VQAAccuracy(annotated())
    # Nine questions on two processes: the sampler pads the second one's share with question 0.
    share = [[0, 2, 4, 6, 8], [1, 3, 5, 7, 0]][rank]
    metric.update(share, ["red" if key % 2 else "blue" for key in share])
    values = [metric.compute().item() for _ in range(2)]
    metric.update([10], ["red"])
    torch.save([*values, metric.compute().item()], f"{out}{rank}")
    dist.destroy_process_group()


@pytest.mark.parametrize("plain", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_processes_score_what_one_would(plain, tmp_path):
    if not plain and not HAS_TORCHMETRICS:
        pytest.skip("torchmetrics is not installed")
    multiprocessing.spawn(_worker, (plain, tmp_path / "sync", tmp_path / "out"), nprocs=2)
    rows = [*range(9), 10]
    answers = ["red" if key % 2 or key == 10 else "blue" for key in rows]
    scores = 100 * score_questions([annotated()[row] for row in rows], answers)
    for rank in range(2):
        first, again, later = torch.load(tmp_path / f"out{rank}")
        assert first == again == pytest.approx(scores[:9].mean(), abs=1e-12)
        assert later == pytest.approx(scores.mean(), abs=1e-12)
