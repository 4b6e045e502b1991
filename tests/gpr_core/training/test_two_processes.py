"""Two processes that `torchrun` starts train the model that one process trains."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.pipeline.gates import GATE_REPORT
from components.pipeline.manifest import MANIFEST, write_manifest
from components.pipeline.registry import find_artifact
from data_contracts.load import contract_hash
from gpr_core.support.distributed import joined_processes
from gpr_core.support.files import read_json, write_json
from gpr_core.support.progress import Progress
from gpr_core.training import loop
from gpr_core.training.checkpointing import CHECKPOINT_FILE
from gpr_core.training.config import MtpConfig, VaftConfig
from gpr_core.training.mtp import Surroundings, pretrain
from gpr_core.training.vaft import fine_tune
from tests.gpr_core.support.torchrun import torchrun
from tests.gpr_core.training.small_corpus import CUTOFF_TS, make_small_corpus, write_small_corpus
from tests.gpr_core.training.test_mtp import ALL_PARTS, CONFIG, make_examples, make_model

PLAIN = replace(CONFIG, model=replace(CONFIG.model, dropout=0.0))
CONFIGS = {"default": CONFIG, "all parts": ALL_PARTS, "no dropout": PLAIN}
KILL = "kill the second process"
VAFT = VaftConfig(optimizer=replace(VaftConfig().optimizer, batch_windows=16))


def train_both(folder: Path, name: str, accumulate: int, processes=None) -> dict[str, torch.Tensor]:
    """Pre-train and fine-tune; gives weights and curves."""
    around = Surroundings(
        seed=0,
        device="cpu",
        cutoff_ts=CUTOFF_TS,
        scratch=folder / "mtp",
        progress=Progress("test"),
        **({} if processes is None else {"processes": processes}),
    )
    config: MtpConfig = CONFIGS[name]
    config = replace(config, optimizer=replace(config.optimizer, accumulate=accumulate))
    vaft = replace(VAFT, optimizer=replace(VAFT.optimizer, accumulate=accumulate))
    model, examples = make_model(config), make_examples()
    curve = pretrain(model, examples, config, around, continues=False)
    after = replace(around, scratch=folder / "vaft")
    fine_tuned = fine_tune(model, examples, config.sequence, vaft, after)
    losses = [torch.from_numpy(one["loss"].to_numpy().copy()) for one in (curve, fine_tuned)]
    return {**model.state_dict(), "curve": torch.cat(losses)}


@pytest.mark.parametrize(
    ("name", "accumulate", "alone"),
    # Alone, twice as many shares draw what both processes draw; without dropout one is enough.
    [
        pytest.param("default", 1, 2, marks=pytest.mark.e2e),
        pytest.param("all parts", 2, 4, marks=pytest.mark.e2e),
        ("no dropout", 1, 1),
    ],
)
def test_two_processes_end_with_the_weights_of_one(
    tmp_path: Path, name: str, accumulate: int, alone: int
) -> None:
    done = torchrun(__file__, tmp_path / "two", name, accumulate)
    assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / "two" / f"{rank}.safetensors") for rank in (0, 1))
    expected = train_both(tmp_path / "one", name, alone)
    for key, tensor in expected.items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], tensor, rtol=1e-3, atol=2e-4, msg=key)
    # The second process was given another folder to write to, and wrote nothing.
    assert (tmp_path / "two" / "mtp" / CHECKPOINT_FILE).exists()
    assert not (tmp_path / "two" / "second").exists()


def test_processes_that_start_from_other_states_are_refused(tmp_path: Path) -> None:
    train_both(tmp_path, "default", 1)
    (tmp_path / "second").mkdir()
    done = torchrun(__file__, tmp_path, "default", 1)
    assert done.returncode != 0
    assert "state before training of process" in done.stderr
    assert "give all processes the same workspace" in done.stderr


@pytest.mark.e2e
def test_two_processes_of_which_one_is_killed_end_with_the_same_bits(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("straight", "killed")}
    for folder in folders.values():
        folder.mkdir()
    (folders["killed"] / KILL).touch()
    assert torchrun(__file__, folders["killed"], "default", 2).returncode != 0
    assert (folders["killed"] / "mtp" / CHECKPOINT_FILE).exists()
    assert not list(folders["killed"].glob("*.safetensors"))
    (folders["killed"] / KILL).unlink()
    ends = []
    for folder in folders.values():
        done = torchrun(__file__, folder, "default", 2)
        assert done.returncode == 0, done.stderr
        ends.append(load_file(folder / "1.safetensors"))
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name


def kill_between_two_shares() -> None:
    """Let this process end by SIGKILL in the middle of update 6."""
    read_share = loop._read_share

    def killed(task, config, update, share):
        if (update, share) == (6, 3):
            os.kill(os.getpid(), signal.SIGKILL)
        return read_share(task, config, update, share)

    loop._read_share = killed


@pytest.mark.e2e
def test_the_step_runs_under_torchrun_and_publishes_once(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    gpr = Path(sys.executable).with_name("gpr")
    command = ["--no-python", gpr, "step", "run", "mtp_pretrain", f"--workspace={workspace}"]
    done = torchrun(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = workspace / "artifacts" / "mtp_checkpoint"
    assert read_json(folder / MANIFEST)["origin"]["processes"] == 2
    assert done.stderr.count("Train all prediction heads") == 1
    two = load_file(folder / "weights.safetensors")
    assert torchrun(*command, processes=1).returncode == 0
    assert "processes" not in read_json(folder / MANIFEST)["origin"]
    for name, tensor in load_file(folder / "weights.safetensors").items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-2, atol=1e-3, msg=name)


def make_workspace(root: Path) -> Path:
    """A workspace with the inputs of pre-training on the small corpus."""
    folders = write_small_corpus(root / "artifacts", make_small_corpus())
    for name, folder in folders.items():
        # As if its tables had been checked: the small corpus is not a whole one.
        checked = [
            {"contract": contract, "contract_hash": contract_hash(contract)}
            for contract in find_artifact(name).contracts.values()
        ]
        write_json(folder / GATE_REPORT, {"gates": [], "contracts": checked})
        write_manifest(folder, step=name, origin={})
    params = {
        "run": {"day": "1970-01-20", "threads": 1, "device": "cpu"},
        "mtp_pretrain": {
            "model": {
                "width": 16,
                "attention_heads": 2,
                "hsd_layers": 1,
                "ptd_layers": 1,
                "num_heads": 2,
                "dropout": 0.0,
            },
            "sequence": {"max_tokens": 32, "new_tokens": 16, "gate_user_share": 0.5},
            "optimizer": {"batch_windows": 8, "learning_rate": 5e-3},
            "epochs": 6,
            "min_head_divergence": 0.0,
        },
    }
    # JSON is YAML.
    write_json(root / "params.yaml", params)
    return root


def work_together(folder: Path, name: str, accumulate: int) -> None:
    """What each of the two processes does."""
    with joined_processes("cpu") as processes:
        # Only a folder that both see can be resumed from; the test of refusal makes another.
        own = folder / "second"
        if processes.rank == 1 and (folder / KILL).exists():
            kill_between_two_shares()
        scratch = own if processes.rank == 1 and own.exists() else folder
        trained = train_both(scratch, name, accumulate, processes)
        save_file(trained, folder / f"{processes.rank}.safetensors")


if __name__ == "__main__":
    work_together(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
