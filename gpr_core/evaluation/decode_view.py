"""One decode in words: the foremost prefixes of every level, labeled by the ads below them.

Letters: A ads by rank, L levels, N prefixes of a level, U those that are shown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from gpr_core.catalog.bundle import Catalog
from gpr_core.catalog.trie import Trie
from gpr_core.generation.explanation import FATES, ExplainedLevel, Fate
from gpr_core.tokenizer.title_words import distinctive_words, title_words

Ints = npt.NDArray[np.int64]

KEPT_ROWS, OTHER_ROWS = 8, 4

_LABEL_WORDS = 3
_NOTHING = "-"


class PrefixRow(NamedTuple):
    """One prefix that was looked at.

    Attributes:
        codes: Its codes.
        label: Words that titles of the ads below use most beyond all others, else their most
            frequent category.
        fate: What became of it.
        head: Head that the numbers are of, from 0; -1 without an eligible ad.
        probability: Of the prefix under that head; nan without an eligible ad.
        value: Standardized value; nan without an eligible ad.
        score: What the cut went by; nan without an eligible ad.
        num_ads: Ads below it.
        num_eligible: Those that may serve the request.
    """

    codes: tuple[int, ...]
    label: str
    fate: Fate
    head: int
    probability: float
    value: float
    score: float
    num_ads: int
    num_eligible: int

    def name(self) -> str:
        """Write the codes.

        Returns:
            For example `3 / 17`.
        """
        return " / ".join(str(code) for code in self.codes)

    def numbers(self) -> tuple[str, ...]:
        """Write the numbers in the order of `NUMBERS`.

        Returns:
            Texts; a dash where there is no number.
        """
        head = _NOTHING if self.head < 0 else str(self.head + 1)
        return (
            f"{self.num_ads:,}",
            f"{self.num_eligible:,}",
            head,
            _text(self.probability, ".2%"),
            _text(self.value, "+.2f"),
            _text(self.score, "+.2f"),
        )


NUMBERS: Mapping[str, str] = {
    "ads": "ads below the prefix",
    "eligible": "ads below the prefix that may serve the request",
    "head": "the head that likes the prefix most; the numbers to the right are its own",
    "probability": "of the prefix, over the legal codes of every level",
    "value": "predicted value in standard deviations; 0 where the search does not ask for it",
    "score": "what the cut goes by: log-probability plus value bonus, at the last level the value",
}


class LevelView(NamedTuple):
    """One level.

    Attributes:
        level: 0-based level.
        width: Prefixes kept per head at most; None where the search is exhaustive.
        counts: Fate -> all prefixes, in the order of `FATES`, zeros included.
        rows: The foremost prefixes of every fate, in the same order.
    """

    level: int
    width: int | None
    counts: Mapping[Fate, int]
    rows: Sequence[PrefixRow]

    def title(self) -> str:
        """Name the level.

        Returns:
            One line for people, who count levels from 1.
        """
        search = "exhaustive" if self.width is None else f"width {self.width} per head"
        return f"Level {self.level + 1}, {search}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeView:
    """What is shown of one decode.

    Attributes:
        request_key: The request.
        num_ads: Ads of the catalog.
        num_eligible: Ads that may serve the request.
        levels: The levels; none for a request without an eligible ad.
    """

    request_key: int
    num_ads: int
    num_eligible: int
    levels: Sequence[LevelView]


def choose_example(decodes: Sequence[Sequence[ExplainedLevel]]) -> int:
    """Choose the decode that shows most.

    Args:
        decodes: The levels of at least one decode.

    Returns:
        Position of the first decode with the most different fates.
    """
    kinds = [len({place for level in levels for place in level.fate_N}) for levels in decodes]
    return kinds.index(max(kinds))


def titles_by_rank(ads: pa.Table, trie: Trie) -> list[str]:
    """Read the titles of the ads of a catalog.

    Args:
        ads: Lake table `ads`.
        trie: The catalog's tree.

    Returns:
        [A] titles in the order of the ranks; empty where there is none.
    """
    rank = trie.rank_of_ads(ads["ad_key"].to_numpy()).tolist()
    titles = [""] * trie.num_ads
    for place, title in zip(rank, ads["title"].to_pylist(), strict=True):
        if place >= 0:
            titles[place] = title or ""
    return titles


def describe_decode(
    request_key: int,
    num_eligible: int,
    levels: Sequence[ExplainedLevel],
    catalog: Catalog,
    titles: Sequence[str],
) -> DecodeView:
    """Choose the foremost prefixes of every level and label them.

    Args:
        request_key: The request.
        num_eligible: Ads that may serve it.
        levels: Its levels.
        catalog: The catalog that was searched.
        titles: [A] titles of the ads, from `titles_by_rank`.

    Returns:
        The decode in words.
    """
    words = title_words(titles)
    path_AL = catalog.trie.paths_of(torch.arange(catalog.trie.num_ads))
    node_AL = catalog.trie.nodes_of_paths(path_AL).numpy()
    views = []
    for level in levels:
        node_A = node_AL[:, level.level]
        shown = _shown(level)
        first_U = catalog.trie.interval(torch.from_numpy(level.node_N[shown]))[0]
        labels = distinctive_words(words, node_A, limit=_LABEL_WORDS)
        rows = []
        for place, codes in zip(shown.tolist(), path_AL[first_U].tolist(), strict=True):
            node = int(level.node_N[place])
            label = labels[node] or _category(catalog.ads.cat_l1_A[node_A == node])
            rows.append(_row(level, place, tuple(codes[: level.level + 1]), label))
        views.append(LevelView(level.level, level.width, level.counts(), rows))
    return DecodeView(
        request_key=request_key,
        num_ads=catalog.trie.num_ads,
        num_eligible=num_eligible,
        levels=views,
    )


def _shown(level: ExplainedLevel) -> Ints:
    """Choose what is shown of a level."""
    limits = dict.fromkeys(FATES, OTHER_ROWS) | {Fate.KEPT: KEPT_ROWS}
    return np.concatenate([level.best(fate, limit) for fate, limit in limits.items()])


def _row(level: ExplainedLevel, place: int, codes: tuple[int, ...], label: str) -> PrefixRow:
    """Describe one prefix."""
    return PrefixRow(
        codes=codes,
        label=label,
        fate=FATES[level.fate_N[place]],
        head=int(level.head_N[place]),
        probability=math.exp(level.logp_N[place]),
        value=float(level.value_N[place]),
        score=float(level.score_N[place]),
        num_ads=int(level.num_ads_N[place]),
        num_eligible=int(level.num_eligible_N[place]),
    )


def _category(category_M: Ints) -> str:
    """Name the most frequent category; ties go to the smaller number."""
    return f"category {np.bincount(category_M).argmax()}"


def _text(number: float, form: str) -> str:
    """Write a number."""
    return _NOTHING if math.isnan(number) else f"{number:{form}}"
