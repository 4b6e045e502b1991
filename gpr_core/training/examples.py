"""Training examples: exposed requests with targets, labels and values, joined once.

Letters: X decisions (exposed requests, in table order), M flat rows, J heads, L levels, V codes,
F fields, T tokens, B users.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import RequestContext, request_context
from gpr_core.catalog.trie import Trie
from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.data.tables import DAY_MS, HOUR_MS, Action
from gpr_core.features.legal_sets import TrainLegality, pair_eligible
from gpr_core.features.targets import (
    Exposures,
    PairEligible,
    next_distinct_targets,
    offset_targets,
)
from gpr_core.features.timeline_store import TimelineStore, find_keys
from gpr_core.features.windows import Windows
from gpr_core.objectives.final_value import final_value
from gpr_core.support.errors import ContractError
from gpr_core.training.config import SequenceConfig

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_FATIGUE_UNIT = 10.0


class CorpusTables(NamedTuple):
    """The curated tables that supervised training reads.

    Attributes:
        timelines: All tokens of all users.
        decisions: Exposed requests with context, logged ranker outputs and matured labels.
        value_weights: Weight of each decision for value-aware fine-tuning.
        thoughts: External knowledge; None where nobody asked for it.
    """

    timelines: pa.Table
    decisions: pa.Table
    value_weights: pa.Table
    thoughts: pa.Table | None = None


class CatalogView(NamedTuple):
    """The catalog version that targets are expressed in.

    Attributes:
        sid_map: Semantic ids of ads and content.
        trie: Prefix tree of the ads.
        ad_table: Ad versions in rank order.
    """

    sid_map: pa.Table
    trie: Trie
    ad_table: AdTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Everything that batches are cut from.

    Attributes:
        store: Timelines of all users.
        windows: Training windows.
        loss_row_M: [M] int64, decision of each of `windows.loss_M`.
        legality: Legal sets of training.
        context: [X] request contexts.
        path_XL: [X, L] int16, codes of the exposed ad.
        rank_X: [X] int64, catalog rank of the exposed ad.
        target_XJ: [X, J] int64, decision whose ad each head predicts, -1 for none.
        label_X3: [X, 3] float32, click, conversion, hide.
        is_mature_X3: [X, 3] bool, whether the absence of each outcome is known.
        value_X: [X] float32, final value of the exposed ad from logged ranker outputs.
        omega_X: [X] float32, value weight.
        ad_feature_XF: [X, 5] int64, features of the exposed ad at the request.
        is_loss_X: [X] bool, whether the decision enters the loss.
        is_gate_X: [X] bool, whether the gates are measured on the decision.
    """

    store: TimelineStore
    windows: Windows
    loss_row_M: Ints
    legality: TrainLegality
    context: RequestContext
    path_XL: npt.NDArray[np.int16]
    rank_X: Ints
    target_XJ: Ints
    label_X3: Floats
    is_mature_X3: Bools
    value_X: Floats
    omega_X: Floats
    ad_feature_XF: Ints
    is_loss_X: Bools
    is_gate_X: Bools


def build_examples(
    tables: CorpusTables,
    catalog: CatalogView,
    config: SequenceConfig,
    *,
    num_heads: int,
    cutoff_ts: int,
    seed: int,
) -> Examples:
    """Join timelines, decisions, semantic ids and the catalog into training examples.

    The requests of a keyed share of users on the last training day enter neither loss nor targets;
    the gates are measured on them. No token after them is ever read, since all later requests of
    these users are held out, too.

    Args:
        tables: Curated tables.
        catalog: Semantic ids and ads.
        config: Sequences and targets.
        num_heads: Prediction heads J.
        cutoff_ts: End of the last training day, epoch ms.
        seed: Run seed.

    Returns:
        The examples.

    Raises:
        LeakageError: If a thought knows its own day.
        ContractError: If an exposed ad is not in the catalog, a decision has no token or no value
            weight, or no request is left for the loss.
    """
    decisions = tables.decisions
    context = request_context(decisions)
    rank_X = _ranks(decisions, catalog.trie)
    path_XL = catalog.trie.paths_of(torch.from_numpy(rank_X)).numpy()
    is_real_X = ~_column(decisions, "is_synthetic").astype(np.bool_)
    is_gate_X = is_real_X & _gate_requests(context, config, cutoff_ts=cutoff_ts, seed=seed)
    is_loss_X = is_real_X & ~is_gate_X & (context.ts < cutoff_ts)
    if not is_loss_X.any():
        raise ContractError(
            f"none of {is_loss_X.size} decisions can enter the loss",
            where="corpus decisions",
            fix="check is_synthetic and the days of the corpus",
        )
    store = TimelineStore.from_tables(
        tables.timelines, catalog.sid_map, catalog.trie.num_levels, thoughts=tables.thoughts
    )
    position_X = store.positions_of(context.request_key)
    # A person without consent has one timeline per session; targets must not join them either.
    follow_key_X = store.user_keys_at(position_X)
    exposures = Exposures(follow_key_X, context.request_key, context.ts, path_XL, is_loss_X)
    can_serve = partial(_can_serve, catalog.ad_table, context, rank_X)
    row = np.flatnonzero(is_loss_X)
    windows = _windows(store, position_X[row], config)
    label_X3, is_mature_X3 = _labels(decisions, context, config, cutoff_ts)
    return Examples(
        store=store,
        windows=windows,
        loss_row_M=row[np.argsort(position_X[row], kind="stable")],
        legality=TrainLegality.build(catalog.ad_table, catalog.trie),
        context=context,
        path_XL=path_XL,
        rank_X=rank_X,
        target_XJ=_targets(exposures, config, can_serve, num_heads=num_heads, cutoff_ts=cutoff_ts),
        label_X3=label_X3,
        is_mature_X3=is_mature_X3,
        value_X=_logged_values(decisions, context, rank_X),
        omega_X=_value_weights(tables.value_weights, context.request_key),
        ad_feature_XF=catalog.ad_table.features_at(context.ts, rank_X),
        is_loss_X=is_loss_X,
        is_gate_X=is_gate_X,
    )


def recent_examples(examples: Examples, since_ts: int) -> Examples:
    """Keep the windows whose last request is recent enough; decisions and targets stay.

    Args:
        examples: All examples.
        since_ts: Earliest last request of a window, epoch ms.

    Returns:
        Examples with fewer windows.

    Raises:
        ContractError: If no window is left.
    """
    windows = examples.windows
    last_row_W = examples.loss_row_M[windows.loss_end_W - 1]
    kept_W = examples.context.ts[last_row_W] >= since_ts
    if not kept_W.any():
        raise ContractError(
            f"none of {kept_W.size} training windows ends at or after {since_ts} ms",
            where="corpus decisions",
            fix="train on more days",
        )
    count_W = windows.loss_end_W - windows.loss_begin_W
    kept_M = np.repeat(kept_W, count_W)
    end_W = np.cumsum(count_W[kept_W])
    return replace(
        examples,
        loss_row_M=examples.loss_row_M[kept_M],
        windows=Windows(
            begin_W=windows.begin_W[kept_W],
            end_W=windows.end_W[kept_W],
            user_token_W=windows.user_token_W[kept_W],
            loss_begin_W=end_W - count_W[kept_W],
            loss_end_W=end_W,
            loss_M=windows.loss_M[kept_M],
        ),
    )


def count_earlier(user_X: Ints, rank_X: Ints, ts_X: Ints) -> Ints:
    """Count the earlier impressions of the same ad to the same user.

    Args:
        user_X: [X] int64 users.
        rank_X: [X] int64 ads.
        ts_X: [X] int64 epoch ms.

    Returns:
        [X] int64; impressions at the same millisecond count in table order.

    Example:
        >>> count_earlier(np.array([1, 1, 2]), np.array([5, 5, 5]), np.array([20, 10, 5])).tolist()
        [1, 0, 0]
    """
    order = np.lexsort((ts_X, rank_X, user_X))
    same = np.zeros(order.size, dtype=np.bool_)
    same[1:] = (user_X[order][1:] == user_X[order][:-1]) & (rank_X[order][1:] == rank_X[order][:-1])
    place = np.arange(order.size)
    first = np.maximum.accumulate(np.where(same, 0, place))
    count_X = np.empty(order.size, dtype=np.int64)
    count_X[order] = place - first
    return count_X


def _windows(store: TimelineStore, position_M: Ints, config: SequenceConfig) -> Windows:
    """Cut the training sequences."""
    if config.layout == "prefix":
        return store.prefixes(position_M, max_tokens=config.max_tokens)
    return store.windows(position_M, max_tokens=config.max_tokens, new_tokens=config.new_tokens)


def _targets(
    exposures: Exposures,
    config: SequenceConfig,
    can_serve: PairEligible,
    *,
    num_heads: int,
    cutoff_ts: int,
) -> Ints:
    """Choose what each head predicts at each decision, [X, J]."""
    # Matching gives the same targets to other heads, and only once the losses are known.
    choose = offset_targets if config.targets == "offset" else next_distinct_targets
    return choose(
        exposures,
        num_heads=num_heads,
        horizon_ms=config.horizon_days * DAY_MS,
        cutoff_ts=cutoff_ts,
        is_eligible=can_serve,
    )


def _can_serve(
    ad_table: AdTable, context: RequestContext, rank_X: Ints, rows: Ints, later: Ints
) -> Bools:
    """Tell whether the ad of each later decision could have served an earlier request."""
    return pair_eligible(ad_table, context, rows, rank_X[later])


def _column(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """Read a column as numpy."""
    return np.asarray(table[name].to_numpy())


def _ranks(decisions: pa.Table, trie: Trie) -> Ints:
    """Find the catalog rank of every exposed ad."""
    rank_X = trie.rank_of_ads(_column(decisions, "ad_key").astype(np.int64)).cpu().numpy()
    if (rank_X < 0).any():
        missing = _column(decisions, "ad_key")[rank_X < 0]
        raise ContractError(
            f"{missing.size} of {rank_X.size} exposed ads are not in the catalog, first "
            f"{int(missing[0])}",
            where="corpus decisions",
            fix="run tokenization on the same corpus; every ad is in the catalog",
        )
    return np.asarray(rank_X)


def _gate_requests(
    context: RequestContext, config: SequenceConfig, *, cutoff_ts: int, seed: int
) -> Bools:
    """Choose the requests of the last day that are held out for the gates."""
    draw_X = keyed_uniform(seed, "gate users", context.user_key)
    return np.asarray((draw_X < config.gate_user_share) & (context.ts >= cutoff_ts - DAY_MS))


def _labels(
    decisions: pa.Table, context: RequestContext, config: SequenceConfig, cutoff_ts: int
) -> tuple[Floats, Bools]:
    """Read outcomes, and tell which of them had time to happen before the cutoff."""
    action_X = _column(decisions, "action").astype(np.int64)
    label_X3 = np.stack(
        [
            action_X >= Action.CLICK,
            action_X == Action.CONVERSION,
            _column(decisions, "is_hide").astype(np.bool_),
        ],
        axis=1,
    )
    age_X = cutoff_ts - context.ts
    is_old_X = age_X >= config.click_maturity_hours * HOUR_MS
    is_older_X = age_X >= config.conversion_maturity_days * DAY_MS
    return label_X3.astype(np.float32), np.stack([is_old_X, is_older_X, is_old_X], axis=1)


def _logged_values(decisions: pa.Table, context: RequestContext, rank_X: Ints) -> Floats:
    """Compute the final value of each exposed ad from what the logging rankers said."""
    fatigue_X = count_earlier(context.user_key, rank_X, context.ts) / _FATIGUE_UNIT
    value_X = final_value(
        _column(decisions, "ecpm"),
        _column(decisions, "p_ctr"),
        _column(decisions, "p_cvr"),
        _column(decisions, "p_neg"),
        fatigue_X,
    )
    return value_X.astype(np.float32)


def _value_weights(value_weights: pa.Table, request_key_X: Ints) -> Floats:
    """Join the value weight of each decision."""
    key = _column(value_weights, "request_key").astype(np.int64)
    row_X, is_known_X = find_keys(key, np.argsort(key, kind="stable"), request_key_X)
    if not is_known_X.all():
        raise ContractError(
            f"{int((~is_known_X).sum())} of {request_key_X.size} decisions have no value weight",
            where="corpus value_weights",
            fix="curate value weights for every decision",
        )
    return _column(value_weights, "omega").astype(np.float32)[row_X]
