import dataclasses
import hashlib

import pytest
import torch

from gpr_core.training import hepo
from gpr_core.training.hepo import CURVE_COLUMNS, post_train
from gpr_core.training.hepo_config import CriticConfig
from gpr_core.training.hepo_requests import split_requests
from tests.gpr_core.training.small_hepo import CONFIG, make_model, make_place, make_simulator


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return make_simulator(tmp_path_factory)


def digest(model):
    data = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
    return hashlib.sha256(data).hexdigest()


def test_reward_of_held_out_requests_rises(simulator, tmp_path):
    model = make_model()
    config = dataclasses.replace(CONFIG, iterations=2, kl_cap=2.0, learning_rate=5e-3)
    result = post_train(model, config, make_place(simulator, tmp_path))
    assert result.reward > result.start_reward
    assert result.legal_share == 1.0
    assert 0 < result.kl <= config.kl_cap
    assert result.curve.column_names == ["update", *CURVE_COLUMNS]
    assert result.curve["update"].to_pylist() == list(range(1, 9))
    assert set(result.rollout.row_M.tolist()) <= set(split_requests(simulator, 0.2, 0)[0].tolist())


def test_killed_run_resumes_to_the_same_bytes(simulator, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, iterations=2, epochs=1)
    whole = make_model()
    expected = post_train(whole, config, make_place(simulator, tmp_path / "whole"))
    for survived in (1, 2, 3, 6):
        folder = tmp_path / f"killed{survived}"
        kill_after(survived, monkeypatch, config, simulator, folder)
        model = make_model()
        result = post_train(model, config, make_place(simulator, folder))
        assert digest(model) == digest(whole)
        assert result.curve.equals(expected.curve)
        found, wanted = result.rollout.candidates, expected.rollout.candidates
        assert torch.equal(found.logp_ML, wanted.logp_ML)
        assert torch.equal(found.ad_key_M, wanted.ad_key_M)


def kill_after(phases, monkeypatch, config, simulator, folder):
    """Run until some checkpoints are written, then die."""
    real, count = hepo.save_training, 0

    def dying(*args, **kwargs):
        nonlocal count
        real(*args, **kwargs)
        count += 1
        if count == phases:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hepo, "save_training", dying)
        with pytest.raises(KeyboardInterrupt):
            post_train(make_model(), config, make_place(simulator, folder))


def test_untrained_critic_stops_before_the_first_policy_step(simulator, tmp_path):
    model = make_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    config = dataclasses.replace(CONFIG, critic=CriticConfig(min_r2=0.99, warmup_epochs=1))
    result = post_train(model, config, make_place(simulator, tmp_path))
    assert result.critic_r2 < 0.99
    assert result.reward == result.start_reward
    assert result.curve.num_rows == 1
    for name, parameter in model.named_parameters():
        if not name.startswith("hte."):
            assert torch.equal(parameter, before[name])


def test_policy_that_earns_less_is_not_kept(simulator, tmp_path, monkeypatch):
    model = make_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    real, calls = hepo.eligible_share, []

    def illegal_on_trial(simulator, rollout):
        calls.append(1)
        return real(simulator, rollout) if len(calls) < 3 else 0.5

    monkeypatch.setattr(hepo, "eligible_share", illegal_on_trial)
    result = post_train(model, CONFIG, make_place(simulator, tmp_path))
    assert result.legal_share == 0.5
    assert result.reward == result.start_reward
    assert result.curve["step_share"].to_pylist()[-1] == 0.0
    for name, parameter in model.named_parameters():
        if not name.startswith("hte."):
            assert torch.equal(parameter, before[name])


def test_step_is_shortened_into_the_trust_region(simulator, tmp_path):
    config = dataclasses.replace(CONFIG, learning_rate=0.02, kl_cap=0.01, batch_requests=64)
    result = post_train(make_model(), config, make_place(simulator, tmp_path))
    assert result.kl <= 0.01
    assert result.curve["step_share"].to_pylist()[-1] < 1.0
