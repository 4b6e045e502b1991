"""Texts as hashed words, the form in which the model reads them."""

from functools import lru_cache
from zlib import crc32

from gpr_core.embeddings.hashed_text import word_tokens
from gpr_core.features.batch import NUM_WORD_BUCKETS


def thought_words(text: str) -> list[int]:
    """Hash the words and the pairs of neighboring words of a text.

    Args:
        text: Any text.

    Returns:
        Distinct ids in [1, `NUM_WORD_BUCKETS`), ascending; 0 stays free for "no word".

    Source:
        Specification 3.5 (8192 buckets).

    Example:
        >>> len(thought_words("red tea")), len(thought_words("Red tea, red tea"))
        (3, 4)
    """
    return sorted({_bucket(token) for token in word_tokens(text)})


@lru_cache(maxsize=1 << 16)
def _bucket(token: str) -> int:
    """Hash one token; thoughts say few words again and again."""
    return 1 + crc32(token.encode()) % (NUM_WORD_BUCKETS - 1)
