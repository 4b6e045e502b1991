"""The switch to oneDNN is used only where it is accurate, and is put back."""

import numpy as np
import pytest
import torch

from gpr_core.support import matmul
from gpr_core.support.matmul import (
    bfloat16_products,
    fast_float32_matmul,
    has_bfloat16_products,
    is_onednn_accurate,
    one_torch_thread,
)


def setting():
    return torch.backends.mkldnn.matmul.fp32_precision


def test_an_accurate_processor_gets_the_switch_and_it_is_put_back(monkeypatch):
    monkeypatch.setattr(matmul, "is_onednn_accurate", lambda: True)
    before = setting()

    @fast_float32_matmul()
    def fail():
        assert setting() == "bf16"
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert setting() == before


def test_an_inaccurate_processor_keeps_its_setting(monkeypatch):
    monkeypatch.setattr(matmul, "is_onednn_accurate", lambda: False)
    before = setting()
    with fast_float32_matmul():
        assert setting() == before


def test_products_inside_the_block_have_float32_accuracy():
    stream = np.random.Generator(np.random.PCG64(0))
    left, right = stream.normal(size=(2, 300, 64)).astype(np.float32)
    with fast_float32_matmul():
        found = (torch.from_numpy(left) @ torch.from_numpy(right).T).numpy()
    assert matmul._relative_error(found, left, right) < 1e-6


def test_the_probe_tells_float32_from_bfloat16():
    stream = np.random.Generator(np.random.PCG64(1))
    left, right = stream.normal(size=(2, 64, 32)).astype(np.float32)
    single = left @ right.T
    rough = torch.from_numpy(left).bfloat16() @ torch.from_numpy(right).bfloat16().T
    assert matmul._relative_error(single, left, right) < matmul._LARGEST_ERROR
    assert matmul._relative_error(rough.float().numpy(), left, right) > matmul._LARGEST_ERROR


def test_the_probe_leaves_the_setting_alone():
    before = setting()
    is_onednn_accurate.cache_clear()
    is_onednn_accurate()
    assert setting() == before


def test_torch_uses_one_thread_inside_the_block_only():
    before = torch.get_num_threads()

    @one_torch_thread()
    def fail():
        assert torch.get_num_threads() == 1
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("is_there", [True, False])
def test_bfloat16_is_used_only_where_the_processor_has_it(monkeypatch, is_there):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_there)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert has_bfloat16_products() == is_there
    x_VV = torch.ones(2, 2)
    with bfloat16_products():
        product_VV = x_VV @ x_VV
    assert product_VV.dtype == (torch.bfloat16 if is_there else torch.float32)
    assert (x_VV @ x_VV).dtype == torch.float32
