import numpy as np
import pyarrow as pa
import pytest

from gpr_core.generation.config import BeamConfig
from gpr_core.objectives.final_value import ecpm, final_value
from gpr_core.simulation.config import RulesConfig, SnapshotConfig
from gpr_core.simulation.rollout import ROLLOUT_COLUMNS
from gpr_core.support.errors import LegalityError
from tests.conformance.generator import TabularPolicy
from tests.gpr_core.simulation.small_corpus import SIZES, make_corpus
from tests.gpr_core.simulation.small_snapshot import load_simulator, make_snapshot

CONFIG = SnapshotConfig(
    num_requests=24,
    request_days=2,
    rehearsed_share=0.25,
    rules=RulesConfig(min_bid_micros=30_000, strict_excluded_categories=(1,)),
)
SAMPLING = BeamConfig(
    num_candidates=6, width_factors=(1.0,), value_bonus=(0.0,), share_by_value=False, leaf_ads=1,
    exhaustive_factor=0, mode="gumbel", advertiser_cap=3,
)  # fmt: skip


class Reader(TabularPolicy):
    """A tabular policy whose state is the request keys of a timeline batch."""

    def read(self, batch):
        return batch.request_key_BR[:, 0]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"), num_users=16)
    folder = make_snapshot(tmp_path_factory.mktemp("snapshot"), corpus, CONFIG)
    return load_simulator(folder, corpus)


def roll(simulator, seed=3, agent=None):
    rows = np.arange(simulator.num_requests)
    return simulator.rollout(agent or Reader(SIZES, (0.6, 0.4)), rows, SAMPLING, seed=seed)


def test_rollout_is_legal_distinct_and_graded(simulator):
    found = roll(simulator)
    requests = simulator.decode_requests(np.arange(simulator.num_requests))
    eligible = requests.eligible.mask()
    rank = found.candidates.rank_M.numpy()
    assert bool(eligible[found.row_M, rank].all())
    assert len({*zip(found.row_M.tolist(), rank.tolist(), strict=True)}) == rank.size
    assert np.bincount(found.row_M).max() <= 6
    table = simulator.snapshot.catalog.ads
    ts = simulator.snapshot.requests["ts"].to_numpy()[found.row_M]
    version = table.version_of(ts, rank)
    rewards = found.rewards
    expected = ecpm(
        table.bid_type_V[version], table.bid_micros_V[version], rewards.p_ctr_M, rewards.p_cvr_M
    )
    np.testing.assert_allclose(rewards.ecpm_M, expected, rtol=1e-12)
    users = simulator.snapshot.requests["user_key"].to_numpy().astype(np.int64)[found.row_M]
    shown = simulator.snapshot.ledger.shown_pairs(users, rank, ts)
    value = final_value(expected, rewards.p_ctr_M, rewards.p_cvr_M, rewards.p_neg_M, shown / 10)
    np.testing.assert_allclose(rewards.final_value_M, value, rtol=1e-12)


def test_shard_has_the_agreed_columns(simulator):
    table = simulator.table(roll(simulator), policy_hash="abc")
    assert tuple(table.column_names) == ROLLOUT_COLUMNS
    types = {field.name: field.type for field in table.schema}
    assert types["request_key"] == pa.uint64()
    assert types["path"].value_type == pa.int16()
    assert types["logp_old"].value_type == pa.float32()
    assert types["legal_count"].value_type == pa.int32()
    assert table["snapshot_hash"].unique().to_pylist() == [simulator.snapshot.snapshot_hash]
    first = table.slice(0, 1).to_pylist()[0]
    assert len(first["path"]) == len(first["logp_old"]) == 3
    assert first["cand_idx"] == 0
    synthetic = table.filter(table["is_synthetic"])
    assert 0 < synthetic.num_rows < table.num_rows


def test_replay_is_bit_exact_and_the_seed_matters(simulator):
    one, two, other = (
        simulator.table(roll(simulator, seed), policy_hash="p") for seed in (3, 3, 4)
    )
    assert one.equals(two)
    assert not one.equals(other)


def test_rankers_prefer_the_liked_category(simulator):
    requests = simulator.snapshot.requests
    user = int(requests["user_key"][0].as_py())
    category = simulator.snapshot.catalog.ads.cat_l1_A
    rank = np.arange(category.size)
    rewards = simulator.reward(np.zeros(rank.size, np.int64), rank)
    liked = category == user % 4
    assert rewards.p_ctr_M[liked].mean() > 2 * rewards.p_ctr_M[~liked].mean()


def test_rules_close_low_bids_and_strict_categories(simulator):
    requests = simulator.decode_requests(np.arange(simulator.num_requests))
    table = simulator.snapshot.catalog.ads
    low = table.bid_micros_V[table.versions_at(requests.ts_B)] < 30_000
    assert bool(low.any())
    assert not bool((requests.eligible.mask() & low).any())
    privacy = np.ones(1, np.int64)
    admitted = simulator._admitted_by_rules(requests.ts_B[:1], privacy)
    assert not bool(admitted[0, table.cat_l1_A == 1].any())


def test_ad_that_was_not_live_is_refused(simulator):
    table = simulator.snapshot.catalog.ads
    version = table.start_V.copy()
    try:
        table.start_V[:] = 1 << 60
        with pytest.raises(LegalityError, match="were not live at their request"):
            simulator.reward(np.zeros(1, np.int64), np.zeros(1, np.int64))
    finally:
        table.start_V[:] = version
