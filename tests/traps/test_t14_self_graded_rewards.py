"""T14: rewards come from the rankers of the snapshot, never from the policy's own value heads."""

import numpy as np
import pytest
import torch

from gpr_core.simulation.config import SnapshotConfig
from gpr_core.simulation.rollout import Rewards
from tests.gpr_core.simulation.small_corpus import SIZES, make_corpus
from tests.gpr_core.simulation.small_snapshot import load_simulator, make_snapshot
from tests.gpr_core.simulation.test_rollout import SAMPLING, Reader


class Corrupted(Reader):
    """The same policy with value heads that say nonsense."""

    def item_values(self, state, rows_N, paths_NL, ad_features_NF):
        honest = super().item_values(state, rows_N, paths_NL, ad_features_NF)
        return type(honest)(*(1.0 - 0.999 * value for value in honest))

    def prefix_values(self, state, rows_N, codes_NP):
        return super().prefix_values(state, rows_N, codes_NP) + 1e3


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"), num_users=12)
    config = SnapshotConfig(num_requests=12, request_days=2)
    return load_simulator(make_snapshot(tmp_path_factory.mktemp("s"), corpus, config), corpus)


def check_rewards_ignore_the_policy(simulator, grade):
    """Grade the same (request, ad) pairs for an honest and for a corrupted policy."""
    rows = np.arange(simulator.num_requests)
    honest = Reader(SIZES, (0.6, 0.4))
    found = simulator.rollout(honest, rows, SAMPLING, seed=0)
    pairs = (found.row_M, found.candidates.rank_M.numpy())
    one = grade(simulator, honest, *pairs)
    two = grade(simulator, Corrupted(SIZES, (0.6, 0.4)), *pairs)
    for first, second in zip(one, two, strict=True):
        assert np.array_equal(first, second)


def by_rankers(simulator, agent, row_M, rank_M):
    return simulator.reward(row_M, rank_M)


def by_itself(simulator, agent, row_M, rank_M):
    state = agent.read(simulator.read(np.arange(simulator.num_requests)))
    paths = simulator.trie.paths_of(torch.from_numpy(rank_M))
    outcome = agent.item_values(state, torch.from_numpy(row_M), paths, paths)
    p_ctr, p_cvr, p_neg = (value.numpy() for value in outcome)
    return Rewards(p_ctr, p_cvr, p_neg, p_ctr.astype(float), p_ctr.astype(float))


def test_rewards_do_not_depend_on_value_heads(simulator):
    check_rewards_ignore_the_policy(simulator, by_rankers)


def test_twin_that_grades_itself_is_caught(simulator):
    with pytest.raises(AssertionError):
        check_rewards_ignore_the_policy(simulator, by_itself)


def test_sampled_paths_do_not_depend_on_value_heads(simulator):
    rows = np.arange(simulator.num_requests)
    honest = simulator.rollout(Reader(SIZES, (0.6, 0.4)), rows, SAMPLING, seed=0)
    corrupted = simulator.rollout(Corrupted(SIZES, (0.6, 0.4)), rows, SAMPLING, seed=0)
    paths = [
        {(row, *path) for row, path in zip(found.row_M.tolist(), found.candidates.path_ML.tolist(),
                                           strict=True)}
        for found in (honest, corrupted)
    ]  # fmt: skip
    assert paths[0] == paths[1]
