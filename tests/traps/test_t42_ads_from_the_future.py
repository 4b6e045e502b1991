"""T42: legal sets or targets contain ads that launch after the request."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import RequestContext, eligible_ads
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS, HOUR_MS
from gpr_core.features.legal_sets import TrainLegality, pair_eligible
from gpr_core.features.targets import Exposures, next_distinct_targets
from gpr_core.support.errors import LegalityError
from tests.gpr_core.catalog.catalogs import legal_nodes
from tests.gpr_core.training.small_corpus import make_ads, make_versions, to_table

DAY = 3 * DAY_MS
LAUNCH_TS = DAY + 12 * HOUR_MS
PATHS = np.array([[0, 0], [1, 0], [2, 0]], dtype=np.int16)
OLD, YOUNG, OTHER = 1, 2, 3
# One user: the old ad at 10:00, the young one (launched at 12:00) at 14:00, another at 15:00.
SHOWN_TS = np.array([DAY + hour * HOUR_MS for hour in (10, 14, 15)])
BEFORE, AFTER = int(SHOWN_TS[0]), int(SHOWN_TS[1])


@pytest.fixture(scope="module")
def trie() -> Trie:
    return Trie.build(PATHS, np.array([OLD, YOUNG, OTHER], dtype=np.uint64), (3, 1))


@pytest.fixture(scope="module")
def ad_table(trie: Trie) -> AdTable:
    ads, versions = make_ads(3).to_pydict(), make_versions(3).to_pydict()
    ads["launch_ts"][1] = versions["valid_from"][1] = LAUNCH_TS
    return AdTable.build(to_table("ads", ads), to_table("ad_versions", versions), trie)


@pytest.fixture(scope="module")
def context() -> RequestContext:
    ones = np.ones(3, dtype=np.int64)
    return RequestContext(np.arange(3) + 100, ones, SHOWN_TS, *[ones] * 7)


def holds_the_young_ad(level_1_codes: torch.Tensor) -> bool:
    """The check: is the young ad's code legal?"""
    return bool(level_1_codes[1])


def test_the_training_set_holds_an_ad_from_its_launch_on(ad_table: AdTable, trie: Trie) -> None:
    legality = TrainLegality.build(ad_table, trie)
    path, is_target = torch.tensor([[0, 0]]), torch.tensor([True])
    for ts, expected in ((BEFORE, False), (LAUNCH_TS - 1, False), (AFTER, True)):
        codes = legality.legal_codes(path, is_target, torch.tensor([ts]))[0][0]
        assert holds_the_young_ad(codes) is expected


def test_the_check_bites_on_activity_by_whole_days(ad_table: AdTable, trie: Trie) -> None:
    active_A = np.zeros((1, ad_table.num_ads), dtype=bool)
    active_A[0, ad_table.rank_V[(ad_table.start_V < DAY + DAY_MS) & (ad_table.stop_V > DAY)]] = True
    legal_N = legal_nodes(trie, active_A)[0]
    assert holds_the_young_ad(legal_N[trie.children(torch.tensor([0]))[0]])


def test_a_target_before_its_launch_raises(ad_table: AdTable, trie: Trie) -> None:
    legality = TrainLegality.build(ad_table, trie)
    with pytest.raises(LegalityError, match=r"path \[1, 0\]"):
        legality.legal_codes(torch.tensor([[1, 0]]), torch.tensor([True]), torch.tensor([BEFORE]))


def test_the_request_mask_holds_an_ad_from_its_launch_on(
    ad_table: AdTable, trie: Trie, context: RequestContext
) -> None:
    legal_BN = legal_nodes(trie, eligible_ads(ad_table, context))
    children = trie.children(torch.tensor([0]))[0]
    found = [holds_the_young_ad(legal_N[children]) for legal_N in legal_BN]
    assert found == [False, True, True]


Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


def head_2_targets(is_eligible: Rule) -> list[int]:
    """Ads that head 2 has to predict at the three requests, 0 for none."""
    exposures = Exposures(
        np.ones(3, dtype=np.int64), np.arange(3) + 100, SHOWN_TS, PATHS, np.ones(3, dtype=bool)
    )
    target = next_distinct_targets(
        exposures,
        num_heads=2,
        horizon_ms=7 * DAY_MS,
        cutoff_ts=10 * DAY_MS,
        is_eligible=is_eligible,
    )
    return [0 if row < 0 else int(row) + 1 for row in target[:, 1]]


def test_no_head_predicts_an_ad_that_had_not_launched(
    ad_table: AdTable, trie: Trie, context: RequestContext
) -> None:
    rank_X = trie.rank_of_ads(np.array([OLD, YOUNG, OTHER])).numpy()
    found = head_2_targets(
        lambda rows, later: pair_eligible(ad_table, context, rows, rank_X[later])
    )
    # At 10:00 the young ad is skipped for the next one; at 14:00 it is head 1's own ad.
    assert found == [OTHER, OTHER, 0]


def test_the_check_bites_without_the_rule() -> None:
    assert head_2_targets(lambda rows, later: np.ones(rows.size, dtype=bool))[0] == YOUNG
