"""The semantic-id table."""

import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.tables import sid_map_schema
from gpr_core.support.errors import ArtifactError, ContractError, ShapeError
from gpr_core.tokenizer.leaf_policy import LeafRule
from gpr_core.tokenizer.sid_map import build_sid_map, codes_of, paths_of_items, stored_rows

BIG = 2**63 - 1
ADS = pa.table(
    {
        "ad_key": np.array([BIG, 4, 6], np.uint64),
        "launch_ts": [10, 30, 20],
        "advertiser_key": np.array([7, 8, 7], np.uint64),
        "conversion_type": np.array([1, 1, 1], np.int8),
    }
)
ITEMS = ([2, 1, 1, 1], [4, BIG, 4, 6])
CODES = np.array([[1, 2], [1, 2], [1, 2], [0, 0]], np.int16)
SUFFIX = LeafRule(policy="suffix", size=16)
HASH = LeafRule(policy="hash_level", size=8)


def make_items(kinds, keys):
    return pa.table({"item_kind": np.array(kinds, np.int8), "item_key": np.array(keys, np.uint64)})


def make_map():
    return build_sid_map(make_items(*ITEMS), CODES, np.arange(4.0), ADS, tokenizer_version="v")


def test_rows_are_sorted_and_ads_numbered_by_launch():
    table = make_map()
    assert table.schema.equals(sid_map_schema(2))
    assert table.drop(["tokenizer_version"]).to_pydict() == {
        "item_kind": [1, 1, 1, 2],
        "item_key": [4, 6, BIG, 4],
        "c1": [1, 0, 1, 1],
        "c2": [2, 0, 2, 2],
        "quant_err": [2.0, 3.0, 1.0, 0.0],
        "leaf_rank": [1, 0, 0, 0],
    }
    assert set(table["tokenizer_version"].to_pylist()) == {"v"}


def test_codes_are_read_back():
    assert codes_of(make_map()).tolist() == [[1, 2], [0, 0], [1, 2], [1, 2]]
    assert codes_of(make_map()).dtype == np.int16


def test_items_are_found_by_kind_and_key():
    items = make_items([2, 1, 2, 1, 1], [6, 6, 4, BIG, 5])
    assert stored_rows(make_map(), items).tolist() == [-1, 1, 3, 2, -1]
    assert stored_rows(make_map(), make_items([], [])).tolist() == []


def test_no_items_make_an_empty_table():
    empty = build_sid_map(
        make_items([], []), np.zeros((0, 2), np.int16), np.zeros(0), ADS, tokenizer_version="v"
    )
    assert empty.num_rows == 0
    assert empty.schema.equals(sid_map_schema(2))


def test_bad_input_is_refused():
    codes, errors = np.zeros((2, 1), np.int16), np.zeros(2)
    with pytest.raises(ContractError, match="1 items appear twice, for example 4"):
        build_sid_map(make_items([1, 1], [4, 4]), codes, errors, ADS, tokenizer_version="v")
    with pytest.raises(ContractError, match="1 ads have a vector but no row, for example 5"):
        build_sid_map(make_items([1, 1], [4, 5]), codes, errors, ADS, tokenizer_version="v")
    with pytest.raises(ShapeError, match="code_ML has shape"):
        build_sid_map(make_items([1], [4]), codes, errors, ADS, tokenizer_version="v")
    with pytest.raises(ShapeError, match="quant_err_M has shape"):
        build_sid_map(make_items([1], [4]), codes[:1], errors, ADS, tokenizer_version="v")


def test_paths_follow_the_leaf_policy_for_ads_only():
    items = make_items(*ITEMS)
    paths = [paths_of_items(rule, CODES, items, ADS, None) for rule in (LeafRule(), SUFFIX, HASH)]
    assert paths[0].tolist() == CODES.tolist()
    # The ad with the largest key was launched first.
    assert paths[1].tolist() == [[1, 2, 0], [1, 2, 0], [1, 2, 1], [0, 0, 0]]
    # sha256 of "[7,1]" and "[8,1]", first 15 digits, modulo 8; content keeps its last code.
    assert paths[2].tolist() == [[1, 2], [1, 4], [1, 2], [0, 4]]
    assert {path.dtype for path in paths} == {np.dtype(np.int16)}


def test_items_with_a_path_keep_it_and_gone_ads_keep_theirs():
    stored_paths = np.array([[1, 2, 3], [1, 2, 0], [5, 5, 9]], np.int16)
    stored_items = make_items([1, 1, 2], [6, 99, 4])
    rows = pa.table({name: [0, 0] for name in ADS.column_names})
    older = rows.set_column(0, "ad_key", pa.array([6, 99], pa.uint64()))
    stored = build_sid_map(stored_items, stored_paths, np.zeros(3), older, tokenizer_version="v")
    paths = paths_of_items(SUFFIX, CODES, make_items(*ITEMS), ADS, stored)
    assert paths.tolist() == [[5, 5, 9], [1, 2, 4], [1, 2, 5], [1, 2, 3]]


def test_ids_of_another_policy_are_refused():
    items = make_items(*ITEMS)
    with pytest.raises(ArtifactError, match="older ids have 2 levels, the leaf policy suffix give"):
        paths_of_items(SUFFIX, CODES, items, ADS, make_map())


def test_an_ad_without_a_row_has_no_path():
    with pytest.raises(ContractError, match="1 ads have a vector but no row, for example 5"):
        paths_of_items(HASH, CODES[:1], make_items([1], [5]), ADS, None)
