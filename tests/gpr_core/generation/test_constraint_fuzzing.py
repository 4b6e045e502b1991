"""Random catalogs, targeting, budgets and pauses: no invalid ad, no crash, never oversold.

The rule that judges is written anew here, ad by ad, and shares no code with bitmaps, counts or the
decoder.
"""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.budget import BudgetLedger
from gpr_core.catalog.targeting import TargetingIndex
from gpr_core.catalog.trie import Trie
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.emission import Handout, Shortage, hand_out, with_reserve
from gpr_core.generation.protocols import DecodeRequests
from gpr_core.generation.value_guided import decode
from gpr_core.generation.variants import at_load, greedy, plain_beam, stochastic_beam
from gpr_core.support.seeding import numpy_stream
from tests.conformance.generator import TabularPolicy
from tests.gpr_core.catalog.catalogs import make_ads, make_context, make_versions

NOW, COUNT, PRICE = 1000, 3, 5
SIZES = (3, 3, 2)
BASE = BeamConfig(num_candidates=COUNT, width_factors=(1.0, 2.0), exhaustive_factor=1)
DECODERS = {
    "guided": BASE,
    "plain": plain_beam(BASE),
    "greedy": greedy(BASE),
    "stochastic": stochastic_beam(BASE),
    "idle": at_load(BASE, 0.0),
    "capped": BeamConfig(num_candidates=COUNT, width_factors=(1.0,), advertiser_cap=1),
}


class World:
    """Ads as plain dictionaries, and the catalog that is built from them."""

    def __init__(self, seed, num_ads):
        stream = numpy_stream(seed, "fuzzing")
        one_path = stream.random() < 0.2
        self.paths = np.stack([stream.integers(0, size, num_ads) for size in SIZES], axis=1)
        if one_path:
            self.paths[:] = 1
        self.ads = [
            {
                "ad_key": rank + 1,
                "valid_from": int(stream.integers(900, 1100)),
                "status": int(stream.choice([0, 0, 0, 1])),
                "age_mask": int(stream.choice([255, 255, 2, 4, 6])),
                "gender_mask": int(stream.choice([255, 255, 2, 4])),
                "device_mask": int(stream.choice([255, 255, 1, 2])),
                "geo_set": [[], [], [1], [1, 2]][stream.integers(0, 4)],
                "bid_micros": int(stream.integers(1, 10**7)),
            }
            for rank in range(num_ads)
        ]
        keys = np.arange(1, num_ads + 1, dtype=np.uint64)
        self.trie = Trie.build(self.paths.astype(np.int16), keys, SIZES)
        launches = make_ads([{"ad_key": ad["ad_key"], "launch_ts": 0} for ad in self.ads])
        self.table = AdTable.build(launches, make_versions(self.ads), self.trie)
        self.index = TargetingIndex.build(self.table, NOW)
        self.budgets = stream.integers(0, 3 * PRICE, num_ads)
        self.paused = set((np.flatnonzero(stream.random(num_ads) < 0.2) + 1).tolist())
        self.stream = stream

    def viewers(self, count):
        """Draw requests."""
        age, gender, device = self.stream.integers(0, 3, size=(3, count))
        place = self.stream.integers(0, 4, size=count)
        return make_context(
            ts=[NOW] * count, age_bucket=age, gender=gender, device=device, geo_l2=place,
            request_key=np.arange(count) + 7,
        )  # fmt: skip

    def may_serve(self, ad, viewers, row):
        """The rule in plain words."""
        place = int(viewers.geo_l2[row])
        return (
            ad["valid_from"] <= NOW
            and ad["status"] == 0
            and ad["age_mask"] >> int(viewers.age_bucket[row]) & 1
            and ad["gender_mask"] >> int(viewers.gender[row]) & 1
            and ad["device_mask"] >> int(viewers.device[row]) & 1
            and (not ad["geo_set"] or place in ad["geo_set"])
        )

    def budgets_by_rank(self):
        """Budgets in the order of the tree."""
        return self.budgets[self.trie.ad_key_A.numpy() - 1]

    def serve(self, viewers, config, ledger, *, pause_in_flight=False):
        """Answer a batch as a server would."""
        eligible = self.index.eligible(viewers)
        requests = DecodeRequests(viewers.request_key, viewers.ts, eligible)
        policy = TabularPolicy(SIZES, (0.6, 0.4), seed=3)
        offered = decode(
            policy, policy, policy.read(viewers.request_key), requests, self.trie, self.table,
            with_reserve(config),
        )  # fmt: skip
        if pause_in_flight:
            for key in self.paused:
                self.index.stop(int(self.trie.rank_of_ads(np.array([key]))[0]))
        emitted = hand_out(
            offered, eligible, count=COUNT,
            price_micros_M=np.full(offered.rank_M.numel(), PRICE), ledger=ledger,
            is_alive=self.index.is_alive,
        )  # fmt: skip
        return emitted, eligible


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), num_ads=st.sampled_from([0, 1, 2, 9, 40]))
def test_nothing_invalid_ever_leaves(name, seed, num_ads):
    world = World(seed, num_ads)
    viewers = world.viewers(5)
    ledger = BudgetLedger(world.budgets_by_rank())
    emitted, eligible = world.serve(viewers, DECODERS[name], ledger, pause_in_flight=True)
    found = emitted.candidates
    for row in range(5):
        allowed = {ad["ad_key"] for ad in world.ads if world.may_serve(ad, viewers, row)}
        assert int(eligible.totals()[row]) == len(allowed)
        mine = found.ad_key_M[found.row_M == row].tolist()
        assert len(mine) == len(set(mine)) <= COUNT
        assert set(mine) <= allowed - world.paused
        if not allowed:
            assert emitted.shortage_B[row] == Shortage.NO_ELIGIBLE_AD
        assert (len(mine) == COUNT) == (emitted.shortage_B[row] == Shortage.NONE)
    sold = np.bincount(found.ad_key_M.numpy(), minlength=num_ads + 1)[1:]
    assert (sold * PRICE <= world.budgets).all()
    left = ledger.view().remaining_A[np.argsort(world.trie.ad_key_A.numpy())]
    assert (left == world.budgets - sold * PRICE).all()
    assert (emitted.handout_M == Handout.HANDED_OUT).sum() == sold.sum()


@pytest.mark.parametrize("seed", range(5))
def test_racing_servers_never_oversell(seed):
    world = World(seed, 30)
    ledger = BudgetLedger(world.budgets_by_rank())
    batches = [world.viewers(4) for _ in range(6)]
    sold = []

    def serve(viewers):
        sold.append(world.serve(viewers, BASE, ledger)[0].candidates.ad_key_M.numpy())

    threads = [threading.Thread(target=serve, args=(viewers,)) for viewers in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = np.bincount(np.concatenate(sold), minlength=31)[1:]
    assert count.sum() > 0
    assert (count * PRICE <= world.budgets).all()
    assert ledger.view().remaining_A.sum() == world.budgets.sum() - count.sum() * PRICE
