"""Paired differences: what the report lists and what the verdict rests on."""

from collections.abc import Mapping

from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.intervals import Interval, UserBootstrap
from gpr_core.evaluation.measures import Columns
from gpr_core.evaluation.metrics import METHODS, metric_table
from gpr_core.evaluation.report import Difference
from gpr_core.evaluation.verdict import Comparison, Evidence

CANDIDATE = "hepo"

_COMPARED_WITH = ("champion", "vaft", "mtp", "popularity", "transitions", "repeat_last", "item_knn")


def headline(params: EvaluationConfig) -> str:
    """Name the metric of the verdict.

    Args:
        params: Parameters.

    Returns:
        For example `HR_ad@10`.
    """
    return f"HR_ad@{params.headline_k}"


def compare(
    columns: Columns, bootstrap: UserBootstrap, params: EvaluationConfig
) -> list[Difference]:
    """Compare the candidate with every other method on the metrics that matter.

    Args:
        columns: `<method>/<metric>` -> [B] float64.
        bootstrap: Shared resamples.
        params: Parameters.

    Returns:
        Differences in the order of the report.
    """
    wanted = (
        headline(params),
        f"no_repeat_{headline(params)}",
        "ndcg",
        "opr",
        "final_value_mean",
        "final_value_max",
        "true_value_mean",
        "value_gap",
    )
    labels = {method.key: method.label for method in METHODS}
    metrics = {metric.key: metric for metric in metric_table(params.hit_rate_ks)}
    rows = []
    for other in _COMPARED_WITH:
        for key in wanted:
            found = _difference(columns, bootstrap, key, other)
            if found is not None:
                label = f"{labels[CANDIDATE].split()[0]} - {labels[other]}"
                rows.append(Difference(label, metrics[key].label, found, metrics[key].digits))
    return rows


def paired_evidence(
    columns: Columns,
    values: Mapping[str, Interval],
    bootstrap: UserBootstrap,
    params: EvaluationConfig,
    champion: str | None,
    illegal: Mapping[str, int],
) -> Evidence:
    """Collect what the verdict rests on.

    Args:
        columns: `<method>/<metric>` -> [B] float64.
        values: Means with intervals.
        bootstrap: Shared resamples.
        params: Parameters.
        champion: Version compared with, or None.
        illegal: Method -> illegal ads.

    Returns:
        The evidence.
    """

    def against(metric: str, other: str) -> Comparison | None:
        """Compare on one metric, if the other method was measured."""
        found = values.get(f"{other}/{metric}")
        if found is None:
            return None
        return Comparison(
            other=found.value, difference=_difference(columns, bootstrap, metric, other)
        )

    floor = against(headline(params), "popularity")
    return Evidence(
        illegal_ads=illegal[CANDIDATE],
        hit_rate_label=f"HR@{params.headline_k}",
        hit_rate_against_floor=floor or Comparison(other=0.0, difference=None),
        champion=champion,
        hit_rate_against_champion=against(headline(params), "champion"),
        final_value_against_champion=against("final_value_mean", "champion"),
        fidelity=values.get("truth/fidelity"),
        value_gap_growth=_difference(columns, bootstrap, "value_gap", "vaft"),
        true_value_growth=against("true_value_mean", "vaft"),
    )


def _difference(
    columns: Columns, bootstrap: UserBootstrap, metric: str, other: str
) -> Interval | None:
    """Candidate minus another method; None if one of them was not measured."""
    mine, theirs = columns.get(f"{CANDIDATE}/{metric}"), columns.get(f"{other}/{metric}")
    if mine is None or theirs is None:
        return None
    return bootstrap.difference(mine, theirs)
