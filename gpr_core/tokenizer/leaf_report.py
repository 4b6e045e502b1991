"""What stands where in the code space, for people: the largest leaves and a tree of codes.

Nothing here is read by a model; titles and labels only help a person to judge the ids.

Letters: M items, L levels, D width, P occupied paths.

Source: own; specification 2.3 asks for the numbers only.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.quality import path_ids, path_similarity
from gpr_core.tokenizer.residual import Floats
from gpr_core.tokenizer.title_words import TitleWords, distinctive_words

Ints = npt.NDArray[np.int64]

_MAX_TITLES = 5
_MAX_CATEGORIES = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadableItems:
    """What a person can read about the items.

    Attributes:
        is_ad_M: [M] bool, False for content.
        category_M: [M] int64, -1 unknown.
        titles: M titles, empty where unknown.
        words: Their words.
    """

    is_ad_M: npt.NDArray[np.bool_]
    category_M: Ints
    titles: Sequence[str]
    words: TitleWords


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryShare:
    """How much of a leaf one category has.

    Attributes:
        category: Its code.
        label: The most distinctive words of its titles, may be empty.
        share: Share of the items of the leaf, in [0, 1].
    """

    category: int
    label: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The items of one path.

    Attributes:
        path: Codes, one per level.
        num_items: Items with this path.
        num_ads: Ads among them.
        mean_cosine: Mean cosine of their pairs in the space of the item vectors; None for one item.
        categories: Up to three, the most frequent first.
        titles: Up to five distinct ones, the most frequent first.
    """

    path: tuple[int, ...]
    num_items: int
    num_ads: int
    mean_cosine: float | None
    categories: tuple[CategoryShare, ...]
    titles: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Turn the leaf into JSON values.

        Returns:
            One entry per attribute.
        """
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeNode:
    """The items below one code.

    Attributes:
        code: Code of the level.
        label: The most distinctive words of its titles, may be empty.
        num_items: Items below it.
        num_ads: Ads among them.
        children: Its largest codes of the next level.
    """

    code: int
    label: str
    num_items: int
    num_ads: int
    children: tuple["CodeNode", ...]

    def to_json(self) -> dict[str, Any]:
        """Turn the node into JSON values.

        Returns:
            One entry per attribute, children likewise.
        """
        return asdict(self)


def largest_leaves(
    x_MD: Floats, code_ML: npt.NDArray[np.int16], items: ReadableItems, *, limit: int
) -> tuple[Leaf, ...]:
    """Describe the paths that most items share.

    Args:
        x_MD: [M, D] float32 item vectors.
        code_ML: [M, L] codes.
        items: What a person can read about them.
        limit: Most leaves to describe.

    Returns:
        The largest leaves, equal sizes in the order of their paths.

    Raises:
        ShapeError: If `code_ML` has another number of items.
    """
    check_shape("code_ML", code_ML, (len(x_MD), code_ML.shape[1]))
    path_M = path_ids(code_ML)
    size_P = np.bincount(path_M)
    largest = np.argsort(-size_P, kind="stable")[:limit]
    label_of = distinctive_words(items.words, items.category_M)
    leaves = []
    for path in largest:
        rows = np.flatnonzero(path_M == path)
        similarity = path_similarity(x_MD[rows], np.zeros(rows.size, dtype=np.int64))
        categories = _most_frequent(items.category_M[rows], _MAX_CATEGORIES)
        leaves.append(
            Leaf(
                path=tuple(code_ML[rows[0]].tolist()),
                num_items=int(rows.size),
                num_ads=int(items.is_ad_M[rows].sum()),
                mean_cosine=None if similarity is None else similarity[0],
                categories=tuple(
                    CategoryShare(
                        category=category, label=label_of[category], share=count / rows.size
                    )
                    for category, count in categories
                ),
                titles=_titles(items.titles, rows),
            )
        )
    return tuple(leaves)


def code_tree(
    code_ML: npt.NDArray[np.int16],
    is_ad_M: npt.NDArray[np.bool_],
    words: TitleWords,
    *,
    limits: Sequence[int],
) -> tuple[CodeNode, ...]:
    """List the largest codes of the first levels, each with its largest codes of the next.

    The label of a code tells it from the other codes below the same parent.

    Args:
        code_ML: [M, L] codes.
        is_ad_M: [M] bool, False for content.
        words: Words of the titles.
        limits: Most codes of a parent, one entry per level to list, at most L.

    Returns:
        Nodes of the first level, the largest first, equal sizes by code.
    """
    if not limits or not code_ML.shape[1]:
        return ()
    code_M = code_ML[:, 0].astype(np.int64)
    label_of = distinctive_words(words, code_M)
    nodes = []
    for code, count in _most_frequent(code_M, limits[0]):
        is_here_M = code_M == code
        nodes.append(
            CodeNode(
                code=code,
                label=label_of[code],
                num_items=count,
                num_ads=int(is_ad_M[is_here_M].sum()),
                children=code_tree(
                    code_ML[is_here_M, 1:],
                    is_ad_M[is_here_M],
                    words.take(is_here_M),
                    limits=limits[1:],
                ),
            )
        )
    return tuple(nodes)


def _most_frequent(value_M: Ints, limit: int) -> list[tuple[int, int]]:
    """List the most frequent values with their counts, equal counts by value."""
    values, counts = np.unique(value_M, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:limit]
    return list(zip(values[order].tolist(), counts[order].tolist(), strict=True))


def _titles(titles: Sequence[str], rows: Ints) -> tuple[str, ...]:
    """Choose distinct titles, the most frequent first, equal counts in alphabetical order."""
    counts = Counter(titles[row] for row in rows if titles[row])
    ordered = sorted(counts, key=lambda title: (-counts[title], title))
    return tuple(ordered[:_MAX_TITLES])
