"""What each method proposes on the evaluation day: policies decode, floors sort.

All policies share the decode budget, the eligibility and the leaf rule; floors share the
eligibility and the list lengths.

Letters: B requests, A ads by rank, K candidates, P ads of the pool, J heads, L levels, M flat rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.baselines.popularity import Popularity
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.evaluation.catalogs import EvaluationCatalog
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.floors import fit_floors
from gpr_core.evaluation.next_day import NextDay
from gpr_core.evaluation.ranked_ads import NO_AD, RankedAds, top_ads
from gpr_core.features.timeline_store import TimelineStore
from gpr_core.generation.beam import Observer
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.explanation import ExplainedLevel, Recorder, explain_request
from gpr_core.generation.leaf_ads import predict_values
from gpr_core.generation.path_logp import path_log_probs
from gpr_core.generation.protocols import Candidates, DecodeRequests
from gpr_core.generation.value_guided import decode
from gpr_core.models.checkpoint import load_checkpoint
from gpr_core.models.gpr import GPR
from gpr_core.models.states import ReadoutState
from gpr_core.training.sequence_file import load_sequence

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposals:
    """What one method offers, in ranks of the reference catalog.

    Attributes:
        retrieval: Lists sorted by likelihood, for the hit rates.
        auction: Lists sorted by predicted value, for the final value; floors have one order only.
        pool_score_BP: [B, P] float64, order of the fixed pool; -inf at padding.
    """

    retrieval: RankedAds
    auction: RankedAds
    pool_score_BP: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedPolicy:
    """A checkpoint and how it reads the evaluation day.

    Attributes:
        model: The model, in evaluation mode.
        catalog: All items under the model's own tokenizer.
        store: Timelines in these semantic ids.
        max_tokens: Longest sequence it was trained with.
        device: Where it runs.
    """

    model: GPR
    catalog: EvaluationCatalog
    store: TimelineStore
    max_tokens: int
    device: str


def load_policy(
    folder: Path, catalog: EvaluationCatalog, store: TimelineStore, *, device: str
) -> JudgedPolicy:
    """Load a checkpoint for judging.

    Args:
        folder: Folder of the checkpoint.
        catalog: All items under its tokenizer.
        store: Timelines in these semantic ids.
        device: Where it runs.

    Returns:
        The policy.

    Raises:
        ArtifactError: If a file is missing, or the model speaks another tokenizer.
    """
    model = load_checkpoint(folder, tokenizer_version=catalog.tokenizer_version, device=device)
    return JudgedPolicy(
        model=model,
        catalog=catalog,
        store=store,
        max_tokens=load_sequence(folder).max_tokens,
        device=device,
    )


def propose(
    policy: JudgedPolicy, day: NextDay, pool_BP: Ints, config: EvaluationConfig, progress: Progress
) -> Proposals:
    """Let a policy propose ads and order the pool.

    Args:
        policy: The policy.
        day: The evaluation day.
        pool_BP: [B, P] int64 fixed pool, reference ranks; -1 pads.
        config: List lengths and batch size.
        progress: Called with requests done and requests in all.

    Returns:
        Lists and scores in reference ranks.
    """
    to_reference_A = policy.catalog.to_rank_of(day.catalog)
    num_requests = len(pool_BP)
    retrieval = _empty(num_requests, config.hit_rate_ks[-1])
    auction = _empty(num_requests, config.value_candidates)
    score_BP = np.full(pool_BP.shape, -np.inf)
    retrieval_beam = hit_rate_beam(config)
    auction_beam = auction_search(config)
    for rows_B in _batches(num_requests, config.batch_requests):
        with torch.no_grad():
            requests, state = _read(policy, day, rows_B, to_reference_A)
            for lists, beam in ((retrieval, retrieval_beam), (auction, auction_beam)):
                found = _decode(policy, state, requests, beam)
                _fill(lists, rows_B, found, to_reference_A)
            score_BP[rows_B] = _pool_scores(
                policy, state, requests, _local(pool_BP[rows_B], to_reference_A)
            )
        progress(int(rows_B[-1]) + 1, num_requests)
    return Proposals(retrieval=retrieval, auction=auction, pool_score_BP=score_BP)


def hit_rate_beam(config: EvaluationConfig) -> BeamConfig:
    """Give the search whose lists the hit rates are measured on: by likelihood, without values.

    Args:
        config: List lengths and beam widths.

    Returns:
        Parameters of the decoder.
    """
    return BeamConfig(
        num_candidates=config.hit_rate_ks[-1],
        width_factors=config.retrieval_width_factors,
        exhaustive_factor=1,
        order="retrieval",
        value_bonus=(0.0,),
        share_by_value=False,
    )


def auction_search(config: EvaluationConfig) -> BeamConfig:
    """Give the search that serves: guided by values, sorted by predicted value.

    Args:
        config: List length.

    Returns:
        Parameters of the decoder.
    """
    return BeamConfig(num_candidates=config.value_candidates)


def explain_decodes(
    policy: JudgedPolicy, day: NextDay, beam: BeamConfig, rows_B: Ints
) -> list[list[ExplainedLevel]]:
    """Look into the decodes of some requests.

    Args:
        policy: The policy; nodes are those of its own catalog.
        day: The evaluation day.
        beam: Parameters of the decoder.
        rows_B: [.] int64, requests of the day.

    Returns:
        The levels of each request, in the order of `rows_B`; none for a request without an
        eligible ad.
    """
    recorder = Recorder()
    with torch.no_grad():
        requests, state = _read(policy, day, rows_B, policy.catalog.to_rank_of(day.catalog))
        _decode(policy, state, requests, beam, observe=recorder)
    trie = policy.catalog.catalog.trie
    return [
        explain_request(recorder.levels, trie, requests.eligible, row) for row in range(len(rows_B))
    ]


def rank_ads(
    policy: JudgedPolicy, day: NextDay, beam: BeamConfig, *, batch_requests: int
) -> RankedAds:
    """Let a policy generate one list per request.

    Args:
        policy: The policy.
        day: The evaluation day.
        beam: Parameters of the decoder.
        batch_requests: Requests read at once; changes speed, never a result.

    Returns:
        The lists in reference ranks.
    """
    to_reference_A = policy.catalog.to_rank_of(day.catalog)
    lists = _empty(day.requests.num_rows, beam.num_candidates)
    for rows_B in _batches(day.requests.num_rows, batch_requests):
        with torch.no_grad():
            requests, state = _read(policy, day, rows_B, to_reference_A)
            _fill(lists, rows_B, _decode(policy, state, requests, beam), to_reference_A)
    return lists


def floor_proposals(
    day: NextDay, pool_BP: Ints, config: EvaluationConfig, *, cutoff_ts: int, popularity: Popularity
) -> dict[str, Proposals]:
    """Let the floors propose ads and order the pool.

    Args:
        day: The evaluation day.
        pool_BP: [B, P] int64 fixed pool; -1 pads.
        config: List lengths and parameters of the floors.
        cutoff_ts: End of the training days; floors are fitted on what was shown before.
        popularity: Fitted on the same.

    Returns:
        Floor -> proposals.
    """
    recent_BH = day.exposures.recent(
        day.column("user_key"), day.column("ts"), config.repeat_history
    )
    scorers = fit_floors(day, config, cutoff_ts=cutoff_ts, popularity=popularity)
    longest = max(config.hit_rate_ks[-1], config.value_candidates)
    proposals = {}
    for name, scorer in scorers.items():
        lists, pool_score_BP = _empty(len(pool_BP), longest), np.full(pool_BP.shape, -np.inf)
        for rows_B in _batches(len(pool_BP), config.batch_requests):
            score_BA = scorer(recent_BH[rows_B])
            found = top_ads(score_BA, day.eligible_BA[rows_B], longest)
            lists.rank_BK[rows_B, : found.rank_BK.shape[1]] = found.rank_BK
            lists.score_BK[rows_B, : found.rank_BK.shape[1]] = found.score_BK
            pool = pool_BP[rows_B]
            taken = np.take_along_axis(score_BA, np.maximum(pool, 0), axis=1)
            pool_score_BP[rows_B] = np.where(pool == NO_AD, -np.inf, taken)
        proposals[name] = Proposals(
            retrieval=lists.first(config.hit_rate_ks[-1]),
            auction=lists.first(config.value_candidates),
            pool_score_BP=pool_score_BP,
        )
    return proposals


def _read(
    policy: JudgedPolicy, day: NextDay, rows_B: Ints, to_reference_A: Ints
) -> tuple[DecodeRequests, ReadoutState]:
    """Read the journeys of some requests; columns move into the policy's own ranks."""
    key_B = day.column("request_key")[rows_B]
    batch = policy.store.prefix_batch(key_B, policy.max_tokens)
    state = policy.model.read(type(batch)(*(column.to(policy.device) for column in batch)))
    eligible = EligibleAds.of_mask(day.eligible_BA[rows_B][:, to_reference_A])
    # Both catalogs hold the same ads, so the ranks are a permutation, and this is its inverse.
    to_own_A = np.argsort(to_reference_A)
    requests = DecodeRequests(
        request_key_B=key_B,
        ts_B=day.column("ts")[rows_B],
        eligible=eligible,
        shown=day.shown.take(rows_B).translate(to_own_A),
    )
    return requests, state


def _decode(
    policy: JudgedPolicy,
    state: ReadoutState,
    requests: DecodeRequests,
    beam: BeamConfig,
    *,
    observe: Observer | None = None,
) -> Candidates:
    """Generate candidates."""
    model, tables = policy.model, policy.catalog.catalog
    return decode(model, model, state, requests, tables.trie, tables.ads, beam, observe=observe)


def _fill(lists: RankedAds, rows_B: Ints, found: Candidates, to_reference_A: Ints) -> None:
    """Put flat candidates into padded lists."""
    row, place = rows_B[found.row_M.numpy()], found.position_M.numpy()
    lists.rank_BK[row, place] = to_reference_A[found.rank_M.numpy()]
    lists.score_BK[row, place] = found.score_M.numpy()


def _pool_scores(
    policy: JudgedPolicy, state: ReadoutState, requests: DecodeRequests, pool_BP: Ints
) -> Floats:
    """Order the pool by mixture path log-probability, then by predicted value inside a leaf."""
    tables = policy.catalog.catalog
    trie = tables.trie
    row, place = np.nonzero(pool_BP != NO_AD)
    if not row.size:
        return np.full(pool_BP.shape, -np.inf)
    rank_C = pool_BP[row, place]
    leaf_C = trie.leaf_of(torch.from_numpy(rank_C)).numpy()
    leaf_U, inverse_C = np.unique(row * trie.num_nodes + leaf_C, return_inverse=True)
    logp_U = _mixture_logp(policy, state, requests, torch.from_numpy(leaf_U)).cpu().numpy()
    values = predict_values(policy.model, state, requests, tables.ads, trie, (row, rank_C))
    logp_BP, value_BP = (np.full(pool_BP.shape, -np.inf) for _ in range(2))
    logp_BP[row, place] = logp_U[inverse_C]
    value_BP[row, place] = values.final_value_M
    order_BP = np.lexsort((value_BP, logp_BP), axis=1)
    rank_BP = np.empty(pool_BP.shape)
    np.put_along_axis(rank_BP, order_BP, np.arange(pool_BP.shape[1], dtype=np.float64)[None], 1)
    return np.where(pool_BP == NO_AD, -np.inf, rank_BP)


def _mixture_logp(
    policy: JudgedPolicy, state: ReadoutState, requests: DecodeRequests, leaf_U: torch.Tensor
) -> torch.Tensor:
    """Log-probability of complete paths, heads mixed by their weights; leaf_U = row * N + leaf."""
    trie = policy.catalog.catalog.trie
    weight_J = policy.model.head_weights_J
    num_heads = weight_J.numel()
    row_U, leaf = leaf_U // trie.num_nodes, leaf_U % trie.num_nodes
    path_UL = trie.paths_of(trie.interval(leaf)[0])
    found = path_log_probs(
        policy.model,
        state,
        trie,
        requests.eligible,
        row_U.repeat_interleave(num_heads).to(policy.device),
        torch.arange(num_heads).repeat(leaf_U.numel()).to(policy.device),
        path_UL.repeat_interleave(num_heads, dim=0).to(policy.device),
    )
    logp_UJ = found.logp_ML.double().sum(1).view(-1, num_heads)
    return torch.logsumexp(logp_UJ + weight_J.double().log(), dim=1)


def _local(pool_BP: Ints, to_reference_A: Ints) -> Ints:
    """Translate reference ranks into a policy's own."""
    own_A = np.empty_like(to_reference_A)
    own_A[to_reference_A] = np.arange(len(to_reference_A))
    return np.where(pool_BP == NO_AD, NO_AD, own_A[np.maximum(pool_BP, 0)])


def _empty(num_requests: int, count: int) -> RankedAds:
    """Make empty lists."""
    shape = (num_requests, count)
    return RankedAds(np.full(shape, NO_AD, dtype=np.int64), np.full(shape, -np.inf))


def _batches(num_requests: int, size: int) -> Iterator[Ints]:
    """Cut requests into batches."""
    for start in range(0, num_requests, size):
        yield np.arange(start, min(start + size, num_requests))
