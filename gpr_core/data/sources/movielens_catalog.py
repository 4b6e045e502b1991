"""Movies as ads and as content: categories, vectors, and the synthetic commercial side.

Half of the movies, by keyed hash, play the ads; the others play organic content. I = movies,
A = movies that are ads, D = vector length, H = hashed n-grams.

Source: specification 6.2 (public data adapter).
"""

from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.data.days import day_start_ms
from gpr_core.data.keyed_sampling import keyed_hash, keyed_normal, keyed_uniform
from gpr_core.data.privacy import keyed_ids
from gpr_core.data.sources.movielens_files import MovieLens
from gpr_core.data.tables import DAY_MS
from gpr_core.support.hashing import hash_value
from gpr_core.support.seeding import derive_seed

TEXT_DIM = 32
IMAGE_DIM = 32
ALL_AGES = 0b1111111

_NUM_HASHED = 512
_GRAM = 3
_MEDIAN_ECPM = 20.0
_BID_SIGMA = 0.6
_TYPICAL_CTR, _TYPICAL_CVR = 0.55, 0.38
_BID_TYPE_EDGES = (0.2, 0.5)
_RESTRICTED_SHARE = 0.3
_YOUNGEST, _OLDEST = 1, 6
_OLDEST_YEAR, _YEARS_PER_BRAND = 1920, 2

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Singles = npt.NDArray[np.float32]


class Movies(NamedTuple):
    """Movies as the lake sees them.

    Attributes:
        key_I: [I] uint64.
        is_ad_I: [I] bool.
        category_I: [I] int64, first genre.
        subcategory_I: [I] int64, first two genres.
        brand_I: [I] int64, two-year release period, standing for a brand.
        hash_I: [I] uint64, equal for movies of the same title, year and genres.
        launch_ts_I: [I] int64 epoch ms, start of the release year, before the first day.
        bid_type_I: [I] int64, synthetic.
        bid_micros_I: [I] int64, synthetic.
        age_mask_I: [I] int64, synthetic targeting: some ads leave out the youngest or the oldest.
    """

    key_I: Keys
    is_ad_I: npt.NDArray[np.bool_]
    category_I: Ints
    subcategory_I: Ints
    brand_I: Ints
    hash_I: Keys
    launch_ts_I: Ints
    bid_type_I: Ints
    bid_micros_I: Ints
    age_mask_I: Ints


def secret_of(seed: int) -> bytes:
    """Derive the key of the identifiers; public data need no better kept secret.

    Args:
        seed: Seed of the lake.

    Returns:
        32 bytes.
    """
    return b"".join(derive_seed(seed, "movielens", part).to_bytes(8, "little") for part in range(4))


def build_movies(data: MovieLens, seed: int, first_day: date) -> Movies:
    """Turn movies into ads and content.

    Args:
        data: The data as published.
        seed: Seed of the lake.
        first_day: First landed day.

    Returns:
        All movies.
    """
    row_I = np.array([int(raw) for raw in data.movie_ids], dtype=np.int64)
    names = sorted({genre for genres in data.genres for genre in genres})
    number = {name: position for position, name in enumerate(names)}
    category = [number[genres[0]] if genres else 0 for genres in data.genres]
    pairs = [tuple(genres[:2]) for genres in data.genres]
    pair_number = {pair: position for position, pair in enumerate(sorted(set(pairs)))}
    texts = [
        hash_value([title, int(year), list(genres)])
        for title, year, genres in zip(data.titles, data.years, data.genres, strict=True)
    ]
    period_I = np.maximum(data.years - _OLDEST_YEAR, 0) // _YEARS_PER_BRAND
    bid_type_I, bid_micros_I = _bids(seed, row_I)
    return Movies(
        key_I=keyed_ids(data.movie_ids, secret_of(seed), space="movie"),
        is_ad_I=keyed_hash(seed, "movielens_half", row_I) % np.uint64(2) == 0,
        category_I=np.array(category, dtype=np.int64),
        subcategory_I=np.array([pair_number[pair] for pair in pairs], dtype=np.int64),
        brand_I=period_I.astype(np.int64),
        hash_I=keyed_ids(texts, secret_of(seed), space="content"),
        launch_ts_I=_launches(data.years, first_day),
        bid_type_I=bid_type_I,
        bid_micros_I=bid_micros_I,
        age_mask_I=_age_masks(seed, row_I),
    )


def embed_movies(data: MovieLens) -> tuple[Singles, Singles]:
    """Embed the static catalog: no rating is looked at.

    Text: word and character n-grams of title and genres, hashed, weighted, truncated SVD. There are
    no pictures in the data: a second projection of genres and release year stands for them.

    Args:
        data: The data as published.

    Returns:
        Text [I, 32] and image [I, 32] vectors, float32, rows of length 1.
    """
    words = [
        [f"g:{genre}" for genre in genres] * 2
        + [f"w:{word.lower()}" for word in title.split()]
        + [f"c:{gram}" for gram in _grams(title.lower())]
        for title, genres in zip(data.titles, data.genres, strict=True)
    ]
    looks = [
        [f"g:{genre}" for genre in genres] * 3
        + [f"{first}+{second}" for first in genres for second in genres if first < second]
        + [f"y:{int(year)}", f"d:{int(year) // 10}", f"p:{int(year) // 3}", f"t:{title[:1]}"]
        for title, year, genres in zip(data.titles, data.years, data.genres, strict=True)
    ]
    return _project(words, TEXT_DIM), _project(looks, IMAGE_DIM)


def _grams(text: str) -> list[str]:
    """List the character n-grams of a text."""
    return [text[start : start + _GRAM] for start in range(max(len(text) - _GRAM + 1, 1))]


def _project(tokens: list[list[str]], width: int) -> Singles:
    """Hash tokens to columns, damp common ones, keep the first singular directions."""
    vocabulary = sorted({token for row in tokens for token in row})
    column_of = {token: int(hash_value(token)[:8], 16) % _NUM_HASHED for token in vocabulary}
    counts = np.zeros((len(tokens), _NUM_HASHED))
    for row, entries in enumerate(tokens):
        np.add.at(counts[row], [column_of[token] for token in entries], 1.0)
    rarity = np.log((1.0 + len(tokens)) / (1.0 + (counts > 0).sum(axis=0)))
    weighted = np.log1p(counts) * rarity
    weighted /= np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-12)
    left, sizes, right = np.linalg.svd(weighted, full_matrices=False)
    # The sign of a singular direction is arbitrary: make its largest loading positive.
    sign = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    vectors = np.zeros((len(tokens), width))
    kept = min(width, len(sizes))
    vectors[:, :kept] = (left * sizes * sign)[:, :kept]
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.where(norm > 1e-9, vectors / np.maximum(norm, 1e-9), 1.0 / np.sqrt(width))
    return np.asarray(vectors, dtype=np.float32)


def _bids(seed: int, row_I: Ints) -> tuple[Ints, Ints]:
    """Draw bid types and log-normal bids of about equal eCPM."""
    kind_I = np.searchsorted(_BID_TYPE_EDGES, keyed_uniform(seed, "movielens_bid_type", row_I))
    unit = np.array([1.0, 1000.0 * _TYPICAL_CTR, 1000.0 * _TYPICAL_CTR * _TYPICAL_CVR])
    ecpm_I = _MEDIAN_ECPM * np.exp(_BID_SIGMA * keyed_normal(seed, "movielens_bid", row_I))
    bid_I = np.maximum(ecpm_I / unit[kind_I] * 1e6, 1.0).astype(np.int64)
    return kind_I.astype(np.int64), bid_I


def _age_masks(seed: int, row_I: Ints) -> Ints:
    """Let three ads in ten leave out the youngest or the oldest age bucket."""
    draw_I = keyed_uniform(seed, "movielens_targeting", row_I) / _RESTRICTED_SHARE
    left_out_I = np.where(draw_I < 0.5, 1 << _YOUNGEST, np.where(draw_I < 1.0, 1 << _OLDEST, 0))
    return np.asarray(ALL_AGES & ~left_out_I, dtype=np.int64)


def _launches(years: Ints, first_day: date) -> Ints:
    """Launch each movie with its release year, at the latest the day before the first day."""
    epoch = np.datetime64("1970-01-01", "D")
    starts = np.array([f"{max(int(year), 1970)}-01-01" for year in years], dtype="datetime64[D]")
    days = (starts - epoch).astype(np.int64)
    return np.asarray(np.minimum(days * DAY_MS, day_start_ms(first_day) - DAY_MS))
