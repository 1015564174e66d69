"""What is right on the CPU is right on a GPU: shared images, features on the device, a whole run."""

import json

import numpy as np
import pytest
import torch

from tests.run_settings import config_of, task_of
from vqa_gs.pipeline.image_plan import ImagePlan
from vqa_gs.tasks.vqa.batches import BatchReader
from vqa_gs.training.loop import train
from vqa_gs.training.step import TrainingStep

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

TERMS = {
    "gs": {"gradient_supervision": {"weight": 1.0}},
    "closed form": {"gradient_supervision": {"weight": 1.0, "cost": "closed_form"}},
    "mixin": {"expert": {"weight": 1.0, "mix": "learned"}},
}


@pytest.mark.parametrize("resident", ["none", "device"])
@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("architecture", ["updn", "mcan"])
def test_gradients_are_those_of_the_cpu(crowded, architecture, terms, resident):
    if architecture == "mcan" and terms is TERMS["closed form"]:
        pytest.skip("MCAN has no closed form")
    small = {"hidden": 16, "word_dim": 8}
    dropout = {"dropout_attention": 0.0, "dropout_classifier": 0.0} if architecture == "updn" else {"dropout": 0.0}
    given = {key: value for key, value in crowded.items() if key != "objectives"}
    found = []
    for device in ("cpu", "cuda"):
        changes = {"training__device": device, "data__resident": resident if device == "cuda" else "none"}
        model = {**small, **dropout, **({"heads": 2, "reduction": 8, "joint": 8} if architecture == "mcan" else {})}
        config = config_of(given, architecture=architecture, model=model, objectives=terms, **changes)
        task = task_of(given, architecture=architecture, model=model, objectives=terms, **changes)
        network = task.build_model()
        step = TrainingStep(network, config.check(), type(task), task.statistics(network)).to(device).train()
        ordinary, pairs, *_ = ImagePlan(task.image_of(), 4, task.pairs, 40, 8, 3).step(0)
        reader = BatchReader(task.data, task.store)
        batch = reader.read(ordinary, pairs, rows=60.0, end_rows=16.0, epoch=5.0, share=architecture == "updn")
        loss, *_ = step(batch.to(torch.device(device)))
        loss.backward()
        found.append((loss.detach().cpu(), {n: p.grad.cpu() for n, p in step.named_parameters() if p.grad is not None}))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-3, atol=1e-4)
    largest = max(float(gradient.abs().max()) for gradient in found[0][1].values())
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-2, atol=1e-4 * largest)


def test_a_run_keeps_features_on_the_gpu(crowded, tmp_path):
    run = train(config_of(crowded, training__device="cuda", data__resident="auto"), tmp_path / "run", quiet=True)
    record = json.loads((run / "run.json").read_text())
    assert record["features_resident"].startswith("on cuda")
    assert record["images_shared"] is True
    assert np.isfinite(json.loads((run / "metrics" / "ood_test.json").read_text())["overall"])
