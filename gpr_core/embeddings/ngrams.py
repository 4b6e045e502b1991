"""Texts of items as hashed n-grams.

N = items, U = columns that the training texts use.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from scipy.sparse import csr_array

from gpr_core.embeddings.features import Tensors
from gpr_core.embeddings.hashed_text import (
    Rarity,
    count_tokens,
    fit_rarity,
    text_tokens,
    weigh_counts,
)
from gpr_core.embeddings.raw_items import RawItems
from gpr_core.support.progress import Progress

# A title names the item, a description mostly talks around it.
_TITLE_TIMES = 2
# What a long description says, it says early; a manual must not cost a hundred times a title.
_MOST_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NgramFeatures:
    """Words, pairs of words and character 3-grams.

    Attributes:
        is_title_only: Whether only titles count, or also descriptions, brands and categories.
        rarity: Fitted weights of the hashed columns.
    """

    is_title_only: bool
    rarity: Rarity

    @classmethod
    def fit(
        cls, items: RawItems, progress: Progress, *, is_title_only: bool = False
    ) -> tuple[Self, csr_array]:
        """Learn how rare each n-gram is.

        Args:
            items: Training items.
            progress: Where to report.
            is_title_only: Whether only titles count.

        Returns:
            The features and the [N, U] float32 rows of the training items.
        """
        count_NC = count_tokens(_tokens(items, progress, is_title_only=is_title_only))
        rarity = fit_rarity(count_NC)
        return cls(is_title_only=is_title_only, rarity=rarity), weigh_counts(count_NC, rarity)

    def rows(self, items: RawItems, progress: Progress) -> csr_array:
        """Describe items; see `Features`.

        Args:
            items: Training or new items.
            progress: Where to report.

        Returns:
            [N, U] float32, rows of length 1, or 0 for a text without a known n-gram.
        """
        tokens = _tokens(items, progress, is_title_only=self.is_title_only)
        return weigh_counts(count_tokens(tokens), self.rarity)

    def tensors(self) -> Tensors:
        """Give the arrays; see `Features`.

        Returns:
            Columns and their weights.
        """
        return {"column": self.rarity.column_U, "rarity": self.rarity.weight_U}

    def settings(self) -> dict[str, Any]:
        """Give the plain values; see `Features`.

        Returns:
            Kind and fields.
        """
        return {"kind": "ngrams", "is_title_only": self.is_title_only}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], tensors: Tensors) -> Self:
        """Make the features again; see `Features`.

        Args:
            settings: What `settings` gave.
            tensors: What `tensors` gave.

        Returns:
            Equal features.
        """
        rarity = Rarity(
            column_U=tensors["column"],  # type: ignore[arg-type]
            weight_U=tensors["rarity"],  # type: ignore[arg-type]
        )
        return cls(is_title_only=settings["is_title_only"], rarity=rarity)


def _tokens(items: RawItems, progress: Progress, *, is_title_only: bool) -> Iterator[list[str]]:
    """List the tokens of each item."""
    for row, title in enumerate(items.titles):
        progress.update(row, len(items))
        tokens = text_tokens(title[:_MOST_CHARACTERS])
        if not is_title_only:
            tokens = tokens * _TITLE_TIMES
            others = (items.descriptions[row], items.brands[row], " ".join(items.categories[row]))
            for text in others:
                tokens += text_tokens(text[:_MOST_CHARACTERS])
        yield tokens
