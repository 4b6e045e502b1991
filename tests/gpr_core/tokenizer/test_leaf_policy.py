"""From paths to ads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.support.errors import ArtifactError, ConfigError, GateError
from gpr_core.tokenizer.leaf_policy import (
    LEAF_FILE,
    LeafRule,
    NewAds,
    choose_leaf_rule,
    codes_in_paths,
    leaf_ranks,
    paths_of_new_ads,
)
from tests.conformance.leaf_policy import (
    POLICIES,
    check_every_eligible_ad_is_reachable,
    check_ids_are_the_same_in_any_order,
    check_keys_are_only_names,
    check_old_ids_never_move,
    check_paths_are_scored_exactly,
    check_the_decoder_stays_legal,
)

SUFFIX, HASH = LeafRule(policy="suffix", size=4), LeafRule(policy="hash_level", size=8)
NONE = np.zeros((0, 3), np.int16)
BIG = 2**64 - 3


def make_new(codes, launches, keys=None, advertisers=None, conversions=None):
    count = len(codes)
    return NewAds(
        code_ML=np.array(codes, np.int16).reshape(count, 2),
        ad_key_M=np.array(keys or range(1, count + 1), np.uint64),
        launch_ts_M=np.array(launches, np.int64),
        advertiser_M=np.array(advertisers or [1] * count, np.uint64),
        conversion_type_M=np.array(conversions or [0] * count, np.int8),
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "check",
    [
        check_every_eligible_ad_is_reachable,
        check_the_decoder_stays_legal,
        check_paths_are_scored_exactly,
        check_keys_are_only_names,
        check_ids_are_the_same_in_any_order,
    ],
    ids=lambda check: check.__name__,
)
def test_a_policy_keeps_the_suite(check, policy, seed):
    check(policy, seed)


NEW_ADS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=5
)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(days=st.lists(NEW_ADS, min_size=2, max_size=3))
def test_ids_are_append_only(policy, days):
    check_old_ids_never_move(policy, days)


def test_ads_of_a_path_are_numbered_by_launch_then_key():
    path = np.array([1, 0, 1, 1, 0])
    launch = np.array([20, 5, 10, 10, 5])
    keys = np.array([1, 9, 8, 7, 2], np.uint64)
    assert leaf_ranks(path, launch, keys).tolist() == [2, 1, 1, 0, 0]


def test_a_later_ad_never_changes_old_numbers():
    path, launch = np.array([0, 0, 0]), np.array([30, 10, 20])
    keys = np.array([1, 2, 3], np.uint64)
    before = leaf_ranks(path, launch, keys).tolist()
    after = leaf_ranks(np.append(path, 0), np.append(launch, 40), np.append(keys, np.uint64(0)))
    assert after.tolist() == [*before, 3]


def test_no_ads_have_no_numbers():
    none = np.zeros(0, np.int64)
    assert leaf_ranks(none, none, none.astype(np.uint64)).tolist() == []


@pytest.mark.parametrize("rule", [LeafRule(), SUFFIX, HASH], ids=POLICIES)
def test_no_new_ads_get_no_paths(rule):
    path = paths_of_new_ads(
        rule, make_new([], []), np.zeros((3, 2 + rule.num_extra_levels), np.int16)
    )
    assert path.shape == (0, 2 + rule.num_extra_levels)
    assert path.dtype == np.int16


def test_suffixes_count_on_behind_those_that_were_given():
    given_paths = np.array([[5, 1, 0], [5, 1, 2], [6, 0, 0]], np.int16)
    new = make_new([[5, 1], [7, 0], [6, 0], [6, 0]], [0, 0, 20, 10])
    # Suffix 1 of path (5, 1) is free, but an older table may have named it.
    expected = [[5, 1, 3], [7, 0, 0], [6, 0, 2], [6, 0, 1]]
    assert paths_of_new_ads(SUFFIX, new, given_paths).tolist() == expected


def test_an_overfull_path_asks_for_a_refit():
    new = make_new([[0, 0]] * 3, [0, 1, 2])
    assert paths_of_new_ads(SUFFIX, new, NONE)[:, 2].tolist() == [0, 1, 2]
    given_paths = np.array([[0, 0, 1], [9, 9, 3]], np.int16)
    with pytest.raises(GateError, match="1 paths need up to 5 suffixes, the tokenizer has 4"):
        paths_of_new_ads(SUFFIX, new, given_paths)


def test_a_hash_is_one_of_advertiser_and_conversion_type():
    new = make_new(
        [[0, 0], [1, 0], [1, 3], [1, 0]],
        [0, 1, 2, 3],
        advertisers=[7, 7, 7, BIG],
        conversions=[1, 1, 2, 1],
    )
    path = paths_of_new_ads(HASH, new, NONE[:, :2])
    assert path[:, 0].tolist() == [0, 1, 1, 1]
    assert path[0, 1] == path[1, 1]
    # sha256 of "[7,1]", "[7,2]" and "[18446744073709551613,1]", first 15 digits, modulo 8.
    assert path[:, 1].tolist() == [4, 4, 7, 3]


def test_hashes_use_all_codes_of_the_level():
    keys = range(1, 401)
    new = make_new([[0, 0]] * 400, [0] * 400, keys=list(keys), advertisers=list(keys))
    counts = np.bincount(paths_of_new_ads(HASH, new, NONE[:, :2])[:, 1], minlength=8)
    assert counts.min() > 25
    assert counts.size == 8


@pytest.mark.parametrize(
    ("fullest", "size"), [(0, 16), (1, 16), (8, 16), (9, 32), (16, 32), (17, 64), (8192, 16384)]
)
def test_suffixes_have_room_for_twice_the_fullest_path(fullest, size):
    codes = np.zeros((fullest, 2), np.int16)
    assert choose_leaf_rule("suffix", codes, (8, 8)) == LeafRule(policy="suffix", size=size)


def test_other_policies_need_no_count():
    codes = np.zeros((20, 2), np.int16)
    assert choose_leaf_rule("value", codes, (8, 6)) == LeafRule()
    assert choose_leaf_rule("hash_level", codes, (8, 6)) == LeafRule(policy="hash_level", size=6)


def test_more_ads_on_a_path_than_codes_are_refused():
    with pytest.raises(ConfigError, match="8193 ads share one path, expected at most 8191"):
        choose_leaf_rule("suffix", np.zeros((8193, 1), np.int16), (8,))


def test_a_model_learns_the_sizes_of_paths():
    assert LeafRule().path_sizes([8, 6]) == (8, 6)
    assert HASH.path_sizes([8, 8]) == (8, 8)
    assert SUFFIX.path_sizes([8, 6]) == (8, 6, 4)


def test_codes_are_read_from_paths_as_far_as_they_are_there():
    path, today = np.array([[1, 2], [3, 4]], np.int16), np.array([[5, 6], [7, 0]], np.int16)
    is_ad = np.array([True, False])
    assert codes_in_paths(LeafRule(), path, today, is_ad).tolist() == [[1, 2], [3, 4]]
    assert codes_in_paths(HASH, path, today, is_ad).tolist() == [[1, 6], [3, 4]]
    longer = np.append(path, [[9], [0]], axis=1)
    assert codes_in_paths(SUFFIX, longer, today, is_ad).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("rule", [LeafRule(), SUFFIX, HASH], ids=POLICIES)
def test_a_rule_travels_with_the_tokenizer(rule, tmp_path):
    rule.save(tmp_path)
    assert LeafRule.load(tmp_path) == rule
    assert (tmp_path / LEAF_FILE).exists() == (rule.policy != "value")


def test_a_file_that_holds_no_rule_is_refused(tmp_path):
    (tmp_path / LEAF_FILE).write_text('{"policy": "prefix"}')
    with pytest.raises(ArtifactError, match="found 'prefix', expected one of: value, suffix"):
        LeafRule.load(tmp_path)
