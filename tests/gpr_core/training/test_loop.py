import os
import signal
import subprocess
import sys
import textwrap
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gpr_core.support.errors import GateError
from gpr_core.support.progress import Progress
from gpr_core.training.checkpointing import CHECKPOINT_FILE
from gpr_core.training.config import OptimizerConfig
from gpr_core.training.loop import ShareLoss, Task, train

CONFIG = OptimizerConfig(learning_rate=0.01, checkpoint_every=3)


def make_task(
    model: nn.Module, *, stop_at: int = -1, loss_factor: float = 1.0, num_shares: int = 1
) -> Task:
    """Noisy regression whose draws come from torch's global stream, as dropout does."""

    def loss_at(update: int, share: int) -> ShareLoss:
        if update == stop_at:
            raise KeyboardInterrupt
        inputs = torch.randn(8, 4)
        loss = (nn.functional.dropout(model(inputs), 0.5) - inputs.sum(1, keepdim=True)).square()
        loss = loss.mean() * loss_factor
        return ShareLoss(loss, {"twice": 2 * loss.detach().double()}, 8)

    return Task(
        stage="test",
        seed=3,
        num_updates=10,
        num_shares=num_shares,
        columns=("twice",),
        modules={"model": model},
        parameter_groups=(list(model.parameters()),),
        no_sums={"twice": torch.zeros((), dtype=torch.float64)},
        loss_at=loss_at,
        observe=lambda sums: {"twice": float(sums["twice"])},
        after_update=lambda update: None,
    )


def make_model() -> nn.Module:
    model = nn.Linear(4, 1)
    nn.init.constant_(model.weight, 0.1)
    nn.init.constant_(model.bias, 0.0)
    return model


def run(task: Task, scratch: Path):
    return train(task, CONFIG, scratch=scratch, progress=Progress("test"))


@pytest.mark.parametrize("stop_at", [1, 3, 5, 8])
def test_an_interrupted_run_ends_with_the_same_weights_and_curve(
    tmp_path: Path, stop_at: int
) -> None:
    straight, broken = make_model(), make_model()
    curve = run(make_task(straight), tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        run(make_task(broken, stop_at=stop_at), tmp_path / "broken")
    resumed = make_model()
    resumed_curve = run(make_task(resumed), tmp_path / "broken")
    assert torch.equal(straight.weight, resumed.weight)
    assert torch.equal(straight.bias, resumed.bias)
    assert curve.equals(resumed_curve)


def test_the_curve_has_one_row_per_update(tmp_path: Path) -> None:
    curve = run(make_task(make_model()), tmp_path)
    assert curve.column_names == ["update", "learning_rate", "gradient_norm", "loss", "twice"]
    assert curve["update"].to_pylist() == list(range(10))
    twice = [2 * loss for loss in curve["loss"].to_pylist()]
    assert curve["twice"].to_pylist() == pytest.approx(twice)


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    model = make_model()
    run(make_task(model), tmp_path)
    again = make_model()
    run(make_task(again, stop_at=9), tmp_path)
    assert torch.equal(model.weight, again.weight)


def test_a_loss_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="update 0 has loss nan"):
        run(make_task(make_model(), loss_factor=float("nan")), tmp_path)


def test_the_model_is_left_in_evaluation_mode(tmp_path: Path) -> None:
    model = make_model()
    run(make_task(model), tmp_path)
    assert not model.training


def test_groups_are_clipped_apart_and_vectors_are_not_decayed(tmp_path: Path) -> None:
    quiet, loud = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    seen: list[tuple[float, float]] = []
    both = nn.ModuleDict({"quiet": quiet, "loud": loud})

    def note(update: int) -> None:
        seen.append((float(quiet.weight.grad), float(loud.weight.grad)))

    task = Task(
        stage="clip",
        seed=0,
        num_updates=1,
        num_shares=1,
        columns=(),
        modules={"model": both},
        parameter_groups=([quiet.weight], [loud.weight]),
        no_sums={},
        loss_at=lambda update, share: ShareLoss(
            0.5 * quiet.weight.sum() + 1000.0 * loud.weight.sum(), {}, 1
        ),
        observe=lambda sums: {},
        after_update=note,
    )
    run(task, tmp_path)
    assert seen == [(pytest.approx(0.5), pytest.approx(1.0, abs=1e-5))]


def make_shared_task(model: nn.Module, num_shares: int) -> Task:
    """Regression on eight fixed rows, read in shares of other sizes; the last share is empty."""
    inputs = torch.linspace(0, 1, 32).view(8, 4)

    def loss_at(update: int, share: int) -> ShareLoss | None:
        rows = torch.arange(8).tensor_split(num_shares)[share]
        if not len(rows):
            return None
        errors = model(inputs[rows]) - inputs[rows].sum(1, keepdim=True)
        loss = errors.square().sum() / 8
        return ShareLoss(loss, {"sum": errors.detach().double().sum()}, len(rows))

    return replace(
        make_task(model),
        num_shares=num_shares,
        columns=("sum",),
        no_sums={"sum": torch.zeros((), dtype=torch.float64)},
        loss_at=loss_at,
        observe=lambda sums: {"sum": float(sums["sum"])},
    )


@pytest.mark.parametrize("num_shares", [3, 8, 9])
def test_shares_add_up_to_the_same_updates(tmp_path: Path, num_shares: int) -> None:
    whole, shared = make_model(), make_model()
    expected = run(make_shared_task(whole, 1), tmp_path / "whole")
    found = run(make_shared_task(shared, num_shares), tmp_path / "shared")
    torch.testing.assert_close(shared.weight, whole.weight)
    for name in expected.column_names:
        close = pytest.approx(expected[name].to_pylist(), rel=1e-5, abs=1e-6)
        assert found[name].to_pylist() == close, name


def test_a_share_is_freed_before_the_next_is_read(tmp_path: Path) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    task = make_shared_task(make_model(), 4)

    def loss_at(update: int, share: int) -> ShareLoss | None:
        assert all(one() is None for one in alive)
        result = task.loss_at(update, share)
        kept = result.loss * 1.0
        alive.append(weakref.ref(kept))
        return result._replace(loss=kept)

    run(replace(task, loss_at=loss_at), tmp_path)
    assert len(alive) == 40


def test_shares_draw_from_streams_of_their_own(tmp_path: Path) -> None:
    drawn: list[float] = []
    task = make_shared_task(make_model(), 2)

    def loss_at(update: int, share: int) -> ShareLoss | None:
        drawn.append(float(torch.rand(())))
        return task.loss_at(update, share)

    run(replace(task, loss_at=loss_at), tmp_path)
    assert len(set(drawn)) == 20


KILLED_RUN = textwrap.dedent(
    """
    import os, signal, sys
    from dataclasses import replace
    from pathlib import Path
    from gpr_core.support.progress import Progress
    from gpr_core.training.loop import train
    from tests.gpr_core.training.test_loop import CONFIG, make_model, make_task

    folder, num_shares = Path(sys.argv[1]), int(sys.argv[2])
    plain = make_task(make_model(), num_shares=num_shares)

    def killed_in_the_last_share_of_update_7(update, share):
        if (update, share) == (7, num_shares - 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return plain.loss_at(update, share)

    task = replace(plain, loss_at=killed_in_the_last_share_of_update_7)
    train(task, CONFIG, scratch=folder, progress=Progress("test"))
    """
)


@pytest.mark.parametrize("num_shares", [1, 4])
def test_a_run_killed_by_the_system_ends_with_the_same_weights(
    tmp_path: Path, num_shares: int
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path / "killed"), str(num_shares)]
    ended = subprocess.run(command, check=False, env=environment)
    assert ended.returncode == -signal.SIGKILL
    after_kill = load_file(tmp_path / "killed" / CHECKPOINT_FILE)
    assert int(after_kill["progress.update"]) == 6
    for folder in ("killed", "straight"):
        run(make_task(make_model(), num_shares=num_shares), tmp_path / folder)
    straight = load_file(tmp_path / "straight" / CHECKPOINT_FILE)
    resumed = load_file(tmp_path / "killed" / CHECKPOINT_FILE)
    assert straight.keys() == resumed.keys()
    for name, tensor in straight.items():
        assert torch.equal(tensor, resumed[name]), name
