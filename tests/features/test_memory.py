from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from vqa_gs.features.memory import all_finite, empty, reuse


@given(st.sampled_from([np.uint16, np.uint32]).flatmap(lambda kind: arrays.arrays(kind, st.integers(0, 40))))
def test_all_finite_agrees_with_numpy_on_any_bits(bits):
    values = bits.view(f"f{bits.itemsize}")
    assert all_finite(values) == bool(np.isfinite(values).all())


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_bad_number_is_enough(dtype, bad):
    values = np.linspace(-1, 1, 1000).astype(dtype)
    values[:3] = np.finfo(dtype).max, np.finfo(dtype).min, -0.0
    assert all_finite(values)
    values[777] = bad
    assert not all_finite(values)
    assert not all_finite(np.abs(values))


def test_large_memory_is_a_tensor_like_any_other():
    large = empty((1 << 20, 2), torch.float32)
    assert (large.shape, large.dtype, large.is_contiguous()) == ((1 << 20, 2), torch.float32, True)
    large[:] = 3
    part = large[5:7]
    del large
    assert part.sum() == 12
    assert empty((0, 3), torch.float16).shape == (0, 3)


def test_memory_is_used_again_where_it_fits():
    old = empty((1 << 20, 2), torch.float16)
    assert reuse(old, (1 << 19, 4), torch.float16).data_ptr() == old.data_ptr()
    assert reuse(old, (3, 5), torch.float16).data_ptr() == old.data_ptr()
    assert reuse(old, (1 << 20, 3), torch.float16).data_ptr() != old.data_ptr()
    assert reuse(old, (3, 5), torch.float32).data_ptr() != old.data_ptr()
    assert reuse(old[1:], (3, 5), torch.float16).data_ptr() != old[1:].data_ptr()
    assert reuse(None, (3, 5), torch.float16).shape == (3, 5)
