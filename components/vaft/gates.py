"""The numeric gates of value-aware fine-tuning."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.runtime.context import GateResult
from gpr_core.data.tables import Action
from gpr_core.models.gpr import GPR
from gpr_core.objectives.value_weights import LoggedValue, ValueWeightConstants, clipped_share
from gpr_core.training.config import VaftConfig
from gpr_core.training.examples import CorpusTables
from gpr_core.training.validation import GateScores, count_not_finite

_MEAN_TOLERANCE = 1e-3
# One-sided 95 %: a drop counts against the model only as far as chance does not explain it.
_NORMAL_95 = 1.645


def weight_gates(
    tables: CorpusTables, corpus: Path, params: VaftConfig
) -> tuple[tuple[GateResult, ...], dict[str, float]]:
    """Check the value weights that the step trained with.

    Args:
        tables: Decisions and weights.
        corpus: Folder with the constants of the weights.
        params: Bound of the clipped share.

    Returns:
        The gates weight_order, weight_mean_one and clipped_share, and numbers for the metrics.
    """
    weights = tables.value_weights
    omega_X = weights["omega"].to_numpy().astype(np.float64)
    action_X = weights["action"].to_numpy()
    classes = (Action.IMPRESSION, Action.CLICK, Action.CONVERSION)
    means = {
        action.name.lower(): float(omega_X[action_X == action].mean())
        for action in classes
        if (action_X == action).any()
    }
    mean = float(omega_X.mean()) if omega_X.size else 0.0
    share = _clipped_share(tables.decisions, corpus)
    gates = (
        _order_gate(means),
        GateResult(
            name="weight_mean_one",
            passed=abs(mean - 1) <= _MEAN_TOLERANCE,
            value=mean,
            bound=1.0,
            message=f"the mean of {omega_X.size} weights is {mean:.5f}, expected 1 within "
            f"{_MEAN_TOLERANCE}; if it failed, run corpus_curation again",
        ),
        GateResult(
            name="clipped_share",
            passed=omega_X.size > 0 and share <= params.max_clipped_share,
            value=share,
            bound=params.max_clipped_share,
            message=f"{share:.2%} of the weights are clipped, expected at most "
            f"{params.max_clipped_share:.2%}; if it failed, look for extreme bids in the log",
        ),
    )
    return gates, {f"mean_weight_{name}": value for name, value in means.items()}


def hit_rate_gate(
    before: GateScores, after: GateScores, params: VaftConfig
) -> tuple[GateResult, dict[str, float]]:
    """Bound the relative loss of hit rate, allowing for chance.

    The same requests are scored before and after, so that the standard error is that of the
    paired difference; 1.645 of them, relative to the hit rate before, are allowed for.

    Args:
        before: Scores of the pre-trained model.
        after: Scores of the fine-tuned model on the same requests.
        params: Largest drop.

    Returns:
        The gate, and drop and allowance as metrics.
    """
    size = before.hit_M.size
    hits_before, hits_after = before.hit_M.astype(float), after.hit_M.astype(float)
    rate = float(hits_before.mean()) if size else 0.0
    drop = allowance = 0.0
    if rate > 0:
        change_M = hits_before - hits_after
        drop = float(change_M.mean()) / rate
        allowance = _NORMAL_95 * float(change_M.std()) / size**0.5 / rate
    gate = GateResult(
        name="hit_rate_drop",
        passed=size > 0 and drop - allowance <= params.max_hit_rate_drop,
        value=drop,
        bound=params.max_hit_rate_drop + allowance,
        message=f"the hit rate on {size} held-out requests went from {rate:.4f} to "
        f"{float(hits_after.mean()) if size else 0.0:.4f}, a relative drop of {drop:.2%}; allowed "
        f"are {params.max_hit_rate_drop:.2%} and {allowance:.2%} for chance; if it failed, raise "
        "unweighted_share or lower optimizer.learning_rate",
    )
    return gate, {"hit_rate_drop": drop, "hit_rate_drop_allowance": allowance}


def finite_gate(model: GPR, curve: pa.Table) -> GateResult:
    """Count numbers that are not finite.

    Args:
        model: The trained model.
        curve: Its training curve.

    Returns:
        The gate no_nan.
    """
    bad = count_not_finite(model, curve)
    return GateResult(
        name="no_nan",
        passed=bad == 0,
        value=float(bad),
        bound=0.0,
        message=f"{bad} weights or losses are not finite, expected none; if it failed, lower "
        "optimizer.learning_rate",
    )


def _order_gate(means: dict[str, float]) -> GateResult:
    """Demand that a better outcome weighs more, among the outcomes that occur."""
    values = list(means.values())
    steps = np.diff(values)
    smallest = float(steps.min()) if steps.size else 0.0
    listed = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    return GateResult(
        name="weight_order",
        passed=bool(steps.size and (steps > 0).all()),
        value=smallest,
        bound=0.0,
        message=f"mean weights: {listed or 'none'}; each must exceed the one before, and at least "
        "two outcomes must occur; if it failed, check labels and value_action_weights",
    )


def _clipped_share(decisions: pa.Table, corpus: Path) -> float:
    """Recompute how often the clip binds, with the stored constants."""
    constants = ValueWeightConstants.load(corpus / "value_weights.json")

    def column(name: str) -> npt.NDArray[np.float64]:
        return np.asarray(decisions[name].to_numpy())

    logged = LoggedValue(
        action_B=column("action").astype(np.int8),
        bid_type_B=column("bid_type").astype(np.int8),
        ecpm_B=column("ecpm"),
        p_ctr_B=column("p_ctr"),
        p_cvr_B=column("p_cvr"),
    )
    return clipped_share(logged, constants)
