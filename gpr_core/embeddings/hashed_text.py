"""Texts as hashed n-grams, weighed by how much a match says.

No vocabulary is kept: an n-gram is counted in the column that a checksum of it names, so that a new
word needs no new column. Columns are damped by how many training texts use them.

Letters: N texts, C hashed columns, U columns that the training texts use.

Source: own; the usual sublinear tf-idf with feature hashing.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from gpr_core.support.shapes import check_shape

NUM_COLUMNS = 1 << 18

# Chinese and Japanese put no spaces between words: there each character counts as one.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_GRAM = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rarity:
    """What was fitted on the training texts.

    Attributes:
        column_U: [U] int32, hashed columns in use, ascending.
        weight_U: [U] float32, log of training texts per text that uses the column.
    """

    column_U: npt.NDArray[np.int32]
    weight_U: npt.NDArray[np.float32]


def text_tokens(text: str) -> list[str]:
    """List what a text is compared by.

    Args:
        text: Any text; case and Unicode compatibility forms make no difference.

    Returns:
        Words `w:`, pairs of neighboring words `p:` and character 3-grams of padded words `c:`.

    Example:
        >>> text_tokens("Red tea")
        ['w:red', 'w:tea', 'p:red tea', 'c: re', 'c:red', 'c:ed ', 'c: te', 'c:tea', 'c:ea ']
    """
    words = _words(text)
    padded = [f" {word} " for word in words]
    return [
        *_words_and_pairs(words),
        *(f"c:{word[at : at + _GRAM]}" for word in padded for at in range(len(word) - _GRAM + 1)),
    ]


def word_tokens(text: str) -> list[str]:
    """List the tokens of a text that are words or pairs of words.

    Args:
        text: Any text, read as in `text_tokens`.

    Returns:
        Words `w:`, then pairs of neighboring words `p:`.

    Example:
        >>> word_tokens("Red tea")
        ['w:red', 'w:tea', 'p:red tea']
    """
    return _words_and_pairs(_words(text))


def count_tokens(texts: Iterable[Sequence[str]]) -> csr_array:
    """Count tokens in hashed columns.

    Args:
        texts: Tokens of each of the N texts.

    Returns:
        [N, 2**18] float32 counts, column indices sorted.

    Example:
        >>> count_tokens([["a", "b", "a"], []]).sum(axis=1).tolist()
        [3.0, 0.0]
    """
    mask = NUM_COLUMNS - 1
    # A checksum, not Python's hash, which differs from process to process.
    rows = [
        np.fromiter((crc32(token.encode()) & mask for token in tokens), np.int32, len(tokens))
        for tokens in texts
    ]
    ends = np.cumsum([0, *(row.size for row in rows)])
    columns = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
    ones = np.ones(columns.size, dtype=np.float32)
    count_NC = csr_array((ones, columns, ends), shape=(len(rows), NUM_COLUMNS))
    count_NC.sum_duplicates()
    return count_NC


def fit_rarity(count_NC: csr_array) -> Rarity:
    """Learn how rare each column is.

    Args:
        count_NC: [N, C] counts of the training texts.

    Returns:
        The columns in use and log((1 + N) / (1 + texts that use it)).
    """
    texts_C = np.bincount(count_NC.indices, minlength=count_NC.shape[1])
    column_U = np.flatnonzero(texts_C)
    weight_U = np.log((1.0 + count_NC.shape[0]) / (1.0 + texts_C[column_U]))
    return Rarity(column_U=column_U.astype(np.int32), weight_U=weight_U.astype(np.float32))


def weigh_counts(count_NC: csr_array, rarity: Rarity) -> csr_array:
    """Weigh counts: 1 + log(count), times rarity, rows of length 1.

    Args:
        count_NC: [N, C] counts of any texts.
        rarity: Fitted on the training texts.

    Returns:
        [N, U] float32; a text that shares nothing with the training texts is a row of zeros.

    Raises:
        ShapeError: If the counts do not have 2**18 columns.
    """
    check_shape("count_NC", count_NC, (None, NUM_COLUMNS))
    x_NU = count_NC[:, rarity.column_U]
    x_NU.data = (1.0 + np.log(x_NU.data)) * rarity.weight_U[x_NU.indices]
    row_of_entry = np.repeat(np.arange(x_NU.shape[0]), np.diff(x_NU.indptr))
    squares_N = np.bincount(row_of_entry, weights=x_NU.data**2, minlength=x_NU.shape[0])
    norm_N = np.sqrt(np.maximum(squares_N, np.finfo(np.float32).tiny)).astype(np.float32)
    x_NU.data /= norm_N[row_of_entry]
    return x_NU


def _words(text: str) -> list[str]:
    """Cut a text into words."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _words_and_pairs(words: Sequence[str]) -> list[str]:
    """Mark words and pairs of neighboring words as such."""
    pairs = (f"p:{first} {second}" for first, second in pairwise(words))
    return [*(f"w:{word}" for word in words), *pairs]
