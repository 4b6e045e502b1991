from pathlib import Path

import pytest
import torch
from torch import nn

from gpr_core.support.errors import ArtifactError
from gpr_core.training.checkpointing import CHECKPOINT_FILE, load_training, save_training


def make_model(value: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(value)
        model.bias.fill_(value)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def test_a_restored_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, optimizer = make_model(1.0)
    one_step(model, optimizer)
    curve = torch.tensor([[0.0, 3.5]], dtype=torch.float64)
    save_training(tmp_path, update=1, modules={"model": model}, optimizer=optimizer, curve=curve)
    one_step(model, optimizer)
    other, other_optimizer = make_model(9.0)
    resumed = load_training(tmp_path, modules={"model": other}, optimizer=other_optimizer)
    assert resumed is not None
    assert resumed[0] == 1
    assert resumed[1].tolist() == [[0.0, 3.5]]
    one_step(other, other_optimizer)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_without_a_file_there_is_nothing_to_resume(tmp_path: Path) -> None:
    model, optimizer = make_model(1.0)
    assert load_training(tmp_path, modules={"model": model}, optimizer=optimizer) is None


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    model, optimizer = make_model(1.0)
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"not safetensors")
    with pytest.raises(ArtifactError, match="training checkpoint cannot be resumed"):
        load_training(tmp_path, modules={"model": model}, optimizer=optimizer)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    model, optimizer = make_model(1.0)
    save_training(
        tmp_path,
        update=0,
        modules={"model": model},
        optimizer=optimizer,
        curve=torch.zeros(0, 1, dtype=torch.float64),
    )
    with pytest.raises(ArtifactError, match="cannot be resumed"):
        load_training(tmp_path, modules={"model": nn.Linear(3, 1)}, optimizer=optimizer)
