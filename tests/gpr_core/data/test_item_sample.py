from dataclasses import replace

import numpy as np
import pytest

from gpr_core.data.config import CurationConfig
from gpr_core.data.fusion import concat_embeddings, fit_fusion, fuse
from gpr_core.data.item_sample import (
    ITEM_VECTORS_SCHEMA,
    TOKENIZER_SAMPLE_SCHEMA,
    build_item_sample,
)
from gpr_core.data.splits import Split
from gpr_core.support.errors import ContractError
from tests.lake_rows import DAY_0, make_embedding, make_lake_tables, make_random_lake


def make_items(vectors, **columns):
    """Ads with the given embeddings; columns hold one value per ad."""
    ads = [
        {"ad_key": key + 1, "launch_ts": DAY_0, "content_hash": key, "emb_row": key}
        | {name: values[key] for name, values in columns.items()}
        for key in range(len(vectors))
    ]
    rows = [make_embedding(row, list(vector)) for row, vector in enumerate(vectors)]
    return make_lake_tables(ads=ads, embeddings=rows)


def test_every_item_has_a_vector_and_a_row_in_the_sample():
    tables = make_random_lake(1)
    found = build_item_sample(tables, CurationConfig(), seed=0)
    assert found.vectors.schema.equals(ITEM_VECTORS_SCHEMA)
    assert found.sample.schema.equals(TOKENIZER_SAMPLE_SCHEMA)
    expected = [(1, key) for key in range(1, 31)] + [(2, key) for key in range(1, 21)]
    for table in (found.vectors, found.sample):
        columns = (table["item_kind"].to_pylist(), table["item_key"].to_pylist())
        assert list(zip(*columns, strict=True)) == expected


def test_the_vectors_are_fused_with_the_training_split_alone():
    tables = make_random_lake(2)
    found = build_item_sample(tables, CurationConfig(), seed=0)
    raw_ND = concat_embeddings(tables["embeddings"], np.arange(50))
    train = found.sample["split"].to_numpy() == Split.TRAIN
    assert 0 < train.sum() < 50
    stats = fit_fusion(raw_ND[train], tables["embeddings"])
    assert np.array_equal(found.stats.mean_D, stats.mean_D)
    x_ND = np.stack(found.vectors["x"].to_numpy())
    assert np.array_equal(x_ND, fuse(raw_ND, stats))


def test_kept_statistics_move_no_vector_when_items_are_added():
    few, many = make_random_lake(2), make_random_lake(3)
    kept = build_item_sample(few, CurationConfig(), seed=0).stats
    found = build_item_sample(many, CurationConfig(), seed=0, kept=kept)
    raw_ND = concat_embeddings(many["embeddings"], np.arange(50))
    assert found.stats is kept
    assert np.array_equal(np.stack(found.vectors["x"].to_numpy()), fuse(raw_ND, kept))
    assert found.max_cross_cosine < CurationConfig().near_duplicate_cosine


def test_kept_statistics_of_another_encoder_are_refused():
    tables = make_random_lake(2)
    kept = build_item_sample(tables, CurationConfig(), seed=0).stats
    other = replace(kept, encoder_version="v9")
    with pytest.raises(ContractError, match="cannot be fused with statistics of 'v9'"):
        build_item_sample(tables, CurationConfig(), seed=0, kept=other)


def test_equal_content_is_one_cluster_whatever_its_vector():
    vectors = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    tables = make_items(vectors, content_hash=[5, 6, 7, 5], launch_ts=[9, 8, 7, 6])
    sample = build_item_sample(tables, CurationConfig(), seed=0).sample
    assert sample["cluster"].to_pylist() == [0, 2, 1, 0]
    assert sample["is_canonical"].to_pylist() == [False, True, True, True]


@pytest.mark.parametrize("seed", range(5))
def test_no_similar_pair_crosses_the_split(seed):
    found = build_item_sample(make_random_lake(seed), CurationConfig(), seed=seed)
    x_ND = np.stack(found.vectors["x"].to_numpy())
    split = found.sample["split"].to_numpy()
    crosses = split[:, None] != split[None]
    assert crosses.any()
    assert (x_ND @ x_ND.T)[crosses].max() < 0.97
    assert found.max_cross_cosine == pytest.approx((x_ND @ x_ND.T)[crosses].max(), abs=1e-6)


def test_the_same_input_gives_the_same_sample():
    first, second = (
        build_item_sample(make_random_lake(4), CurationConfig(), seed=0) for _ in range(2)
    )
    assert first.vectors.equals(second.vectors)
    assert first.sample.equals(second.sample)


def test_no_ads_are_refused():
    with pytest.raises(ContractError, match="there are no ads"):
        build_item_sample(make_lake_tables(), CurationConfig(), seed=0)
