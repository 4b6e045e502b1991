"""Reservations at the end of serving."""

import numpy as np
import pytest

from gpr_core.catalog.budget import BudgetLedger
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.emission import Handout, Shortage, hand_out, with_reserve
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests, run

PRICE = 10


def serve(eligible_BA, budgets, *, count=2, stopped=(), bids=None):
    """Decode by value and hand out; ad keys are 1 + rank."""
    num_ads = len(budgets)
    bids = bids or [100 - ad for ad in range(num_ads)]
    trie, ad_table = make_catalog(
        [[ad] for ad in range(num_ads)], bid_micros=bids, sizes=(num_ads,)
    )
    requests = make_requests(eligible_BA)
    config = with_reserve(BeamConfig(num_candidates=count))
    offered = run(TabularPolicy((num_ads,), seed=None), requests, trie, ad_table, config)
    ledger = BudgetLedger(np.array(budgets))
    emitted = hand_out(
        offered,
        requests.eligible,
        count=count,
        price_micros_M=np.full(offered.rank_M.numel(), PRICE),
        ledger=ledger,
        is_alive=lambda rank: ~np.isin(rank, stopped),
    )
    lists = [
        emitted.candidates.ad_key_M[emitted.candidates.row_M == row].tolist()
        for row in range(len(eligible_BA))
    ]
    return emitted, lists, ledger


def test_the_best_are_handed_out_and_the_reserve_is_not_needed():
    emitted, lists, ledger = serve([[1, 1, 1, 1]], [PRICE] * 4)
    assert lists == [[1, 2]]
    assert emitted.handout_M.tolist() == [
        Handout.HANDED_OUT,
        Handout.HANDED_OUT,
        Handout.NOT_NEEDED,
    ]
    assert emitted.shortage_B.tolist() == [Shortage.NONE]
    assert ledger.view().remaining_A.tolist() == [0, 0, PRICE, PRICE]


def test_an_ad_without_budget_or_stopped_in_flight_is_replaced():
    emitted, lists, _ = serve([[1, 1, 1, 1]], [PRICE - 1, PRICE, PRICE, PRICE])
    assert lists == [[2, 3]]
    assert emitted.handout_M.tolist() == [
        Handout.OUT_OF_BUDGET,
        Handout.HANDED_OUT,
        Handout.HANDED_OUT,
    ]
    emitted, lists, ledger = serve([[1, 1, 1, 1]], [PRICE] * 4, stopped=[1])
    assert lists == [[1, 3]]
    assert emitted.handout_M.tolist() == [Handout.HANDED_OUT, Handout.STOPPED, Handout.HANDED_OUT]
    assert ledger.view().remaining_A.tolist() == [0, PRICE, 0, PRICE]
    assert emitted.candidates.position_M.tolist() == [0, 1]


def test_requests_take_turns_by_position():
    # One impression each of ads 1 and 2: both requests want both.
    _, lists, _ = serve([[1, 1], [1, 1]], [PRICE, PRICE])
    assert lists == [[1], [2]]


def test_every_shortage_has_its_reason():
    emitted, lists, _ = serve(
        [[0, 0, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1]], [0, 9 * PRICE, 9 * PRICE]
    )
    assert lists == [[], [2], [3], [2, 3]]
    assert emitted.shortage_B.tolist() == [
        Shortage.NO_ELIGIBLE_AD,
        Shortage.FEW_ELIGIBLE_ADS,
        Shortage.LOST_IN_FLIGHT,
        Shortage.NONE,
    ]


def test_a_short_list_of_the_decoder_is_its_own_reason():
    trie, ad_table = make_catalog([[0], [1]], sizes=(2,))
    requests = make_requests([[1, 1]])
    narrow = BeamConfig(num_candidates=1)
    offered = run(TabularPolicy((2,), seed=None), requests, trie, ad_table, narrow)
    emitted = hand_out(
        offered, requests.eligible, count=2, price_micros_M=np.array([PRICE]),
        ledger=BudgetLedger(np.array([PRICE, PRICE])), is_alive=lambda rank: rank >= 0,
    )  # fmt: skip
    assert emitted.shortage_B.tolist() == [Shortage.FEW_DECODED]


@pytest.mark.parametrize(("count", "longer"), [(1, 2), (4, 5), (40, 50)])
def test_the_reserve_makes_lists_longer_and_beams_no_wider(count, longer):
    config = BeamConfig(num_candidates=count, width_factors=(2.0, 4.0))
    found = with_reserve(config)
    assert found.num_candidates == longer
    assert [found.width(level) for level in range(3)] == [config.width(level) for level in range(3)]
