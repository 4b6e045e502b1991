import numpy as np
import pytest
import torch

from gpr_core.data.tables import Action
from gpr_core.training.hepo_config import AdvantageConfig
from gpr_core.training.hepo_requests import sampling
from gpr_core.training.hepo_shard import (
    find_successes,
    make_shard,
    reward_targets,
    shard_advantages,
)
from tests.gpr_core.training.small_hepo import CONFIG, make_model, make_simulator


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return make_simulator(tmp_path_factory)


@pytest.fixture(scope="module")
def shard(simulator):
    rows = np.arange(simulator.num_requests)
    rollout = simulator.rollout(make_model(), rows, sampling(CONFIG, 3), seed=1)
    return make_shard(simulator, rollout, find_successes(simulator.snapshot))


def test_each_clicked_recommendation_is_one_success(simulator):
    found = find_successes(simulator.snapshot)
    rows = simulator.snapshot.ad_rows
    action = rows["action"].to_numpy()
    assert len(found.user_key) == int((action == Action.CLICK).sum())
    assert bool((found.node_SL > 0).all())
    assert bool((np.diff(found.user_key) >= 0).all())


def test_candidates_of_a_request_are_neighbors(shard):
    assert shard.begin_B1[0] == 0
    assert shard.begin_B1[-1] == shard.owner_M.numel()
    for idx in range(shard.row_B.size):
        owners = shard.owner_M[shard.begin_B1[idx] : shard.begin_B1[idx + 1]]
        assert set(owners.tolist()) == {idx}


def test_choices_are_shared_by_prefix_and_head_but_not_at_the_last_level(shard):
    size = shard.owner_M.numel()
    keys = {
        level: [
            (int(o), int(h), *p[: level + 1])
            for o, h, p in zip(shard.owner_M, shard.head_M, shard.path_ML.tolist(), strict=True)
        ]
        for level in (0, 1)
    }
    for level, expected in keys.items():
        assert len(set(expected)) == shard.choice_ML[:, level].unique().numel()
        pairs = set(zip(expected, shard.choice_ML[:, level].tolist(), strict=True))
        assert len(pairs) == len(set(expected))
    assert shard.choice_ML[:, -1].unique().numel() == size


def test_deltas_favor_the_category_that_the_user_clicked(simulator, shard):
    user = simulator.snapshot.requests["user_key"].to_numpy().astype(np.int64)
    liked = torch.from_numpy(user[shard.row_B] % 4)[shard.owner_M]
    delta, code = shard.delta_MC[:, 0], shard.path_ML[:, 0]
    assert delta[code == liked].mean() > 0.3
    assert delta[code != liked].mean() < 0
    assert bool((shard.delta_MC.abs() <= 1).all())


def test_deltas_sum_to_zero_over_the_legal_set(simulator, shard):
    """Level 1: the mean of Delta over all legal codes is 0 by construction (Eq 6)."""
    owner = 0
    chosen = shard.owner_M == owner
    codes, first = np.unique(shard.path_ML[chosen, 0].numpy(), return_index=True)
    requests = simulator.decode_requests(shard.row_B[:1])
    trie = simulator.trie
    ranks = torch.from_numpy(requests.eligible.mask()[0].nonzero()[0])
    legal = torch.unique(trie.paths_of(ranks)[:, 0])
    if len(codes) == len(legal):
        assert float(shard.delta_MC[chosen][first, 0].sum()) == pytest.approx(0.0, abs=1e-9)


def test_private_requests_have_no_popularity(simulator, shard):
    snapshot = simulator.snapshot
    kept = snapshot.sequence_key_B.copy()
    try:
        snapshot.sequence_key_B[:] = -5
        rows = np.arange(simulator.num_requests)
        rollout = simulator.rollout(make_model(), rows, sampling(CONFIG, 3), seed=1)
        private = make_shard(simulator, rollout, find_successes(snapshot))
    finally:
        snapshot.sequence_key_B[:] = kept
    assert bool((private.delta_MC == 0).all())
    assert bool((shard.delta_MC != 0).any())


def test_rewards_are_standardized_and_shaped(shard):
    config = AdvantageConfig(process_scale=(0.5, 0.25))
    targets = reward_targets(shard, config, iteration=0, mean=2.0, std=4.0)
    torch.testing.assert_close(targets.reward_ML[:, -1], (shard.final_value_M - 2.0) / 4.0)
    expected = shard.delta_MC.clamp(min=0) * torch.tensor([0.5, 0.25]).double()
    torch.testing.assert_close(targets.reward_ML[:, :-1], expected)
    total = targets.reward_ML.sum(1).float()
    torch.testing.assert_close(targets.return_ML[:, 0], total)


def test_advantages_of_the_last_level_are_centered_per_request(shard):
    config = AdvantageConfig()
    targets = reward_targets(shard, config, iteration=0, mean=0.0, std=1.0)
    value = torch.zeros(shard.path_ML.shape)
    advantage = shard_advantages(shard, targets, value, config)
    sums = torch.zeros(shard.row_B.size).index_add(0, shard.owner_M, advantage[:, -1])
    torch.testing.assert_close(sums, torch.zeros_like(sums), atol=1e-4, rtol=0)
