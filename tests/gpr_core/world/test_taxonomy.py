from dataclasses import fields, replace

import numpy as np

from gpr_core.world.config import WorldConfig
from gpr_core.world.taxonomy import (
    build_ads,
    build_content,
    category_popularity,
    observe,
    positive_keys,
)

CONFIG = WorldConfig()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_keys_fit_in_int64_and_differ():
    keys = positive_keys(1, "ad", np.arange(10_000))
    assert keys.min() >= 1
    assert keys.max() < 2**63
    assert len(np.unique(keys)) == 10_000


def test_growing_the_catalog_changes_nothing_that_was_there():
    for build in (build_ads, build_content):
        small, large = build(CONFIG, 200), build(CONFIG, 500)
        for field in fields(small):
            if field.name != "products":
                first, second = getattr(small, field.name), getattr(large, field.name)
                np.testing.assert_array_equal(first, second[:200])


def test_a_product_has_one_to_four_creatives():
    ads = build_ads(CONFIG, 2000)
    sizes = np.bincount(ads.product_A[:-4])
    assert set(sizes[:-1].tolist()) == {1, 2, 3, 4}


def test_brands_belong_to_one_category():
    ads = build_ads(CONFIG, 1500)
    np.testing.assert_array_equal(ads.brand_A // CONFIG.brands_per_category, ads.category_A)


def test_equal_content_hash_means_equal_latent_and_vectors():
    ads = build_ads(CONFIG, 1500)
    _, first, counts = np.unique(ads.hash_A, return_index=True, return_counts=True)
    copies = counts.sum() - len(counts)
    assert 100 < copies < 600
    text, image = observe(CONFIG, ads.latent_AD, ads.hash_A)
    same = np.flatnonzero(ads.hash_A == ads.hash_A[first[counts > 1][0]])
    assert (text[same] == text[same[0]]).all()
    assert (image[same] == image[same[0]]).all()


def test_creatives_of_a_product_are_near_duplicates():
    ads = build_ads(CONFIG, 1500)
    pairs = np.flatnonzero((np.diff(ads.product_A) == 0) & (ads.hash_A[1:] != ads.hash_A[:-1]))
    both = unit(np.hstack(observe(CONFIG, ads.latent_AD, ads.hash_A)))
    both = unit(both - both.mean(axis=0))
    near = (both[pairs] * both[pairs + 1]).sum(axis=1)
    assert np.quantile(near, 0.1) > 0.95


def test_ads_and_content_share_categories():
    ads, content = build_ads(CONFIG, 1500), build_content(CONFIG, 2500)
    means = [
        np.stack([part.latent_AD[part.category_A == c].mean(axis=0) for c in range(16)])
        for part in (ads, content)
    ]
    closeness = unit(means[0]) @ unit(means[1]).T
    assert (closeness.argmax(axis=1) == np.arange(16)).all()


def test_vectors_have_length_one_and_tell_categories_apart():
    ads = build_ads(CONFIG, 1500)
    text, image = observe(CONFIG, ads.latent_AD, ads.hash_A)
    for view in (text, image):
        np.testing.assert_allclose(np.linalg.norm(view, axis=1), 1.0, atol=1e-5)
        assert view.std(axis=0).min() > 0.01
        same = ads.category_A[:, None] == ads.category_A
        cosine = view @ view.T
        assert cosine[same].mean() > cosine[~same].mean() + 0.3


def test_text_and_image_are_different_maps():
    ads = build_ads(replace(CONFIG, text_dim=16, image_dim=16), 300)
    text, image = observe(replace(CONFIG, text_dim=16, image_dim=16), ads.latent_AD, ads.hash_A)
    assert abs((text * image).sum(axis=1).mean()) < 0.5


def test_popularity_is_zipf_and_gems_are_hidden():
    ads = build_ads(CONFIG, 1500)
    others = np.sort(ads.popularity_A[~ads.is_gem_A])
    assert others.max() <= 1.0
    assert others[-len(others) // 10 :].sum() > 0.25 * others.sum()
    assert ads.popularity_A[ads.is_gem_A].max() < others.min()
    assert 10 < ads.is_gem_A.sum() < 60


def test_category_shares_sum_to_one():
    shares = category_popularity(CONFIG)
    assert shares.shape == (16,)
    np.testing.assert_allclose(shares.sum(), 1.0)
