import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpr_core.models.config import ExpertsConfig, ModelConfig, RecursionConfig, RefiningConfig
from gpr_core.models.gpr import GPR
from gpr_core.support import matmul
from gpr_core.support.distributed import Processes
from gpr_core.support.errors import ConfigError
from gpr_core.support.matmul import has_bfloat16_products
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training import loop
from gpr_core.training.checkpointing import CHECKPOINT_FILE
from gpr_core.training.config import MtpConfig, OptimizerConfig, SequenceConfig, ValueLossConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.leak_probe import leak_probe, probe_batch
from gpr_core.training.mtp import Surroundings, pretrain
from tests.gpr_core.training.small_corpus import (
    CODEBOOK_SIZES,
    CUTOFF_TS,
    make_small_corpus,
    say_favorites,
)

CONFIG = MtpConfig(
    model=ModelConfig(width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=2),
    sequence=SequenceConfig(max_tokens=24, new_tokens=12),
    optimizer=OptimizerConfig(batch_windows=16, checkpoint_every=4, learning_rate=5e-3),
    epochs=2,
    continue_days=5,
)
ALL_PARTS = replace(
    CONFIG,
    model=replace(
        CONFIG.model,
        hsd_layers=3,
        recursion=RecursionConfig(router="expert_choice", keys="active"),
        think="sequential",
        refine=RefiningConfig(kind="diffusion"),
        knowledge_vectors=2,
    ),
    sequence=replace(CONFIG.sequence, targets="matching"),
    value_loss=ValueLossConfig(backbone_grad=0.5),
)


@pytest.fixture(scope="module")
def examples() -> Examples:
    return make_examples()


def make_examples() -> Examples:
    corpus = make_small_corpus()
    return build_examples(
        corpus.tables._replace(thoughts=say_favorites()),
        corpus.catalog,
        CONFIG.sequence,
        num_heads=2,
        cutoff_ts=CUTOFF_TS,
        seed=0,
    )


def make_model(config: MtpConfig = CONFIG) -> GPR:
    seed_global_torch(0, "test")
    return GPR(config.model, CODEBOOK_SIZES)


def surroundings(folder: Path) -> Surroundings:
    return Surroundings(
        seed=0, device="cpu", cutoff_ts=CUTOFF_TS, scratch=folder, progress=Progress("test")
    )


ACCUMULATED = replace(ALL_PARTS, optimizer=replace(ALL_PARTS.optimizer, accumulate=3))


@pytest.mark.parametrize(
    "config", [CONFIG, ALL_PARTS, ACCUMULATED], ids=["default", "all parts", "accumulated"]
)
def test_a_run_stopped_in_the_middle_of_an_epoch_ends_with_the_same_model(
    tmp_path: Path, examples: Examples, monkeypatch: pytest.MonkeyPatch, config: MtpConfig
) -> None:
    straight, stopped, resumed = (make_model(config) for _ in range(3))
    curve = pretrain(straight, examples, config, surroundings(tmp_path / "a"), continues=False)
    rate_at = loop.rate_at

    def stop(update: int, *arguments: object) -> float:
        if update == 6:
            raise KeyboardInterrupt
        return rate_at(update, *arguments)

    monkeypatch.setattr(loop, "rate_at", stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain(stopped, examples, config, surroundings(tmp_path / "b"), continues=False)
    monkeypatch.undo()
    resumed_curve = pretrain(
        resumed, examples, config, surroundings(tmp_path / "b"), continues=False
    )
    assert curve.num_rows > 8
    assert curve.equals(resumed_curve)
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


KILLED_RUN = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from gpr_core.training import loop
    from gpr_core.training.mtp import pretrain
    from tests.gpr_core.training.test_mtp import (
        ACCUMULATED, make_examples, make_model, surroundings
    )

    read_share = loop._read_share

    def killed_between_two_shares(task, config, update, share):
        if (update, share) == (6, 2):
            os.kill(os.getpid(), signal.SIGKILL)
        return read_share(task, config, update, share)

    loop._read_share = killed_between_two_shares
    around = surroundings(Path(sys.argv[1]))
    pretrain(make_model(ACCUMULATED), make_examples(), ACCUMULATED, around, continues=False)
    """
)


def test_a_run_killed_between_two_shares_ends_with_the_same_model(
    tmp_path: Path, examples: Examples
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path / "killed")]
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    models, curves = [], []
    for folder in ("straight", "killed"):
        assert (tmp_path / folder / CHECKPOINT_FILE).exists() == (folder == "killed")
        model = make_model(ACCUMULATED)
        around = surroundings(tmp_path / folder)
        curves.append(pretrain(model, examples, ACCUMULATED, around, continues=False))
        models.append(model.state_dict())
    # Two epochs: update 6 and the checkpoint of update 4 are in the middle of the first.
    assert curves[0].num_rows // 2 > 6
    assert curves[0].equals(curves[1])
    for name, tensor in models[0].items():
        assert torch.equal(tensor, models[1][name]), name


@pytest.mark.parametrize("accumulate", [2, 5])
def test_accumulated_updates_are_the_updates_of_the_whole_batch(
    tmp_path: Path, examples: Examples, accumulate: int
) -> None:
    # Dropout would draw other masks for other shares.
    plain = replace(CONFIG, model=replace(CONFIG.model, dropout=0.0))
    accumulated = replace(plain, optimizer=replace(plain.optimizer, accumulate=accumulate))
    models = make_model(plain), make_model(plain)
    curves = [
        pretrain(model, examples, config, surroundings(tmp_path / name), continues=False)
        for name, model, config in zip("ab", models, (plain, accumulated), strict=True)
    ]
    for name in curves[0].column_names:
        pair = [curve[name].to_numpy() for curve in curves]
        np.testing.assert_allclose(*pair, rtol=2e-4, atol=1e-6, err_msg=name)
    for name, tensor in models[0].state_dict().items():
        torch.testing.assert_close(models[1].state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_losses_of_all_heads_fall(tmp_path: Path, examples: Examples) -> None:
    curve = pretrain(make_model(), examples, CONFIG, surroundings(tmp_path), continues=False)
    for name in ("nll_head_1", "nll_head_2", "item_loss"):
        column = curve[name].to_pylist()
        assert column[-1] < column[0], name


def test_a_continued_run_is_shorter_and_keeps_the_value_scale(
    tmp_path: Path, examples: Examples
) -> None:
    model = make_model()
    model.value_mean.fill_(123.0)
    curve = pretrain(model, examples, CONFIG, surroundings(tmp_path / "a"), continues=True)
    full = pretrain(make_model(), examples, CONFIG, surroundings(tmp_path / "b"), continues=False)
    # One pass instead of two, over the windows of the last 5 of 10 days.
    assert 0 < curve.num_rows < full.num_rows / 2
    assert 2.5e-4 < max(curve["learning_rate"].to_pylist()) <= 3e-4
    assert float(model.value_mean) == 123.0


def test_a_model_with_all_parts_learns_and_does_not_leak(
    tmp_path: Path, examples: Examples
) -> None:
    model = make_model(ALL_PARTS)
    curve = pretrain(model, examples, ALL_PARTS, surroundings(tmp_path), continues=False)
    for name in ("nll_head_1", "item_loss", "denoising_loss"):
        column = curve[name].to_pylist()
        assert column[-1] < column[0], name
    assert float(model.knowledge.gate.detach()) != pytest.approx(0.1)
    assert leak_probe(model.eval(), probe_batch(examples), seed=0) == 0.0


def test_experts_are_trained_in_one_process(examples: Examples, tmp_path: Path) -> None:
    config = replace(CONFIG, model=replace(CONFIG.model, experts=ExpertsConfig(count=2)))
    model = GPR(config.model, CODEBOOK_SIZES)
    surroundings = Surroundings(
        seed=0,
        device="cpu",
        cutoff_ts=CUTOFF_TS,
        scratch=tmp_path,
        progress=Progress("mtp"),
        processes=Processes(rank=0, count=2),
    )
    with pytest.raises(ConfigError, match="one process"):
        pretrain(model, examples, config, surroundings, continues=False)


@pytest.mark.skipif(not has_bfloat16_products(), reason="no bfloat16 instructions here")
@pytest.mark.parametrize("config", [CONFIG, ALL_PARTS], ids=["default", "all parts"])
def test_bfloat16_products_learn_what_float32_learns(
    tmp_path: Path, examples: Examples, config: MtpConfig
) -> None:
    fast = replace(config, optimizer=replace(config.optimizer, precision="bfloat16"))
    curves = {}
    for name, one in (("float32", config), ("bfloat16", fast), ("again", fast)):
        around = surroundings(tmp_path / name)
        curves[name] = pretrain(make_model(one), examples, one, around, continues=False)
    assert curves["bfloat16"].equals(curves["again"])
    assert not curves["bfloat16"].equals(curves["float32"])
    first, last = (
        [curves[name]["code_loss"].to_numpy()[place].mean() for name in ("float32", "bfloat16")]
        for place in (slice(0, 3), slice(-3, None))
    )
    assert first[1] == pytest.approx(first[0], rel=0.02)
    assert last[1] == pytest.approx(last[0], rel=0.1)


def test_without_instructions_bfloat16_is_float32(
    tmp_path: Path, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matmul, "has_bfloat16_products", lambda kind: False)
    fast = replace(CONFIG, optimizer=replace(CONFIG.optimizer, precision="bfloat16"))
    curves = [
        pretrain(make_model(one), examples, one, surroundings(tmp_path / name), continues=False)
        for name, one in (("a", CONFIG), ("b", fast))
    ]
    assert curves[0].equals(curves[1])
