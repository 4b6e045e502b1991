import copy
import dataclasses

import numpy as np
import pytest
import torch

from gpr_core.support.errors import GateError
from gpr_core.support.progress import Progress
from gpr_core.training.critic import value_parameters
from gpr_core.training.hepo_config import AdvantageConfig, HepoConfig
from gpr_core.training.hepo_requests import sampling
from gpr_core.training.hepo_round import (
    Round,
    candidates_of,
    divergence,
    improve,
    move_between,
    policy_parameters,
    shard_logp,
)
from gpr_core.training.hepo_shard import (
    find_successes,
    make_shard,
    reward_targets,
    shard_advantages,
)
from tests.gpr_core.training.small_hepo import CONFIG, make_model, make_simulator


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return make_simulator(tmp_path_factory, num_requests=40)


@pytest.fixture(scope="module")
def shard(simulator):
    rollout = simulator.rollout(make_model(), np.arange(40), sampling(CONFIG, 3), seed=1)
    return make_shard(simulator, rollout, find_successes(simulator.snapshot))


def make_round(simulator, shard, model, config=CONFIG, code_loss=None):
    targets = reward_targets(
        shard, AdvantageConfig(), iteration=0,
        mean=float(shard.final_value_M.mean()), std=float(shard.final_value_M.std()),
    )  # fmt: skip
    groups = [
        {"params": policy_parameters(model), "lr": config.learning_rate},
        {"params": value_parameters(model), "lr": 1e-3},
    ]
    return Round(
        model=model,
        optimizer=torch.optim.AdamW(groups, weight_decay=0.0),
        simulator=simulator,
        shard=shard,
        advantage_ML=shard_advantages(
            shard, targets, torch.zeros(shard.path_ML.shape), AdvantageConfig()
        ),
        return_ML=targets.return_ML,
        reference_logp_ML=shard.logp_ML,
        code_loss=code_loss or (lambda _, __: torch.zeros(())),
        config=config,
        seed=0,
        iteration=0,
        progress=Progress("test"),
    )


def test_candidates_of_requests_are_gathered_in_order(shard):
    chosen, owner = candidates_of(shard, np.array([2, 0]))
    begin = shard.begin_B1
    expected = [*range(begin[2], begin[3]), *range(begin[0], begin[1])]
    assert chosen.tolist() == expected
    assert owner.tolist() == [0] * (begin[3] - begin[2]) + [1] * (begin[1] - begin[0])


def test_behavior_policy_has_no_divergence_from_itself(simulator, shard):
    torch.testing.assert_close(
        shard_logp(make_model(), simulator, shard), shard.logp_ML, atol=1e-5, rtol=0
    )
    assert divergence(make_model(), simulator, shard) < 1e-8


def test_pass_raises_the_chance_of_better_ads(simulator, shard):
    model = make_model()
    config = dataclasses.replace(CONFIG, kl_cap=10.0, max_clip_share=1.0)
    passed = [improve(make_round(simulator, shard, model, config), epoch) for epoch in (0, 1)]
    assert [p.updates for p in passed] == [3, 3]
    assert not passed[-1].stopped
    change = (shard_logp(model, simulator, shard) - shard.logp_ML).sum(1)
    score = make_round(simulator, shard, model).advantage_ML[:, -1]
    correlation = torch.corrcoef(torch.stack([change, score]))[0, 1].item()
    assert correlation > 0.1


def test_pass_stops_outside_the_trust_region(simulator, shard):
    config = HepoConfig(num_candidates=8, batch_requests=8, learning_rate=0.05, kl_cap=1e-4)
    passed = improve(make_round(simulator, shard, make_model(), config), 0)
    assert passed.stopped
    assert passed.updates < 5
    assert passed.kl > config.kl_cap


def test_item_heads_are_left_alone(simulator, shard):
    model = make_model()
    before = {n: p.clone() for n, p in model.hte.named_parameters() if not n.startswith("value_")}
    improve(make_round(simulator, shard, model), 0)
    for name, value in model.hte.named_parameters():
        if not name.startswith("value_"):
            assert torch.equal(value, before[name])


def test_code_loss_is_mixed_in(simulator, shard):
    seen = []

    def code_loss(model, update):
        seen.append(update)
        return model.ptd.refine.weight.square().sum()

    config = HepoConfig(num_candidates=8, batch_requests=16, vaft_weight=0.15, kl_cap=10.0)
    improve(make_round(simulator, shard, make_model(), config, code_loss), 1)
    assert seen == [3, 4, 5]


def test_loss_that_is_not_finite_is_refused(simulator, shard):
    config = HepoConfig(num_candidates=8, vaft_weight=0.15)
    found = make_round(
        simulator, shard, make_model(), config, lambda _, __: torch.tensor(float("nan"))
    )
    with pytest.raises(GateError, match="the loss of update 0 is nan"):
        improve(found, 0)


def test_moving_between_policies_leaves_values_alone():
    start, model = make_model(0), make_model(1)
    values = copy.deepcopy(model.hte.state_dict())
    far = [p.detach().clone() for p in policy_parameters(model)]
    move_between(model, start, 0.25)
    for now, near, end in zip(policy_parameters(model), policy_parameters(start), far, strict=True):
        torch.testing.assert_close(now.detach(), 0.75 * near.detach() + 0.25 * end)
    move_between(model, start, 0.0)
    pairs = zip(policy_parameters(model), policy_parameters(start), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert all(torch.equal(v, values[n]) for n, v in model.hte.state_dict().items())
