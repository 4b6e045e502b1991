"""Invented titles of ads and content, so that reports of the world can be read.

Every title is a keyed draw of what it names: exact copies share theirs, and a catalog that grows
never renames what was there. Nothing else in the world depends on them.

A = items (ads or content), Q = names to invent.

Source: own.
"""

import numpy as np
import numpy.typing as npt

from gpr_core.data.keyed_sampling import keyed_hash
from gpr_core.world.taxonomy import SUBCATEGORIES, AdCatalog, ContentCatalog

Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

# One word per first-level category; a world has at most 60 of them.
CATEGORY_WORDS = (
    "coffee", "shoes", "garden", "travel", "games", "books", "music", "camera", "kitchen",
    "fitness", "toys", "jewelry", "insurance", "bicycle", "furniture", "skincare", "pets", "phone",
    "laptop", "cinema", "tea", "watches", "camping", "hotel", "puzzle", "comics", "guitar",
    "drone", "bakery", "yoga", "dolls", "perfume", "banking", "scooter", "lighting", "shampoo",
    "aquarium", "tablet", "printer", "theater", "juice", "bags", "fishing", "cruise", "chess",
    "poetry", "piano", "telescope", "cheese", "tennis", "kites", "glasses", "loans", "tires",
    "carpets", "soap", "horses", "headphones", "router", "museum",
)  # fmt: skip
_SUBCATEGORY_WORDS = ("starter", "classic", "premium", "compact")
_AD_WORDS = ("offer", "launch", "sale", "bundle", "gift", "edition", "trial", "collection")
_CONTENT_WORDS = ("review", "tips", "story", "guide", "unboxing", "tour", "news", "interview")
_SYLLABLES = tuple(first + second for first in "bdflmnrstv" for second in "aeiou")
_ENDINGS = ("", "l", "n", "r", "s", "x")


def ad_titles(seed: int, ads: AdCatalog, rows: Ints) -> Names:
    """Invent titles of ads: brand, subcategory, category, product and creative.

    Args:
        seed: World seed.
        ads: The ads.
        rows: [A] int64, which of them.

    Returns:
        [A] text, for example `Tovan premium coffee Rakule gift`.
    """
    product_A = ads.product_A[rows]
    return _join(
        _invented_names(seed, "brand_name", ads.brand_A[rows], num_syllables=2),
        _subcategory_words(ads.products.subcategory_P[product_A]),
        np.take(CATEGORY_WORDS, ads.category_A[rows]),
        _invented_names(seed, "product_name", product_A, num_syllables=3),
        _keyed_words(seed, "ad_title", ads.hash_A[rows], _AD_WORDS),
    )


def content_titles(seed: int, content: ContentCatalog, rows: Ints) -> Names:
    """Invent titles of organic items: the brand they are about, subcategory, category and genre.

    Args:
        seed: World seed.
        content: The organic items.
        rows: [A] int64, which of them.

    Returns:
        [A] text, for example `Tovan premium coffee review`.
    """
    return _join(
        _invented_names(seed, "brand_name", content.brand_A[rows], num_syllables=2),
        _subcategory_words(content.subcategory_A[rows]),
        np.take(CATEGORY_WORDS, content.category_A[rows]),
        _keyed_words(seed, "content_title", content.hash_A[rows], _CONTENT_WORDS),
    )


def _invented_names(seed: int, purpose: str, number_Q: Ints, *, num_syllables: int) -> Names:
    """Put names together from syllables, an ending and a capital letter."""
    syllables = [
        _keyed_words(seed, f"{purpose}_{place}", number_Q, _SYLLABLES)
        for place in range(num_syllables)
    ]
    endings = _keyed_words(seed, f"{purpose}_ending", number_Q, _ENDINGS)
    name_Q = endings
    for part in reversed(syllables):
        name_Q = np.char.add(part, name_Q)
    return np.char.capitalize(name_Q)


def _subcategory_words(subcategory_A: Ints) -> Names:
    """Name second-level categories; each category has the same four."""
    return np.take(_SUBCATEGORY_WORDS, subcategory_A % SUBCATEGORIES)


def _keyed_words(
    seed: int, purpose: str, key_Q: npt.NDArray[np.integer], words: tuple[str, ...]
) -> Names:
    """Draw one of the words for each key."""
    place_Q = keyed_hash(seed, purpose, key_Q) % np.uint64(len(words))
    return np.take(words, place_Q.astype(np.int64))


def _join(*parts: Names) -> Names:
    """Join words with a space."""
    joined = parts[0]
    for part in parts[1:]:
        joined = np.char.add(np.char.add(joined, " "), part)
    return joined
