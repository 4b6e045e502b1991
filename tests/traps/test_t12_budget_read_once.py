"""T12: two decodes read a budget for one impression, and both hand the ad out."""

import threading

import numpy as np

from gpr_core.catalog.budget import BudgetLedger
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.emission import hand_out, with_reserve
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests, run

PRICE = 7


class ReadOnce(BudgetLedger):
    """The broken twin: what was left when it was made decides, whatever happened since."""

    def __init__(self, remaining_A):
        super().__init__(remaining_A)
        self._seen_A = self.view().remaining_A

    def reserve(self, ranks_M, price_micros_M):
        return self._seen_A[ranks_M] >= price_micros_M


def impressions_of_the_last_one(ledger):
    """Let eight servers race for two ads with one impression left each; list what they sell."""
    trie, ad_table = make_catalog([[0], [1]], bid_micros=[9, 8], sizes=(2,))
    policy, config = TabularPolicy((2,), seed=None), with_reserve(BeamConfig(num_candidates=1))
    handed_out, barrier = [], threading.Barrier(8)

    def serve(key):
        requests = make_requests([[1, 1]], keys=[key])
        offered = run(policy, requests, trie, ad_table, config)
        barrier.wait()
        emitted = hand_out(
            offered, requests.eligible, count=1,
            price_micros_M=np.full(offered.rank_M.numel(), PRICE), ledger=ledger,
            is_alive=lambda rank: rank >= 0,
        )  # fmt: skip
        handed_out.extend(emitted.candidates.ad_key_M.tolist())

    threads = [threading.Thread(target=serve, args=(100 + n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(handed_out)


def test_the_last_impression_is_sold_once_and_the_loser_gets_the_next_ad():
    assert impressions_of_the_last_one(BudgetLedger(np.array([PRICE, PRICE]))) == [1, 2]


def test_the_twin_that_reads_once_oversells():
    assert impressions_of_the_last_one(ReadOnce(np.array([PRICE, PRICE]))) == [1] * 8
