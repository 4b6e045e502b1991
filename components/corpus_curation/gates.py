"""What a corpus must show before anything learns from it."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from components.runtime.context import GateResult
from gpr_core.data.as_of import Window
from gpr_core.data.config import CurationConfig
from gpr_core.data.item_sample import ItemSample
from gpr_core.data.splits import Split
from gpr_core.data.tables import TokenKind

_KNOWN_AT = {
    "timelines": ("ts", "ingest_ts"),
    "decisions": ("ts",),
    "users": ("valid_from",),
    "user_stats_daily": ("day_ts",),
    "ads": ("launch_ts",),
    "ad_versions": ("valid_from",),
    "content": ("publish_ts",),
}
_THOUGHTS_KNOWN_AT = {"thoughts": ("as_of_ts", "source_max_ts")}
# Rounding of a float32 weight must not fail a ratio that sits exactly at the cap.
_RATIO_SLACK = 1e-5


def measure_gates(
    tables: Mapping[str, pa.Table], window: Window, items: ItemSample, config: CurationConfig
) -> tuple[GateResult, ...]:
    """Measure the gates of the step on the tables that will be written.

    Args:
        tables: File stem -> rows of the artifact.
        window: What the corpus covers.
        items: Vectors, clusters and splits.
        config: Parameters.

    Returns:
        One result for each gate of the spec.
    """
    return (
        _time_order(tables["timelines"]),
        _nothing_after_cutoff(tables, window),
        _near_duplicates_stay_together(items, config),
        _category_balance(items, config),
        _enough_decisions(tables),
    )


def _time_order(timelines: pa.Table) -> GateResult:
    """Count tokens out of order and sequences that do not begin with a U token."""
    user, ts, kind, order_key = (
        timelines[name].to_numpy() for name in ("user_key", "ts", "kind", "order_key")
    )
    order = np.lexsort((order_key, kind, ts, user))
    misplaced = int((order != np.arange(order.size)).sum())
    begins = np.ones(user.size, dtype=np.bool_)
    begins[1:] = user[1:] != user[:-1]
    headless = int((kind[begins] != TokenKind.USER).sum())
    return GateResult(
        name="time_order",
        passed=misplaced + headless == 0,
        value=misplaced + headless,
        bound=0,
        message=f"{misplaced} tokens out of order, {headless} sequences without a leading U token",
    )


def _nothing_after_cutoff(tables: Mapping[str, pa.Table], window: Window) -> GateResult:
    """Count rows that happened or became known at or after the cutoff."""
    known_at = _KNOWN_AT | (_THOUGHTS_KNOWN_AT if "thoughts" in tables else {})
    late = {
        f"{name}.{column}": int((tables[name][column].to_numpy() >= window.cutoff_ts).sum())
        for name, columns in known_at.items()
        for column in columns
    }
    where = ", ".join(name for name, count in late.items() if count) or "none"
    return GateResult(
        name="nothing_after_cutoff",
        passed=sum(late.values()) == 0,
        value=sum(late.values()),
        bound=0,
        message=f"rows at or after the cutoff {window.cutoff_ts}: {where}",
    )


def _near_duplicates_stay_together(items: ItemSample, config: CurationConfig) -> GateResult:
    """Compare the most similar items of two splits with the near-duplicate threshold."""
    return GateResult(
        name="near_duplicates_stay_together",
        passed=items.max_cross_cosine < config.near_duplicate_cosine,
        value=items.max_cross_cosine,
        bound=config.near_duplicate_cosine,
        message="largest cosine of two items on different sides of the tokenizer split",
    )


def _category_balance(items: ItemSample, config: CurationConfig) -> GateResult:
    """Check the ratio of the weights, and that the largest category lost share by them."""
    split, weight, is_canonical = (
        items.sample[name].to_numpy() for name in ("split", "weight", "is_canonical")
    )
    drawn = is_canonical & (split == Split.TRAIN)
    _, category = np.unique(items.category_N[drawn], return_inverse=True)
    natural = np.bincount(category) / max(category.size, 1)
    balanced = np.bincount(category, weights=weight[drawn]) / weight[drawn].sum()
    ratio = float(weight.max() / weight.min())
    largest = int(natural.argmax())
    evens = bool(balanced[largest] <= natural[largest] + _RATIO_SLACK)
    return GateResult(
        name="category_balance",
        passed=evens and ratio <= config.balance_cap * (1 + _RATIO_SLACK),
        value=ratio,
        bound=config.balance_cap,
        message=(
            f"ratio of category weights; the largest category has {natural[largest]:.3f} of the "
            f"items and {balanced[largest]:.3f} of the weight"
        ),
    )


def _enough_decisions(tables: Mapping[str, pa.Table]) -> GateResult:
    """Refuse an empty corpus."""
    count = min(tables["decisions"].num_rows, tables["timelines"].num_rows)
    return GateResult(
        name="enough_decisions",
        passed=count >= 1,
        value=count,
        bound=1,
        message="the smaller of the numbers of decisions and tokens",
    )
