"""Names, order and meaning of every reported metric and method."""

from collections.abc import Iterable
from typing import NamedTuple


class Method(NamedTuple):
    """One thing that proposes ads.

    Attributes:
        key: First part of a flat metric name.
        label: Name for people.
        is_floor: Whether it learns nothing of a user's journey beyond counting.
    """

    key: str
    label: str
    is_floor: bool = False


class Metric(NamedTuple):
    """One reported number.

    Attributes:
        key: Second part of a flat metric name.
        label: Column header.
        meaning: One sentence.
        group: Table it belongs to: retrieval, value or truth.
        digits: Decimals shown.
    """

    key: str
    label: str
    meaning: str
    group: str
    digits: int = 3


METHODS: tuple[Method, ...] = (
    Method("hepo", "HEPO (candidate)"),
    Method("vaft", "VAFT"),
    Method("mtp", "MTP"),
    Method("champion", "Champion"),
    Method("popularity", "Popularity", is_floor=True),
    Method("transitions", "Transitions", is_floor=True),
    Method("repeat_last", "Repeat last", is_floor=True),
    Method("item_knn", "Item-kNN", is_floor=True),
)

_VALUE_METRICS: tuple[Metric, ...] = (
    Metric("ndcg", "nDCG", "order of the fixed pool by simulated eCPM, 1 is ideal", "value"),
    Metric("opr", "OPR", "share of pool pairs ordered as their simulated eCPM is", "value"),
    Metric(
        "final_value_mean",
        "mean FV",
        "mean final value of the candidates, one scale for all methods",
        "value",
    ),
    Metric("final_value_max", "max FV", "final value of the best candidate, same scale", "value"),
    Metric(
        "final_value_mean_clipped",
        "mean FV, 1-99 %",
        "mean final value on a scale that ignores the outer percentiles",
        "value",
    ),
    Metric("final_value_mean_raw", "mean FV, raw", "mean final value, eCPM units", "value", 2),
    Metric("final_value_max_raw", "max FV, raw", "best final value, eCPM units", "value", 2),
    Metric("coverage", "coverage", "share of the candidate places that are filled", "value"),
    Metric("true_ndcg", "nDCG", "order of the fixed pool by true eCPM", "truth"),
    Metric("true_opr", "OPR", "share of pool pairs ordered as their true eCPM is", "truth"),
    Metric("true_value_mean", "mean FV*", "mean true final value, eCPM units", "truth", 2),
    Metric("true_value_max", "max FV*", "best true final value, eCPM units", "truth", 2),
    Metric(
        "oracle_efficiency",
        "efficiency",
        "where mean FV* lies between a uniform choice (0) and the best ad (1)",
        "truth",
    ),
    Metric(
        "value_gap",
        "FV - FV*",
        "mean simulated minus mean true final value; growth without FV* is reward hacking",
        "truth",
        2,
    ),
)


def metric_table(ks: Iterable[int]) -> tuple[Metric, ...]:
    """List all metrics in the order of the report.

    Args:
        ks: List lengths of the hit rates.

    Returns:
        Hit rates, then value metrics, then metrics that need the truth.
    """
    kinds = (
        ("HR_ad", "HR", "the shown ad is among the first"),
        ("HR_path", "HR path", "the path of the shown ad is among the first distinct paths, K ="),
        ("no_repeat_HR_ad", "HR new", "as HR, only where the user never saw the ad before, K ="),
    )
    rates = tuple(
        Metric(f"{key}@{k}", f"{label}@{k}", f"{meaning} {k}", "retrieval")
        for key, label, meaning in kinds
        for k in ks
    )
    return rates + _VALUE_METRICS
