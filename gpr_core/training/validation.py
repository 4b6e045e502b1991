"""How good a policy is on the held-out requests of the last training day.

Letters: X decisions, M flat rows (requests), J heads, L levels, V codes, A ads by rank.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import FrequencyCounter, RequestContext, eligible_ads
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.protocols import DecodeRequests
from gpr_core.generation.value_guided import decode
from gpr_core.models.gpr import GPR
from gpr_core.objectives.code_loss import path_logp
from gpr_core.objectives.masked_softmax import masked_log_softmax
from gpr_core.training.batches import TrainBatch, with_targets
from gpr_core.training.examples import Examples

_ROWS = 256
_MOST_ADS = 10
_LEAST_SHARE = 100


class GateScores(NamedTuple):
    """Scores of a policy on the gate requests, in table order.

    Attributes:
        nll_M: [M] float64, negative log-likelihood of the exposed ad's path under the mixture of
            heads over the legal sets of training, nats.
        hit_M: [M] bool, whether the exposed ad is among the ads generated first.
        divergence_M: [M] float64, mean Jensen-Shannon divergence of two heads at level 1, nats.
    """

    nll_M: npt.NDArray[np.float64]
    hit_M: npt.NDArray[np.bool_]
    divergence_M: npt.NDArray[np.float64]


def gate_rows(examples: Examples) -> npt.NDArray[np.int64]:
    """List the decisions that the gates are measured on.

    Args:
        examples: All decisions.

    Returns:
        [M] int64 rows.
    """
    return np.flatnonzero(examples.is_gate_X)


def hit_list_length(num_ads: int) -> int:
    """Choose the length of generated lists: 1 % of the catalog, at least 1, at most 10.

    Args:
        num_ads: Ads of the catalog.

    Returns:
        K of HR@K.

    Source:
        Specification T24: a longer list flatters a small catalog.

    Example:
        >>> hit_list_length(120), hit_list_length(1500)
        (1, 10)
    """
    return min(max(num_ads // _LEAST_SHARE, 1), _MOST_ADS)


def gate_eligibility(
    examples: Examples, ad_table: AdTable, frequency: FrequencyCounter
) -> npt.NDArray[np.bool_]:
    """Compute which ads may serve each gate request; budgets are not replayed.

    Args:
        examples: All decisions.
        ad_table: Ads in rank order.
        frequency: Earlier impressions, for the frequency caps.

    Returns:
        [M, A] bool.
    """
    rows = gate_rows(examples)
    context = RequestContext(*(column[rows] for column in examples.context))
    return eligible_ads(ad_table, context, shown_today=frequency.shown_before(context))


@torch.no_grad()
def score_gate_requests(
    model: GPR,
    examples: Examples,
    eligible_MA: npt.NDArray[np.bool_],
    ad_table: AdTable,
    *,
    max_tokens: int,
    device: str,
) -> GateScores:
    """Read every gate request on its own and score the exposed ad.

    Args:
        model: In evaluation mode.
        examples: All decisions.
        eligible_MA: [M, A] bool from `gate_eligibility`.
        ad_table: Ads in rank order.
        max_tokens: Longest sequence.
        device: Where the model lives.

    Returns:
        Scores per request; empty arrays without gate requests.
    """
    rows = gate_rows(examples)
    trie = examples.legality.trie
    parts = [
        _score(
            model,
            examples,
            rows[at : at + _ROWS],
            eligible_MA[at : at + _ROWS],
            ad_table,
            trie,
            max_tokens=max_tokens,
            device=device,
        )
        for at in range(0, rows.size, _ROWS)
    ]
    if not parts:
        return GateScores(np.zeros(0), np.zeros(0, dtype=np.bool_), np.zeros(0))
    return GateScores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def mixture_logp(model: GPR, state: object, batch: TrainBatch) -> Tensor:
    """Log-probability of the exposed ad's path under the mixture of heads.

    Args:
        model: The policy.
        state: What it read from the batch.
        batch: Exposed ads; only the target of head 1 is used, for every head.

    Returns:
        [M] float: logsumexp_j(log weight_j + log P_j(path)).

    Source:
        Specification 3.7 (policy over heads).
    """
    num_heads = model.config.num_heads
    path_MJL = batch.path_MJL[:, :1].expand(-1, num_heads, -1)
    legal = [mask[:, :1].expand(-1, num_heads, -1) for mask in batch.legal]
    ok_MJ = batch.ok_MJ[:, :1].expand(-1, num_heads)
    logits = model.path_logits(state, path_MJL)  # type: ignore[arg-type]
    logp_MJ = path_logp(logits, path_MJL, legal, ok_MJ).sum(-1)
    return torch.logsumexp(logp_MJ + model.head_weights_J.log(), dim=1)


def head_divergence(logits_MJV: Tensor, legal_MV: Tensor) -> Tensor:
    """Mean Jensen-Shannon divergence between the distributions of two heads.

    Args:
        logits_MJV: [M, J, V] float, level-1 logits.
        legal_MV: [M, V] bool, legal codes.

    Returns:
        [M] float64, nats, mean over all pairs of heads; 0 with one head.
    """
    num_heads = logits_MJV.shape[1]
    if num_heads == 1:
        return torch.zeros(len(logits_MJV), dtype=torch.float64)
    legal_MJV = legal_MV[:, None].expand_as(logits_MJV)
    p_MJV = masked_log_softmax(logits_MJV.to(torch.float64), legal_MJV).exp()
    first, second = torch.triu_indices(num_heads, num_heads, offset=1)
    middle_MPV = (p_MJV[:, first] + p_MJV[:, second]) / 2
    entropy_MJ = -torch.xlogy(p_MJV, p_MJV).sum(-1)
    mixed_MP = -torch.xlogy(middle_MPV, middle_MPV).sum(-1)
    pairs_MP = mixed_MP - (entropy_MJ[:, first] + entropy_MJ[:, second]) / 2
    return pairs_MP.mean(1)


def count_not_finite(model: GPR, curve: pa.Table) -> int:
    """Count weights and logged losses that are NaN or infinite.

    Args:
        model: The trained model.
        curve: Its training curve.

    Returns:
        Their number.
    """
    tensors = [value for value in model.state_dict().values() if value.is_floating_point()]
    bad = sum(int((~torch.isfinite(tensor)).sum()) for tensor in tensors)
    return bad + int((~np.isfinite(curve["loss"].to_numpy())).sum())


def _score(
    model: GPR,
    examples: Examples,
    rows: npt.NDArray[np.int64],
    eligible_MA: npt.NDArray[np.bool_],
    ad_table: AdTable,
    trie: Trie,
    *,
    max_tokens: int,
    device: str,
) -> GateScores:
    """Score one chunk of requests."""
    timeline = examples.store.prefix_batch(examples.context.request_key[rows], max_tokens)
    batch = with_targets(examples, timeline, rows, device=device)
    state = model.read(batch.timeline)
    level_1_MJV = model.path_logits(state, batch.path_MJL)[0]
    requests = DecodeRequests(
        request_key_B=examples.context.request_key[rows],
        ts_B=examples.context.ts[rows],
        eligible=EligibleAds.of_mask(eligible_MA),
    )
    config = BeamConfig(
        num_candidates=hit_list_length(trie.num_ads),
        value_bonus=(0.0,),
        share_by_value=False,
        exhaustive_factor=0,
        order="retrieval",
    )
    found = decode(model, model, state, requests, trie, ad_table, config)
    is_hit = found.rank_M.numpy() == examples.rank_X[rows][found.row_M.numpy()]
    hit_M = np.bincount(found.row_M.numpy(), weights=is_hit, minlength=rows.size) > 0
    return GateScores(
        nll_M=-mixture_logp(model, state, batch).cpu().numpy().astype(np.float64),
        hit_M=hit_M,
        divergence_M=head_divergence(level_1_MJV, batch.legal[0][:, 0]).cpu().numpy(),
    )
