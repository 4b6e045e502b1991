import numpy as np
import pytest
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import RequestContext, eligible_ads
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS
from gpr_core.features.legal_sets import TrainLegality, pair_eligible
from gpr_core.support.errors import LegalityError
from tests.gpr_core.training.small_corpus import make_ads, make_versions, to_table


def make_catalog(versions: list[tuple[int, int, int]], paths: list[list[int]]) -> TrainLegality:
    """Catalog from (ad, valid_from, status) and one path per ad; ads launch at ts 0."""
    num_ads = len(paths)
    ads = make_ads(num_ads).to_pydict()
    ads["launch_ts"] = [0] * num_ads
    base = make_versions(1).to_pydict()
    columns = {name: values * len(versions) for name, values in base.items()}
    columns["ad_key"], columns["valid_from"], columns["status"] = (
        list(column) for column in zip(*versions, strict=True)
    )
    trie = Trie.build(
        np.array(paths, dtype=np.int16), np.arange(1, num_ads + 1).astype(np.uint64), (3, 2)
    )
    table = AdTable.build(to_table("ads", ads), to_table("ad_versions", columns), trie)
    return TrainLegality.build(table, trie)


def test_nodes_are_legal_exactly_while_an_ad_below_is_active() -> None:
    # Ad 1 [0, 0]: active 10-20, paused, active from 30. Ad 2 [0, 1]: active from 15 to 35.
    legality = make_catalog(
        [(1, 10, 0), (1, 20, 1), (1, 30, 0), (2, 15, 0), (2, 35, 2)], [[0, 0], [0, 1]]
    )
    # Nodes: 0 root, 1 = (0), 2 = (0, 0), 3 = (0, 1).
    times = torch.tensor([9, 10, 14, 15, 20, 29, 30, 35, 99])
    expected = {
        0: [False, True, True, True, True, True, True, True, True],
        1: [False, True, True, True, True, True, True, True, True],
        2: [False, True, True, True, False, False, True, True, True],
        3: [False, False, False, True, True, True, True, False, False],
    }
    for node, legal in expected.items():
        assert legality.is_legal(torch.full((9,), node), times).tolist() == legal
    assert not legality.is_legal(torch.tensor([-1]), torch.tensor([12])).any()


def test_touching_intervals_become_one() -> None:
    legality = make_catalog([(1, 10, 0), (1, 20, 0), (1, 30, 1)], [[0, 0]])
    assert legality.start_NI.tolist() == [[10], [10], [10]]
    assert legality.stop_NI.tolist() == [[30], [30], [30]]


def test_legal_codes_follow_the_target_path_at_the_request_time() -> None:
    legality = make_catalog(
        [(1, 0, 0), (2, 0, 0), (3, 50, 0), (4, 0, 1)], [[0, 0], [0, 1], [1, 0], [2, 1]]
    )
    paths = torch.tensor([[0, 1], [0, 0], [1, 0]])
    first, second = legality.legal_codes(
        paths, torch.tensor([True, True, False]), torch.tensor([10, 60, 10])
    )
    # Ad 3 (code 1) launches at 50; ad 4 (code 2) is paused; the third row has no target.
    assert first.tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert second.tolist() == [[True, True], [True, True], [True, True]]


def test_a_target_that_is_not_active_raises_and_is_never_added() -> None:
    legality = make_catalog([(1, 0, 0), (2, 50, 0)], [[0, 0], [1, 1]])
    with pytest.raises(LegalityError, match=r"1 of 2 targets .* path \[1, 1\] at 10 ms"):
        legality.legal_codes(
            torch.tensor([[0, 0], [1, 1]]), torch.tensor([True, True]), torch.tensor([10, 10])
        )


def test_a_path_outside_the_catalog_raises() -> None:
    legality = make_catalog([(1, 0, 0)], [[0, 0]])
    with pytest.raises(LegalityError, match="1 of 1 targets"):
        legality.legal_codes(torch.tensor([[0, 1]]), torch.tensor([True]), torch.tensor([10]))


def test_pairs_are_eligible_exactly_as_whole_rows_are() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    num_ads, num_versions, num_requests = 20, 60, 50
    ads = make_ads(num_ads).to_pydict()
    ads["launch_ts"] = rng.integers(0, 3 * DAY_MS, num_ads).tolist()
    columns = {name: values * num_versions for name, values in make_versions(1).to_pydict().items()}
    first = [(ad + 1, 0) for ad in range(num_ads)]
    more = [(int(rng.integers(num_ads)) + 1, int(rng.integers(1, 9 * DAY_MS))) for _ in range(40)]
    columns["ad_key"], columns["valid_from"] = (
        list(column) for column in zip(*first, *more, strict=True)
    )
    columns["status"] = rng.integers(0, 2, num_versions).tolist()
    for name in ("age_mask", "gender_mask", "device_mask"):
        columns[name] = rng.integers(1, 256, num_versions).tolist()
    columns["geo_set"] = [rng.integers(0, 4, rng.integers(0, 3)).tolist() for _ in range(60)]
    trie = Trie.build(
        rng.integers(0, 3, (num_ads, 2)).astype(np.int16),
        np.arange(1, num_ads + 1).astype(np.uint64),
    )
    table = AdTable.build(to_table("ads", ads), to_table("ad_versions", columns), trie)
    names = RequestContext._fields
    context = RequestContext(*(rng.integers(0, 6, num_requests) for _ in names))
    context = context._replace(ts=rng.integers(0, 9 * DAY_MS, num_requests))
    rows, ranks = (grid.ravel() for grid in np.indices((num_requests, num_ads)))
    found = pair_eligible(table, context, rows, ranks).reshape(num_requests, num_ads)
    expected = eligible_ads(table, context)
    assert 0.02 < expected.mean() < 0.5
    assert (found == expected).all()
    assert not pair_eligible(table, context, np.array([0]), np.array([-1])).any()
