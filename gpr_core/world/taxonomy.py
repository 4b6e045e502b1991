"""Categories, brands, products, creatives and content, with their latents and embeddings.

Every attribute is a keyed draw of its index, so that the first n items are the same whatever the
number of items: a catalog that grows by launches never changes what was there.

A = items (ads or content), P = products, D = latent width.

Source: specification 6.2 (latent sums, shared category and brand vectors, Zipf popularity).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpr_core.data.keyed_sampling import keyed_hash, keyed_normal, keyed_uniform
from gpr_core.support.seeding import numpy_stream
from gpr_core.world.config import WorldConfig

LATENT_WIDTH = 16
SUBCATEGORIES = 4

_HIDDEN_WIDTH = 64
_ZIPF = 0.7
_GEM_POPULARITY = 0.002
_DUPLICATE_SHARE = 0.25
_OBSERVATION_NOISE = 0.05

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Products:
    """What is advertised.

    Attributes:
        category_P: [P] int64, first-level category.
        subcategory_P: [P] int64, second-level category, unique over categories.
        brand_P: [P] int64, brand, unique over categories.
        vector_PD: [P, D] float64, product vector of about unit length.
        latent_PD: [P, D] float64, category + brand + product vector.
        log_price_P: [P] float64, standardized log price.
        order_value_P: [P] float64, median order value in currency units.
    """

    category_P: Ints
    subcategory_P: Ints
    brand_P: Ints
    vector_PD: Floats
    latent_PD: Floats
    log_price_P: Floats
    order_value_P: Floats


@dataclass(frozen=True, slots=True)
class AdCatalog:
    """The immutable part of the first A ads.

    Attributes:
        key_A: [A] uint64, ad keys.
        product_A: [A] int64, row in `products`.
        category_A: [A] int64, first-level category.
        brand_A: [A] int64, brand.
        hash_A: [A] uint64, content hash; equal for exact duplicates.
        latent_AD: [A, D] float64.
        popularity_A: [A] float64, Zipf weight in (0, 1].
        is_gem_A: [A] bool, high bid and least popularity by construction.
        products: The products.
    """

    key_A: Keys
    product_A: Ints
    category_A: Ints
    brand_A: Ints
    hash_A: Keys
    latent_AD: Floats
    popularity_A: Floats
    is_gem_A: npt.NDArray[np.bool_]
    products: Products


@dataclass(frozen=True, slots=True)
class ContentCatalog:
    """The first A organic items.

    Attributes:
        key_A: [A] uint64, content keys.
        category_A: [A] int64, first-level category.
        subcategory_A: [A] int64, second-level category.
        brand_A: [A] int64, the brand it is about.
        hash_A: [A] uint64, content hash.
        latent_AD: [A, D] float64.
        popularity_A: [A] float64, Zipf weight in (0, 1].
        kind_A: [A] int64, `ContentKind`.
    """

    key_A: Keys
    category_A: Ints
    subcategory_A: Ints
    brand_A: Ints
    hash_A: Keys
    latent_AD: Floats
    popularity_A: Floats
    kind_A: Ints


def positive_keys(seed: int, purpose: str, *keys: npt.ArrayLike) -> Keys:
    """Draw keys that fit in int64 and are never 0.

    Args:
        seed: World seed.
        purpose: What the keys name.
        *keys: Integer arrays that broadcast together.

    Returns:
        [broadcast] uint64 in [1, 2**63).
    """
    return np.asarray(
        np.maximum(keyed_hash(seed, purpose, *keys) >> np.uint64(1), 1), dtype=np.uint64
    )


def build_ads(config: WorldConfig, num_ads: int) -> AdCatalog:
    """Draw the first ads: creatives of products, one to four each, some of them exact copies.

    Args:
        config: The world.
        num_ads: A, how many ads.

    Returns:
        Their immutable attributes.
    """
    seed, row_A = config.seed, np.arange(num_ads)
    size_P = 1 + np.floor(4 * keyed_uniform(seed, "product_size", row_A)).astype(np.int64)
    end_P = np.cumsum(size_P)
    product_A = np.searchsorted(end_P, row_A, side="right")
    products = _build_products(config, int(product_A[-1]) + 1)
    is_copy_A = keyed_uniform(seed, "ad_copy", row_A) < _DUPLICATE_SHARE
    variant_A = np.where(is_copy_A, 0, row_A - (end_P - size_P)[product_A])
    noise_AD = _vectors(seed, "creative", product_A * 8 + variant_A)
    is_gem_A = keyed_uniform(seed, "gem", row_A) < 0.02
    popularity_A = _zipf(seed, "ad_popularity", row_A, config.num_ads)
    return AdCatalog(
        key_A=positive_keys(seed, "ad", row_A),
        product_A=product_A,
        category_A=products.category_P[product_A],
        brand_A=products.brand_P[product_A],
        hash_A=positive_keys(seed, "ad_content", product_A, variant_A),
        latent_AD=products.latent_PD[product_A] + 0.08 * noise_AD,
        popularity_A=np.where(is_gem_A, _GEM_POPULARITY * config.num_ads**-_ZIPF, popularity_A),
        is_gem_A=is_gem_A,
        products=products,
    )


def build_content(config: WorldConfig, num_content: int) -> ContentCatalog:
    """Draw the first organic items.

    Args:
        config: The world.
        num_content: A, how many items.

    Returns:
        Their attributes; latents share the category and brand vectors of the ads.
    """
    seed, row_A = config.seed, np.arange(num_content)
    category_A, subcategory_A, brand_A = _draw_taxonomy(config, "content", row_A)
    # One item in ten is a copy of the item before it, re-uploaded by another author.
    is_copy_A = (keyed_uniform(seed, "content_copy", row_A) < 0.1) & (row_A > 0)
    origin_A = row_A - is_copy_A
    category_A, subcategory_A, brand_A = (
        values[origin_A] for values in (category_A, subcategory_A, brand_A)
    )
    own_AD = _vectors(seed, "content_vector", origin_A)
    shared_AD = _shared_latent(config, category_A, brand_A)
    return ContentCatalog(
        key_A=positive_keys(seed, "content", row_A),
        category_A=category_A,
        subcategory_A=subcategory_A,
        brand_A=brand_A,
        hash_A=positive_keys(seed, "content_content", origin_A),
        latent_AD=shared_AD + 0.45 * own_AD,
        popularity_A=_zipf(seed, "content_popularity", row_A, config.num_content),
        kind_A=np.floor(3 * keyed_uniform(seed, "content_kind", row_A)).astype(np.int64),
    )


def observe(
    config: WorldConfig, latent_AD: Floats, hash_A: Keys
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Turn latents into what a text and an image encoder would give.

    Two different random nonlinear maps plus noise; items of one content hash get equal vectors.

    Args:
        config: The world.
        latent_AD: [A, D] float64.
        hash_A: [A] uint64, content hashes, the keys of the noise.

    Returns:
        Text [A, text_dim] and image [A, image_dim] embeddings, float32, rows of length 1.
    """
    text = _observe_one(config.seed, "text", latent_AD, hash_A, config.text_dim)
    image = _observe_one(config.seed, "image", latent_AD, hash_A, config.image_dim)
    return text, image


def category_popularity(config: WorldConfig) -> Floats:
    """Give the share of each category.

    Args:
        config: The world.

    Returns:
        [num_categories] float64, summing to 1.
    """
    rank = np.argsort(keyed_uniform(config.seed, "category", np.arange(config.num_categories)))
    share = (1.0 + rank) ** -0.5
    return np.asarray(share / share.sum())


def _build_products(config: WorldConfig, num_products: int) -> Products:
    """Draw the first products."""
    seed, row_P = config.seed, np.arange(num_products)
    category_P, subcategory_P, brand_P = _draw_taxonomy(config, "product", row_P)
    vector_PD = _vectors(seed, "product_vector", row_P)
    log_price_P = keyed_normal(seed, "price", row_P)
    return Products(
        category_P=category_P,
        subcategory_P=subcategory_P,
        brand_P=brand_P,
        vector_PD=vector_PD,
        latent_PD=_shared_latent(config, category_P, brand_P) + 0.45 * vector_PD,
        log_price_P=log_price_P,
        order_value_P=40.0 * np.exp(0.9 * log_price_P),
    )


def _draw_taxonomy(config: WorldConfig, purpose: str, row_A: Ints) -> tuple[Ints, Ints, Ints]:
    """Draw category, subcategory and brand of each row."""
    seed = config.seed
    edges = np.cumsum(category_popularity(config))[:-1]
    category = np.searchsorted(edges, keyed_uniform(seed, f"{purpose}_category", row_A))
    sub = np.floor(SUBCATEGORIES * keyed_uniform(seed, f"{purpose}_sub", row_A)).astype(np.int64)
    within = np.floor(
        config.brands_per_category * keyed_uniform(seed, f"{purpose}_brand", row_A)
    ).astype(np.int64)
    return (
        category,
        category * SUBCATEGORIES + sub,
        category * config.brands_per_category + within,
    )


def _shared_latent(config: WorldConfig, category_A: Ints, brand_A: Ints) -> Floats:
    """Add up the vectors that ads and content of one category and brand share."""
    category = _vectors(config.seed, "category_vector", np.arange(config.num_categories))
    brands = np.arange(config.num_categories * config.brands_per_category)
    brand = _vectors(config.seed, "brand_vector", brands)
    return np.asarray(1.0 * category[category_A] + 0.6 * brand[brand_A])


def _vectors(seed: int, purpose: str, row_A: npt.ArrayLike) -> Floats:
    """Draw vectors of about unit length, keyed by row."""
    axis = np.arange(LATENT_WIDTH)
    draws = keyed_normal(seed, purpose, np.asarray(row_A)[:, None], axis)
    return np.asarray(draws / np.sqrt(LATENT_WIDTH))


def _zipf(seed: int, purpose: str, row_A: Ints, scale: int) -> Floats:
    """Draw Zipf popularity: a uniform rank among `scale` items, to the power -0.7."""
    rank = np.floor(scale * keyed_uniform(seed, purpose, row_A))
    return np.asarray((1.0 + rank) ** -_ZIPF)


def _observe_one(
    seed: int, view: str, latent_AD: Floats, hash_A: Keys, width: int
) -> npt.NDArray[np.float32]:
    """Apply one random two-layer map, add noise, scale rows to length 1."""
    stream = numpy_stream(seed, "observe", view)
    first = stream.normal(size=(LATENT_WIDTH, _HIDDEN_WIDTH))
    second = stream.normal(size=(_HIDDEN_WIDTH, width)) / np.sqrt(_HIDDEN_WIDTH)
    clean = np.tanh(latent_AD @ first) @ second
    clean /= np.linalg.norm(clean, axis=1, keepdims=True)
    noise = keyed_normal(seed, f"{view}_noise", hash_A[:, None], np.arange(width))
    noisy = clean + _OBSERVATION_NOISE / np.sqrt(width) * noise
    unit = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    return np.asarray(unit, dtype=np.float32)
