from datetime import date

import numpy as np
import pytest

from gpr_core.data.days import day_start_ms
from gpr_core.data.sources.movielens_catalog import (
    ALL_AGES,
    build_movies,
    embed_movies,
    secret_of,
)
from gpr_core.data.tables import DAY_MS

FIRST = date(1997, 9, 20)


@pytest.fixture(scope="module")
def movies(data):
    return build_movies(data, 7, FIRST)


def test_about_half_of_the_movies_are_ads(movies):
    assert 25 <= movies.is_ad_I.sum() <= 55


def test_the_half_depends_on_the_seed_and_the_movie_only(data, movies):
    fewer = data._replace(
        movie_ids=data.movie_ids[40:],
        titles=data.titles[40:],
        years=data.years[40:],
        genres=data.genres[40:],
    )
    again = build_movies(fewer, 7, FIRST)
    np.testing.assert_array_equal(again.is_ad_I, movies.is_ad_I[40:])
    np.testing.assert_array_equal(again.bid_micros_I, movies.bid_micros_I[40:])
    assert (build_movies(data, 8, FIRST).is_ad_I != movies.is_ad_I).any()


def test_keys_are_keyed_hashes(data, movies):
    assert movies.key_I.min() >= 1
    assert movies.key_I.max() < 2**63
    assert len(np.unique(movies.key_I)) == 80
    assert not np.isin(build_movies(data, 8, FIRST).key_I, movies.key_I).any()
    assert len(secret_of(7)) == 32


def test_genres_are_categories(data, movies):
    first = [genres[0] for genres in data.genres]
    by_genre = dict(zip(first, movies.category_I, strict=True))
    # Sorted: Action 0, Comedy 1, Drama 2, Horror 3, Sci-Fi 4.
    assert by_genre == {"Action": 0, "Comedy": 1, "Drama": 2, "Horror": 3, "Sci-Fi": 4}
    names = [genres[:2] for genres in data.genres]
    pairs = dict(zip(names, movies.subcategory_I, strict=True))
    assert len(set(pairs.values())) == len(pairs)


def test_release_periods_stand_for_brands(movies):
    # Movie 3 is of 1963: (1963 - 1920) // 2; movie 7 has no year.
    assert movies.brand_I[[2, 6]].tolist() == [21, 0]


def test_copies_share_their_content_hash(movies):
    assert movies.hash_I[0] == movies.hash_I[1]
    assert len(np.unique(movies.hash_I)) == 79


def test_everything_is_launched_before_the_first_day(movies):
    assert (movies.launch_ts_I <= day_start_ms(FIRST) - DAY_MS).all()
    # 1970-01-01 is 0; movie 3 is older than that, movie 12 is of 1972.
    assert movies.launch_ts_I[[2, 11]].tolist() == [0, 730 * DAY_MS]


def test_targeting_is_light(movies):
    masks, counts = np.unique(movies.age_mask_I, return_counts=True)
    assert set(masks.tolist()) <= {ALL_AGES, ALL_AGES & ~0b10, ALL_AGES & ~0b1000000}
    assert counts.max() > 0.5 * counts.sum()


def test_bids_are_positive(movies):
    assert movies.bid_micros_I.min() > 0
    assert set(movies.bid_type_I.tolist()) == {0, 1, 2}


def test_vectors_have_length_one(data):
    for view in embed_movies(data):
        assert view.shape == (80, 32)
        assert view.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(view, axis=1), 1.0, atol=1e-5)


def test_copies_have_equal_vectors_and_genres_cluster(data, movies):
    for view in embed_movies(data):
        np.testing.assert_allclose(view[0], view[1], atol=1e-5)
        cosine = view @ view.T
        same = movies.category_I[:, None] == movies.category_I
        assert cosine[same].mean() > cosine[~same].mean() + 0.1


def test_vectors_ignore_the_ratings(data):
    none = np.zeros(0, dtype=np.int64)
    bare = data._replace(user_R=none, movie_R=none, rating_R=none, second_R=none)
    for with_ratings, without in zip(embed_movies(data), embed_movies(bare), strict=True):
        np.testing.assert_array_equal(with_ratings, without)
