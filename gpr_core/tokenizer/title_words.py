"""Words that tell groups of items apart, taken from their titles: labels for people only.

Letters: M items, G groups, N words of the vocabulary, Q (item, word) pairs.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# A letter first, at least two characters; `children's` and `sci-fi` are one word.
_WORD = re.compile(r"[^\W\d_]\w+(?:['-]\w+)*")
# Words that name nothing; in a small group they stand out by chance.
_FUNCTION_WORDS = frozenset(
    (
        "about", "all", "an", "and", "are", "as", "at", "be", "by", "das", "de", "der", "die",
        "du", "el", "en", "et", "for", "from", "her", "his", "il", "in", "is", "it", "its", "la",
        "le", "les", "los", "my", "no", "not", "of", "on", "or", "our", "that", "the", "this",
        "to", "un", "und", "was", "we", "what", "when", "with", "you", "your",
    )
)  # fmt: skip
# Scores that differ by rounding only must tie, so that every machine breaks the tie by count.
_SCORE_DIGITS = 9


class TitleWords(NamedTuple):
    """Which words stand in which titles.

    Attributes:
        num_items: M.
        vocabulary: N words, lower case, sorted.
        item_Q: [Q] int64, row of the item, ascending.
        word_Q: [Q] int64, place in the vocabulary; a word counts once per item.
    """

    num_items: int
    vocabulary: tuple[str, ...]
    item_Q: Ints
    word_Q: Ints

    def take(self, is_taken_M: npt.NDArray[np.bool_]) -> "TitleWords":
        """Keep the words of some items.

        Args:
            is_taken_M: [M] bool, which items.

        Returns:
            Their words, with the items numbered anew in the same order.
        """
        number_M = np.cumsum(is_taken_M) - 1
        is_kept_Q = is_taken_M[self.item_Q]
        return TitleWords(
            num_items=int(is_taken_M.sum()),
            vocabulary=self.vocabulary,
            item_Q=number_M[self.item_Q[is_kept_Q]],
            word_Q=self.word_Q[is_kept_Q],
        )


def title_words(titles: Sequence[str]) -> TitleWords:
    """Split titles into words; articles, prepositions and single letters are none.

    Args:
        titles: M titles, may be empty.

    Returns:
        The words of every title.

    Example:
        >>> title_words(["The red tea", "tea, 2 x TEA"]).vocabulary
        ('red', 'tea')
    """
    found = [sorted(set(_WORD.findall(title.lower())) - _FUNCTION_WORDS) for title in titles]
    vocabulary = tuple(sorted({word for words in found for word in words}))
    place = {word: number for number, word in enumerate(vocabulary)}
    return TitleWords(
        num_items=len(found),
        vocabulary=vocabulary,
        item_Q=np.repeat(np.arange(len(found)), [len(words) for words in found]),
        word_Q=np.array([place[word] for words in found for word in words], dtype=np.int64),
    )


def distinctive_words(words: TitleWords, group_M: Ints, *, limit: int = 2) -> dict[int, str]:
    """Label each group with the words that its titles use most beyond the titles of all items.

    A word that stands in the share p of a group's titles and in the share q of all titles scores
    p log(p / q): often here, seldom elsewhere. Words that are rarer here than elsewhere are never
    taken, so that a group may get fewer words, or none.

    Args:
        words: Words of the titles.
        group_M: [M] int64, group of each item.
        limit: Most words of a label.

    Returns:
        Group -> its words, the best first, joined by a comma; every group of `group_M` has one.

    Source:
        Own; the pointwise part of the Kullback-Leibler divergence, a relative of tf-idf.

    Example:
        >>> words = title_words(["old red tea", "red tea", "red car", "fast car"])
        >>> distinctive_words(words, np.array([4, 4, 7, 7]), limit=1)
        {4: 'tea', 7: 'car'}
    """
    groups, place_M = np.unique(group_M, return_inverse=True)
    size_G = np.bincount(place_M, minlength=groups.size)
    num_words = max(len(words.vocabulary), 1)
    total_N = np.bincount(words.word_Q, minlength=num_words)
    pair = place_M[words.item_Q] * num_words + words.word_Q
    key, count = np.unique(pair, return_counts=True)
    group, word = np.divmod(key, num_words)
    share = count / size_G[group]
    score = np.round(share * np.log(share * words.num_items / total_N[word]), _SCORE_DIGITS)
    order = np.lexsort((word, -count, -score, group))
    rank = np.arange(order.size) - np.searchsorted(group[order], group[order])
    labels: dict[int, list[str]] = {int(name): [] for name in groups}
    for row in order[(rank < limit) & (score[order] >= 0)]:
        labels[int(groups[group[row]])].append(words.vocabulary[word[row]])
    return {name: ", ".join(label) for name, label in labels.items()}
