import pytest
import torch

from tests.vqa_gs.training.test_loop import config_of
from vqa_gs.common.errors import UsageError
from vqa_gs.training import hardware


@pytest.mark.parametrize(
    ("wanted", "hidden", "computes", "precision"),
    [
        ("auto", 128, True, "bf16"),
        ("auto", 64, True, "no"),
        ("auto", 1024, False, "no"),
        ("bf16", 64, False, "bf16"),
        ("fp32", 1024, True, "no"),
    ],
)
def test_precision_follows_hardware_and_size(tiny, monkeypatch, wanted, hidden, computes, precision):
    monkeypatch.setattr(hardware, "computes_bf16", lambda device: computes)
    config = config_of(tiny, training__precision=wanted, model__hidden=hidden)
    assert hardware.make_accelerator(config).mixed_precision == precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_that_is_not_there_is_refused(tiny):
    with pytest.raises(UsageError, match="no CUDA device is there"):
        hardware.make_accelerator(config_of(tiny, training__device="cuda"))
    assert hardware.make_accelerator(config_of(tiny, training__device="auto")).device.type == "cpu"
