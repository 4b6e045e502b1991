"""What generation needs of a model, and what it hands back.

Letters: B requests, A ads by rank, J heads, L levels, P length of a prefix, V codes, N flat rows
to evaluate, M flat candidates.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.shown_counts import ShownCounts
from gpr_core.catalog.trie import Trie


class ItemProbabilities(Protocol):
    """Predicted outcomes of flat (request, ad) pairs.

    Attributes:
        p_ctr_N: [N] probability of a click.
        p_cvr_N: [N] probability of a conversion given a click.
        p_neg_N: [N] probability of a hide.
    """

    @property
    def p_ctr_N(self) -> Tensor: ...  # noqa: D102, N802
    @property
    def p_cvr_N(self) -> Tensor: ...  # noqa: D102, N802
    @property
    def p_neg_N(self) -> Tensor: ...  # noqa: D102, N802


class Policy(Protocol):
    """Proposes the next code of a path, head by head.

    Attributes:
        head_weights_J: [J] weights of the heads, a point of the simplex.
    """

    head_weights_J: Tensor

    def read(self, batch: Any) -> Any:
        """Encode timelines into a state with one row per valid readout.

        Args:
            batch: A `gpr_core.features.batch.TimelineBatch`.

        Returns:
            State; opaque to generation.
        """

    def begin(self, state: Any, rows_N: Tensor, heads_N: Tensor) -> Any:
        """Start paths.

        Args:
            state: What `read` returned.
            rows_N: [N] int64 row of the state.
            heads_N: [N] int64 head.

        Returns:
            N empty prefixes; opaque to generation.
        """

    def extend(self, prefixes: Any, parents_N: Tensor, codes_N: Tensor) -> Any:
        """Choose the next code of prefixes.

        Args:
            prefixes: M prefixes of one length P.
            parents_N: [N] int64 in 0..M - 1, prefix that is extended; one may be extended by many.
            codes_N: [N] int64 codes of level P.

        Returns:
            N prefixes of P + 1 codes; those given stay as they are.
        """

    def child_logits(self, prefixes: Any) -> Tensor:
        """Score the next codes of prefixes.

        Args:
            prefixes: N prefixes of P < L codes.

        Returns:
            [N, V_P] raw logits of the codes of level P.
        """


class Valuer(Protocol):
    """Predicts what prefixes and ads are worth.

    Attributes:
        value_mean: Scalar mean of the final values that prefix values are standardized with.
        value_std: Scalar standard deviation of the same, > 0.
    """

    value_mean: Tensor
    value_std: Tensor

    def prefix_values(self, state: Any, rows_N: Tensor, codes_NP: Tensor) -> Tensor:
        """Value prefixes.

        Args:
            state: What `Policy.read` returned.
            rows_N: [N] int64 row of the state.
            codes_NP: [N, P] int64 codes so far, P in [1, L).

        Returns:
            [N] standardized values V(s, z_1..z_P).
        """

    def item_values(
        self, state: Any, rows_N: Tensor, paths_NL: Tensor, ad_features_NF: Tensor
    ) -> ItemProbabilities:
        """Predict the outcomes of showing ads.

        Args:
            state: What `Policy.read` returned.
            rows_N: [N] int64 row of the state.
            paths_NL: [N, L] int64 codes of the ads.
            ad_features_NF: [N, 5] int64 from `AdTable.features_at`.

        Returns:
            Probabilities per pair.
        """


class DecodeRequests(NamedTuple):
    """The requests of one batch, in the row order of the policy's state.

    Attributes:
        request_key_B: [B] int64; names the random draws of mode gumbel.
        ts_B: [B] int64, epoch ms.
        eligible: The ads that may serve each request, exactly.
        shown: Earlier impressions of ads to the users, for the fatigue target; None for none.
    """

    request_key_B: npt.NDArray[np.int64]
    ts_B: npt.NDArray[np.int64]
    eligible: EligibleAds
    shown: ShownCounts | None = None


class Candidates(NamedTuple):
    """Generated ads of a batch, sorted by request and then best first.

    Attributes:
        row_M: [M] int64, request.
        position_M: [M] int64, 0 for the best candidate of a request.
        rank_M: [M] int64, catalog rank of the ad.
        ad_key_M: [M] int64.
        head_M: [M] int64, head that proposed the path.
        path_ML: [M, L] int64 codes.
        logp_ML: [M, L] float32, log-probability of each code under the head's legal-set softmax.
        legal_count_ML: [M, L] int64, size of each legal set.
        score_M: [M] float32, log head weight plus path log-probability.
        final_value_M: [M] float64, predicted final value.
    """

    row_M: Tensor
    position_M: Tensor
    rank_M: Tensor
    ad_key_M: Tensor
    head_M: Tensor
    path_ML: Tensor
    logp_ML: Tensor
    legal_count_ML: Tensor
    score_M: Tensor
    final_value_M: Tensor

    def select(self, keep_M: Tensor) -> "Candidates":
        """Keep or reorder candidates.

        Args:
            keep_M: Boolean mask over M, or integer positions.

        Returns:
            The chosen candidates, positions unchanged.
        """
        return Candidates(*(column[keep_M] for column in self))


def concat_candidates(parts: list[Candidates]) -> Candidates:
    """Join candidates of different requests and sort them by request.

    Args:
        parts: At least one; no request occurs in two parts.

    Returns:
        One structure.
    """
    if len(parts) == 1:
        return parts[0]
    joined = Candidates(*(torch.cat(column) for column in zip(*parts, strict=True)))
    return joined.select(torch.argsort(joined.row_M, stable=True))


def no_candidates(trie: Trie) -> Candidates:
    """Make an empty result.

    Args:
        trie: Gives the number of levels.

    Returns:
        No candidate.
    """
    none = torch.zeros(0, dtype=torch.int64)
    by_level = torch.zeros((0, trie.num_levels), dtype=torch.int64)
    return Candidates(
        row_M=none,
        position_M=none,
        rank_M=none,
        ad_key_M=none,
        head_M=none,
        path_ML=by_level,
        logp_ML=by_level.to(torch.float32),
        legal_count_ML=by_level,
        score_M=none.to(torch.float32),
        final_value_M=none.to(torch.float64),
    )
