import numpy as np
import pytest

from gpr_core.support.errors import ContractError
from gpr_core.training.hepo_requests import eligible_share, sampling, split_requests
from tests.gpr_core.training.small_hepo import CONFIG, make_model, make_simulator


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return make_simulator(tmp_path_factory)


def test_rehearsed_requests_are_never_held_out(simulator):
    train, held_out = split_requests(simulator, 0.5, 0)
    flags = simulator.snapshot.requests["is_synthetic"].to_numpy(zero_copy_only=False)
    assert not bool(flags[held_out].any())
    assert bool(flags[train].any())
    assert sorted([*train, *held_out]) == list(range(simulator.num_requests))


def test_split_without_one_side_is_refused(simulator):
    with pytest.raises(ContractError, match="0 held-out requests"):
        split_requests(simulator, 1e-6, 0)


def test_eligible_share_notices_an_ineligible_ad(simulator):
    rows = np.arange(8)
    rollout = simulator.rollout(make_model(), rows, sampling(CONFIG, 3), seed=0)
    assert eligible_share(simulator, rollout) == 1.0
    eligible = simulator.decode_requests(rows).eligible.mask()
    row, bad = (int(places[0]) for places in (~eligible).nonzero())
    first = int(np.flatnonzero(rollout.row_M == row)[0])
    rollout.candidates.rank_M[first] = bad
    assert eligible_share(simulator, rollout) < 1.0
