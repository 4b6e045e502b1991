"""The numeric gates of pre-training."""

import numpy as np
import pyarrow as pa
import torch

from components.runtime.context import GateResult, StepContext
from gpr_core.catalog.eligibility import FrequencyCounter
from gpr_core.features.targets import count_shared_codes
from gpr_core.models.gpr import GPR
from gpr_core.training.config import MtpConfig
from gpr_core.training.examples import Examples
from gpr_core.training.inputs import SupervisedInputs
from gpr_core.training.leak_probe import leak_probe, probe_batch
from gpr_core.training.popularity_floor import (
    count_exposures,
    floor_windows,
    popularity_hits,
    popularity_nll,
)
from gpr_core.training.validation import (
    GateScores,
    count_not_finite,
    gate_eligibility,
    gate_rows,
    hit_list_length,
    score_gate_requests,
)


def measure_gates(
    context: StepContext[MtpConfig],
    model: GPR,
    examples: Examples,
    inputs: SupervisedInputs,
    curve: pa.Table,
) -> tuple[tuple[GateResult, ...], dict[str, float]]:
    """Measure every gate of the spec.

    Args:
        context: Parameters, seed and device.
        model: The trained model.
        examples: With the held-out requests.
        inputs: Catalog and decisions.
        curve: The training curve.

    Returns:
        One result per gate, and the numbers behind them as metrics.
    """
    trie, ad_table = inputs.catalog.trie, inputs.catalog.ad_table
    shown = inputs.tables.decisions.select(["user_key", "ts", "ad_key"])
    eligible_MA = gate_eligibility(examples, ad_table, FrequencyCounter(shown, trie))
    scores = score_gate_requests(
        model,
        examples,
        eligible_MA,
        ad_table,
        max_tokens=context.params.sequence.max_tokens,
        device=context.device,
    )
    floors = _floors(examples, inputs, eligible_MA, context.cutoff_ts)
    probe = leak_probe(model, probe_batch(examples), seed=context.seed)
    gates = (
        _better_than_popularity(scores, floors),
        _leak_gate(probe),
        _targets_distinct(examples, context.params),
        _heads_differ(scores, context.params),
        _no_nan(model, curve),
    )
    length = hit_list_length(trie.num_ads)
    metrics = {f"gate_{name}": value for name, value in floors.items()}
    if scores.nll_M.size:
        metrics |= {
            "gate_nll": float(scores.nll_M.mean()),
            f"gate_hit_rate_at_{length}": float(scores.hit_M.mean()),
            "gate_head_divergence": float(scores.divergence_M.mean()),
        }
    return gates, {**metrics, "leak_probe": probe}


def _floors(
    examples: Examples, inputs: SupervisedInputs, eligible_MA: np.ndarray, cutoff_ts: int
) -> dict[str, float]:
    """Score popularity on the gate requests; the best of several spans counts."""
    rows, trie = gate_rows(examples), inputs.catalog.trie
    if not rows.size:
        return {}
    path_ML = torch.from_numpy(examples.path_XL[rows].astype(np.int64))
    ts_M = torch.from_numpy(examples.context.ts[rows])
    is_target_M = torch.ones(rows.size, dtype=torch.bool)
    legal = examples.legality.legal_codes(path_ML, is_target_M, ts_M)
    length = hit_list_length(trie.num_ads)
    nlls, hits = [], []
    for since_ts in floor_windows(cutoff_ts, int(examples.context.ts.min())).values():
        popularity = count_exposures(examples, trie, since_ts=since_ts)
        nlls.append(popularity_nll(popularity, trie, path_ML, legal).mean())
        eligible = torch.from_numpy(eligible_MA)
        rank_M = torch.from_numpy(examples.rank_X[rows])
        hits.append(popularity_hits(popularity, eligible, rank_M, length).mean())
    return {
        "popularity_nll": float(min(nlls)),
        f"popularity_hit_rate_at_{length}": float(max(hits)),
    }


def _better_than_popularity(scores: GateScores, floors: dict[str, float]) -> GateResult:
    """Compare the loss with the popularity floor."""
    if not scores.nll_M.size:
        return GateResult(
            name="better_than_popularity",
            passed=False,
            value=0.0,
            bound=0.0,
            message="no request is held out; raise sequence.gate_user_share",
        )
    value, bound = float(scores.nll_M.mean()), floors["popularity_nll"]
    return GateResult(
        name="better_than_popularity",
        passed=value < bound,
        value=value,
        bound=bound,
        message=f"found {value:.4f} nats per path on {scores.nll_M.size} held-out requests, "
        f"popularity has {bound:.4f}; if it failed, train longer or check the timelines",
    )


def _leak_gate(probe: float) -> GateResult:
    """Demand that the future changes nothing."""
    return GateResult(
        name="leak_probe",
        passed=probe == 0.0,
        value=probe,
        bound=0.0,
        message=f"logits change by {probe:.3g} when only later tokens change, expected 0; "
        "if it failed, the attention or memory mask leaks",
    )


def _targets_distinct(examples: Examples, params: MtpConfig) -> GateResult:
    """Demand that heads have different targets; targets by offset do not promise it."""
    shared = count_shared_codes(examples.target_XJ, examples.path_XL)
    bound = float(len(examples.path_XL)) if params.sequence.targets == "offset" else 0.0
    return GateResult(
        name="targets_distinct",
        passed=shared <= bound,
        value=float(shared),
        bound=bound,
        message=f"{shared} requests have two heads with one level-1 target, "
        f"expected at most {bound:.0f}",
    )


def _heads_differ(scores: GateScores, params: MtpConfig) -> GateResult:
    """Demand that heads predict different things; a single head has nothing to differ from."""
    bound = params.min_head_divergence if params.model.num_heads > 1 else 0.0
    value = float(scores.divergence_M.mean()) if scores.divergence_M.size else 0.0
    return GateResult(
        name="heads_differ",
        passed=scores.divergence_M.size > 0 and value >= bound,
        value=value,
        bound=bound,
        message=f"mean Jensen-Shannon divergence of two heads at level 1 is {value:.4f} nats, "
        f"expected at least {bound}; if it failed, the heads merged: train longer",
    )


def _no_nan(model: GPR, curve: pa.Table) -> GateResult:
    """Count numbers that are not finite."""
    bad = count_not_finite(model, curve)
    return GateResult(
        name="no_nan",
        passed=bad == 0,
        value=float(bad),
        bound=0.0,
        message=f"{bad} weights or losses are not finite, expected none; if it failed, lower "
        "optimizer.learning_rate",
    )
