import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from gpr_core.support.distributed import ALONE, Processes, joined_processes, place_of_process
from gpr_core.support.errors import ArtifactError
from tests.gpr_core.support.torchrun import torchrun


def test_alone_everything_is_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_processes("cpu") as processes:
        assert processes == ALONE == place_of_process()
    values = torch.tensor([1.0, 2.0])
    assert processes.sum(values) is values
    layer = nn.Linear(2, 1)
    layer.weight.grad = torch.ones(1, 2)
    processes.sum_gradients(layer.parameters())
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]
    assert layer.bias.grad is None
    processes.check_equal("anything", values)


def test_the_place_comes_from_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    place = place_of_process()
    assert place == Processes(2, 3)
    assert not place.is_first
    assert list(place.own(6)) == [4, 5]


@pytest.mark.parametrize(("device", "backend"), [("cpu", "gloo"), ("cuda", "nccl")])
def test_a_gpu_each_talks_by_nccl_and_processors_by_gloo(
    monkeypatch: pytest.MonkeyPatch, device: str, backend: str
) -> None:
    calls: list[object] = []
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "set_device", lambda idx: calls.append(f"GPU {idx}"))
    monkeypatch.setattr(torch.distributed, "init_process_group", calls.append)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: calls.append("left"))
    with joined_processes(device) as processes:
        assert processes == Processes(5, 8)
    assert calls == [*(["GPU 1"] if device == "cuda" else []), backend, "left"]


def test_two_processes_add_up_and_notice_differences(tmp_path: Path) -> None:
    done = torchrun(__file__, tmp_path)
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert (tmp_path / f"{rank}.txt").read_text() == "done"


def work_together(folder: Path) -> None:
    """What each of the two processes does."""
    with joined_processes("cpu") as processes:
        rank = processes.rank
        assert processes.count == 2
        assert processes.sum(torch.tensor([1.0 + rank, 5.0])).tolist() == [3.0, 10.0]
        everywhere, once, nowhere = (nn.Parameter(torch.zeros(2, 2)) for _ in range(3))
        everywhere.grad = torch.full((2, 2), 1.0 + rank)
        if rank == 1:
            once.grad = torch.ones(2, 2)
        processes.sum_gradients([everywhere, once, nowhere])
        assert everywhere.grad.tolist() == [[3.0, 3.0], [3.0, 3.0]]
        assert once.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]
        assert nowhere.grad is None
        processes.check_equal("state", torch.tensor([7.0, 0.1], dtype=torch.float64))
        with pytest.raises(ArtifactError, match=rf"state of process {rank} is \[{rank}.0\]"):
            processes.check_equal("state", torch.tensor([rank], dtype=torch.float64))
        (folder / f"{rank}.txt").write_text("done")


if __name__ == "__main__":
    work_together(Path(sys.argv[1]))
