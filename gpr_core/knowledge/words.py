"""Texts as hashed words, the form in which the model reads them."""

from zlib import crc32

from gpr_core.embeddings.hashed_text import text_tokens
from gpr_core.features.batch import NUM_WORD_BUCKETS

_WORD_KINDS = ("w:", "p:")


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
    tokens = {token for token in text_tokens(text) if token.startswith(_WORD_KINDS)}
    return sorted({1 + crc32(token.encode()) % (NUM_WORD_BUCKETS - 1) for token in tokens})
