"""Reading the items of a corpus."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.tokenization.items import HELD_OUT, TRAIN, VALIDATION, ads_of, load_items
from gpr_core.support.errors import ContractError
from tests.components.tokenization.corpora import write_corpus, write_vectors


def test_vectors_split_and_labels_come_in_one_order(tmp_path):
    items = load_items(write_corpus(tmp_path, num_ads=9, num_contents=4))
    assert items.table["item_kind"].to_pylist() == [1] * 9 + [2] * 4
    assert items.x_MD.shape == (13, 6)
    assert items.split_M.tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0]
    assert items.is_canonical_M.tolist() == [True] * 6 + [False] + [True] * 6
    assert items.labels["cat_l1"].tolist() == [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]
    assert (items.num_expected, items.num_known) == (13, 13)


def test_near_duplicates_are_not_learned_from(tmp_path):
    items = load_items(write_corpus(tmp_path, num_ads=20, num_contents=20))
    sizes = [len(items.sample(split).x_MD) for split in (TRAIN, VALIDATION, HELD_OUT)]
    # Of 40 items 28 train, 4 validate, 8 are held out; keys 7 and 14 are duplicates.
    assert sizes == [28 - 2, 4 - 2, 8]


def test_items_outside_the_sample_and_without_vector_are_counted(tmp_path):
    write_corpus(tmp_path, num_ads=9, num_contents=4, without_vector=2)
    sample = pq.read_table(tmp_path / "tokenizer_sample.parquet")
    pq.write_table(sample.slice(1), tmp_path / "tokenizer_sample.parquet")
    items = load_items(tmp_path)
    assert (items.num_expected, items.num_known) == (13, 11)
    assert items.split_M[0] == -1
    assert not items.is_canonical_M[0]


def test_ads_and_versions_are_read(tmp_path):
    ads, versions = ads_of(write_corpus(tmp_path, num_ads=3, num_contents=2))
    assert (ads.num_rows, versions.num_rows) == (3, 6)


def test_a_sampled_item_needs_a_vector(tmp_path):
    write_corpus(tmp_path, num_ads=3, num_contents=2)
    write_vectors(tmp_path, [1], [1], np.ones((1, 6)))
    with pytest.raises(ContractError, match="4 of 5 sampled items have no vector"):
        load_items(tmp_path)


def test_vectors_need_one_width(tmp_path):
    write_corpus(tmp_path, num_ads=3, num_contents=2)
    write_vectors(tmp_path, [1, 1], [1, 2], [np.ones(6), np.ones(5)])
    with pytest.raises(ContractError, match=r"vectors have widths \[5, 6\]"):
        load_items(tmp_path)


def test_vectors_need_to_be_finite(tmp_path):
    write_corpus(tmp_path, num_ads=3, num_contents=2)
    write_vectors(tmp_path, [1], [1], np.full((1, 6), np.nan))
    with pytest.raises(ContractError, match=r"1 rows of item_vectors\.parquet are not finite"):
        load_items(tmp_path)
