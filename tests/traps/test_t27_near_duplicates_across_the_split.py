"""T27: near duplicates on both sides of the 80/20 split, or duplicates dropped from serving."""

import numpy as np
import pytest

from gpr_core.data.config import CurationConfig
from gpr_core.data.item_sample import build_item_sample
from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.data.splits import Split
from tests.lake_rows import make_random_lake

CONFIG = CurationConfig()
TABLES = make_random_lake(11, num_ads=150, num_content=100)


def honest_split(sample):
    """Give the split of each item as the project draws it."""
    return sample.sample["split"].to_numpy()


def item_split(sample):
    """The broken twin: every item is drawn on its own."""
    key = sample.sample["item_key"].to_numpy()
    draw = keyed_uniform(0, "twin", sample.sample["item_kind"].to_numpy(), key)
    return np.where(draw < CONFIG.held_out_share, Split.HELD_OUT, Split.TRAIN)


def keeps_duplicates_together(sample, split):
    """Say whether similar items and items of equal content are on one side."""
    x_ND = np.stack(sample.vectors["x"].to_numpy())
    is_close = x_ND @ x_ND.T >= CONFIG.near_duplicate_cosine
    return not (is_close & (split[:, None] != split[None])).any()


@pytest.fixture(scope="module")
def sample():
    return build_item_sample(TABLES, CONFIG, seed=0)


def test_no_near_duplicates_stand_on_two_sides(sample):
    assert keeps_duplicates_together(sample, honest_split(sample))
    assert {0, 2} <= set(honest_split(sample).tolist())
    assert sample.max_cross_cosine < CONFIG.near_duplicate_cosine


def test_splitting_items_one_by_one_is_caught(sample):
    assert not keeps_duplicates_together(sample, item_split(sample))


def test_every_ad_keeps_its_vector_though_a_third_are_duplicates(sample):
    is_canonical = sample.sample["is_canonical"].to_numpy()
    assert 0.1 < 1 - is_canonical.mean() < 0.6
    is_ad = sample.vectors["item_kind"].to_numpy() == 1
    assert sample.vectors["item_key"].to_numpy()[is_ad].tolist() == list(range(1, 151))


def test_dropping_duplicates_from_serving_is_caught(sample):
    kept = sample.vectors.filter(sample.sample["is_canonical"])
    is_ad = kept["item_kind"].to_numpy() == 1
    assert kept["item_key"].to_numpy()[is_ad].tolist() != list(range(1, 151))
