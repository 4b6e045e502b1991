"""Tests of device resolution."""

import pytest
import torch

from gpr_core.support.device import resolve_device
from gpr_core.support.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "has_gpu", "expected"),
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_takes_the_gpu_where_there_is_one(monkeypatch, name, has_gpu, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert resolve_device(name) == expected


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device is cuda, but torch finds no GPU"):
        resolve_device("cuda")


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="found device 'gpu', expected one of: auto, cpu, cuda"):
        resolve_device("gpu")
