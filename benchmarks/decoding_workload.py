"""Catalogs, targeting and valuers of the decoding benchmark.

Letters: A ads, B requests, L levels, W words of 64 ads, X attribute values, P places.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import RequestContext
from gpr_core.catalog.eligible_ads import pack_ads
from gpr_core.catalog.targeting import TargetingIndex
from gpr_core.catalog.trie import Trie
from gpr_core.models.config import ModelConfig
from gpr_core.models.hte import HTE
from gpr_core.support.seeding import numpy_stream, seed_global_torch

CODEBOOK, LEVELS, WIDTH = 256, 4, 128
SIZES = (CODEBOOK,) * LEVELS
_PLACES, _DENSITY = 16, 0.6


def draw_paths(num_ads: int) -> npt.NDArray[np.int16]:
    """Draw distinct paths whose codes are used unevenly, as those of real tokenizers are.

    Args:
        num_ads: A.

    Returns:
        [A, L] int16, sorted.
    """
    stream = numpy_stream(0, "benchmark", "paths", num_ads)
    drawn = np.zeros(0, dtype=np.int64)
    while drawn.size < num_ads:
        codes = np.minimum(CODEBOOK * stream.beta(0.6, 2.0, (num_ads, LEVELS)), CODEBOOK - 1)
        packed = codes.astype(np.int64) @ (CODEBOOK ** np.arange(LEVELS - 1, -1, -1))
        drawn = np.unique(np.concatenate([drawn, packed]))
    kept = np.sort(stream.permutation(drawn)[:num_ads])
    return np.stack(np.unravel_index(kept, SIZES), axis=1).astype(np.int16)


class Shop(NamedTuple):
    """A catalog and who may see what of it.

    Attributes:
        trie: The tree.
        ads: One version per ad, bids of one unit.
        targeting: Bitmaps, each with six of ten ads.
    """

    trie: Trie
    ads: AdTable
    targeting: TargetingIndex


def make_shop(num_ads: int) -> Shop:
    """Make a catalog of distinct paths.

    Args:
        num_ads: A.

    Returns:
        The catalog.
    """
    trie = Trie.build(draw_paths(num_ads), np.arange(1, num_ads + 1, dtype=np.uint64), SIZES)
    stream = numpy_stream(0, "benchmark", "targeting", num_ads)

    def bitmaps(values: int) -> npt.NDArray[np.int64]:
        return np.concatenate(
            [pack_ads(stream.random((1, num_ads)) < _DENSITY) for _ in range(values)]
        )

    targeting = TargetingIndex(
        num_ads=num_ads,
        until_ts=1,
        age_XW=bitmaps(8),
        gender_XW=bitmaps(8),
        device_XW=bitmaps(8),
        place_PW=bitmaps(_PLACES),
        alive_W=bitmaps(1)[0],
    )
    return Shop(trie, _ad_table(trie), targeting)


def _ad_table(trie: Trie) -> AdTable:
    """One version per ad, valid from the start of time."""
    num_ads = trie.num_ads
    key_A, zeros_A = trie.ad_key_A.numpy(), np.zeros(num_ads, dtype=np.int64)
    small_A, ones_A = np.zeros(num_ads, dtype=np.int8), np.full(num_ads, 1_000_000)
    return AdTable(
        ad_key_A=key_A,
        advertiser_key_A=key_A,
        cat_l1_A=zeros_A,
        cat_l2_A=zeros_A,
        brand_A=zeros_A,
        launch_ts_A=zeros_A,
        rank_V=np.arange(num_ads),
        version_ptr_A1=np.arange(num_ads + 1),
        start_V=zeros_A,
        stop_V=np.full(num_ads, np.iinfo(np.int64).max),
        status_V=small_A,
        bid_type_V=small_A,
        bid_micros_V=ones_A,
        daily_budget_V=ones_A,
        total_budget_V=ones_A,
        age_mask_V=small_A.view(np.uint8),
        gender_mask_V=small_A.view(np.uint8),
        device_mask_V=small_A.view(np.uint8),
        freq_cap_V=small_A,
        geo_set_V=zeros_A,
        geo_allowed_SG=np.ones((1, 1), dtype=np.bool_),
    )


def draw_viewers(count: int) -> RequestContext:
    """Draw what targeting looks at.

    Args:
        count: B.

    Returns:
        The requests.
    """
    stream = numpy_stream(0, "benchmark", "viewers", count)
    zeros_B = np.zeros(count, dtype=np.int64)
    values = dict.fromkeys(RequestContext._fields, zeros_B) | {
        "request_key": np.arange(count),
        "age_bucket": stream.integers(0, 8, count),
        "gender": stream.integers(0, 8, count),
        "device": stream.integers(0, 8, count),
        "geo_l2": stream.integers(0, _PLACES - 1, count),
    }
    return RequestContext(**values)


class Outcome(NamedTuple):
    """Predicted outcomes."""

    p_ctr_N: Tensor
    p_cvr_N: Tensor
    p_neg_N: Tensor


class ConstantValuer:
    """All ads are worth the same, so that only the search is measured."""

    value_mean, value_std = torch.zeros(()), torch.ones(())

    def prefix_values(self, _state: Any, rows_N: Tensor, _codes_NP: Tensor) -> Tensor:
        """Value prefixes.

        Args:
            rows_N: [N] int64.

        Returns:
            [N] zeros.
        """
        return torch.zeros(len(rows_N))

    def item_values(
        self, _state: Any, rows_N: Tensor, _paths_NL: Tensor, _features_NF: Tensor
    ) -> Outcome:
        """Predict outcomes.

        Args:
            rows_N: [N] int64.

        Returns:
            One tenth everywhere.
        """
        return Outcome(*[torch.full((len(rows_N),), 0.1)] * 3)


class NetworkValuer:
    """The evaluator of GPR with random weights, as wide as the policy.

    Args:
        num_requests: B.
    """

    def __init__(self, num_requests: int) -> None:
        seed_global_torch(0, "benchmark", "valuer")
        self.value_mean, self.value_std = torch.zeros(()), torch.ones(())
        self._hte = HTE(ModelConfig(width=WIDTH), SIZES).eval()
        self._state_MX = torch.randn(num_requests, 3 * WIDTH)

    def prefix_values(self, _state: Any, rows_N: Tensor, codes_NP: Tensor) -> Tensor:
        """Value prefixes.

        Args:
            rows_N: [N] int64.
            codes_NP: [N, P] int64.

        Returns:
            [N] float.
        """
        return self._hte.prefix_values(self._state_MX, rows_N, codes_NP)

    def item_values(
        self, _state: Any, rows_N: Tensor, paths_NL: Tensor, features_NF: Tensor
    ) -> Any:
        """Predict outcomes.

        Args:
            rows_N: [N] int64.
            paths_NL: [N, L] int64.
            features_NF: [N, 5] int64.

        Returns:
            Probabilities.
        """
        return self._hte.item_values(self._state_MX, rows_N, paths_NL, features_NF)


class Stopwatch:
    """Adds up the time that functions take, for the contender that is running.

    Attributes:
        running: Name of the contender.
        seconds: Contender -> seconds.
    """

    def __init__(self) -> None:
        self.running: int = 0
        self.seconds: dict[int, float] = defaultdict(float)

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Time a function.

        Args:
            function: Any function; none that calls another timed one.

        Returns:
            The function, timed.
        """

        def timed(*arguments: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments)
            finally:
                self.seconds[self.running] += time.process_time() - started

        return timed
