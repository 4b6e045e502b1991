"""What the step writes: numbers for tools, tables for people, the verdict, the report."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.evaluation.codebook_inputs import codebook_view
from components.evaluation.differences import headline
from components.evaluation.report_inputs import (
    data_facts,
    gate_rows,
    knowledge_remark,
    lineage_rows,
    made_up_columns,
    training_curves,
)
from components.runtime.context import StepContext
from components.runtime.model_store import content_hash
from gpr_core.data.lake import Lake
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.decode_view import DecodeView
from gpr_core.evaluation.intervals import Interval
from gpr_core.evaluation.measures import Columns
from gpr_core.evaluation.metrics import METHODS, Method, Metric, metric_table
from gpr_core.evaluation.next_day import NextDay
from gpr_core.evaluation.report import Difference, ReportData, render_report
from gpr_core.evaluation.verdict import Verdict
from gpr_core.support.files import write_bytes, write_json, write_text
from gpr_core.support.hashing import hash_file

_BOUND_ARTIFACTS = {
    "policy_hash": "hepo_checkpoint",
    "tokenizer_hash": "tokenizer",
    "catalog_hash": "catalog",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """The finished judgement of one day.

    Attributes:
        day: The evaluation day.
        columns: `<method>/<metric>` -> [B] float64.
        values: Name -> mean and interval.
        differences: Paired differences.
        verdict: The verdict.
        illegal: Method -> illegal ads.
        value_scale: Names and numbers of the shared range of final values.
        has_truth: Whether the truth of the world was there to compare with.
    """

    day: NextDay
    columns: Columns
    values: Mapping[str, Interval]
    differences: list[Difference]
    verdict: Verdict
    illegal: Mapping[str, int]
    value_scale: Mapping[str, float]
    has_truth: bool


def write_outputs(
    context: StepContext[EvaluationConfig],
    judgement: Judgement,
    example: DecodeView,
    evaluation_day: date,
) -> None:
    """Write the artifact `evaluation` and the plots.

    Args:
        context: The step.
        judgement: What to write.
        example: One decode to show.
        evaluation_day: The day judged on.
    """
    folder = context.outputs["evaluation"]
    metrics = {name: asdict(interval) for name, interval in sorted(judgement.values.items())}
    write_json(folder / "metrics.json", metrics)
    pq.write_table(per_request_table(judgement), folder / "per_request.parquet", compression="zstd")
    _write_tables(folder / "tables", judgement, context.params)
    report = render_report(_report_data(context, judgement, example, evaluation_day))
    write_bytes(folder / "report.html", report.encode("utf-8"))
    verdict = {
        "promote": judgement.verdict.promote,
        "reasons": judgement.verdict.reasons(),
        "rules": [asdict(rule) for rule in judgement.verdict.rules],
        "champion": context.champion,
        "day": context.day.isoformat(),
        "evaluation_day": evaluation_day.isoformat(),
        "report_hash": hash_file(folder / "report.html"),
        **{key: content_hash(context.inputs[name]) for key, name in _BOUND_ARTIFACTS.items()},
    }
    write_json(folder / "verdict.json", verdict)
    _write_csv(context.plots / "metrics.csv", _plot_rows(judgement, context.params))


def per_request_table(judgement: Judgement) -> pa.Table:
    """Lay the measurements out, one row per request.

    Args:
        judgement: What was measured.

    Returns:
        Keys, what is known of the truth, and one float64 column per method and metric; null where
        a request does not count.
    """
    day = judgement.day
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "request_key": day.requests["request_key"],
        "user_key": day.requests["user_key"],
        "ts": day.requests["ts"],
        "ad_key": day.requests["ad_key"],
        "is_synthetic": day.requests["is_synthetic"],
        "truth_eligible": pa.array(day.truth_eligible()),
        "is_new_to_user": pa.array(day.is_new_B),
        "num_eligible": pa.array(day.eligible_BA.sum(axis=1)),
    }
    for name, value_B in sorted(judgement.columns.items()):
        columns[name] = pa.array(value_B, mask=np.isnan(value_B))
    return pa.table(columns)


def _shown_methods(judgement: Judgement) -> list[Method]:
    """List the methods that were measured."""
    return [
        method
        for method in METHODS
        if any(name.startswith(f"{method.key}/") for name in judgement.values)
    ]


def _shown_metrics(judgement: Judgement, params: EvaluationConfig) -> list[Metric]:
    """List the metrics that were measured."""
    metrics = metric_table(params.hit_rate_ks)
    return [metric for metric in metrics if metric.group != "truth" or judgement.has_truth]


def _report_data(
    context: StepContext[EvaluationConfig],
    judgement: Judgement,
    example: DecodeView,
    evaluation_day: date,
) -> ReportData:
    """Collect what the report shows."""
    source = Lake(context.lake).source()
    return ReportData(
        day=context.day.isoformat(),
        evaluation_day=evaluation_day.isoformat(),
        source=source,
        champion=context.champion,
        verdict=judgement.verdict,
        methods=_shown_methods(judgement),
        metrics=_shown_metrics(judgement, context.params),
        values=judgement.values,
        headline=headline(context.params),
        differences=judgement.differences,
        remarks=[
            *_remarks(judgement, context.params),
            *knowledge_remark(context.inputs["corpus"], judgement.day.thoughts),
        ],
        curves=training_curves(context.inputs),
        codebook=codebook_view(context.inputs["tokenizer"]),
        decode=example,
        gates=gate_rows(context.inputs),
        facts=data_facts(context.inputs["corpus"], judgement.day),
        synthetic=made_up_columns(source),
        lineage=lineage_rows(context.inputs),
    )


def _remarks(judgement: Judgement, params: EvaluationConfig) -> list[str]:
    """Say how the numbers are to be read."""
    num_ads = judgement.day.catalog.catalog.trie.num_ads
    share = params.headline_k / num_ads
    is_headline = share <= params.max_headline_share
    low, high = judgement.value_scale["low"], judgement.value_scale["high"]
    fidelity = judgement.values.get("truth/fidelity")
    remarks = [
        (
            f"K = {params.headline_k} is {share:.2%} of {num_ads:,} ads: "
            + ("small enough for a headline" if is_headline else "too much for a headline")
            + f" (bound {params.max_headline_share:.0%})."
        ),
        "HR new counts only requests whose ad the user had never been shown.",
        (
            f"Final values of all methods share one range, {low:.3f} to {high:.3f} eCPM units; "
            f"{params.value_candidates} candidates were asked of every method."
        ),
        (
            f"nDCG and OPR order the same {params.pool_size} eligible ads per request: the shown "
            f"ad, {params.pool_popular} by popularity, the rest uniform."
        ),
        "Floors know the whole exposure log; policies know less in private sessions.",
    ]
    if fidelity is not None:
        remarks.append(
            f"Simulator and truth order the pool with rank correlation {fidelity.value:.3f} "
            f"[{fidelity.ci_low:.3f}, {fidelity.ci_high:.3f}]; efficiency is 0 for a uniform "
            f"choice and 1 for the best {params.value_candidates} eligible ads."
        )
    return remarks


def _write_tables(folder: Path, judgement: Judgement, params: EvaluationConfig) -> None:
    """Write one table per group of metrics, and the differences."""
    metrics = _shown_metrics(judgement, params)
    for group in ("retrieval", "value", "truth"):
        rows = [
            [method.key, metric.key, found.value, found.ci_low, found.ci_high, found.n]
            for method in _shown_methods(judgement)
            for metric in metrics
            if metric.group == group
            and (found := judgement.values.get(f"{method.key}/{metric.key}")) is not None
        ]
        if rows:
            header = ("method", "metric", "value", "ci_low", "ci_high", "n")
            _write_csv(folder / f"{group}.csv", [header, *rows])
    header = ("comparison", "metric", "difference", "ci_low", "ci_high", "n")
    rows = [
        [row.label, row.metric, row.interval.value, *_ends(row.interval), row.interval.n]
        for row in judgement.differences
    ]
    _write_csv(folder / "differences.csv", [header, *rows])


def _ends(interval: Interval) -> tuple[float, float]:
    """Give the ends of an interval."""
    return interval.ci_low, interval.ci_high


def _plot_rows(judgement: Judgement, params: EvaluationConfig) -> list[list[object]]:
    """Headline hit rate by method, for a DVC plot."""
    key = headline(params)
    rows: list[list[object]] = [["method", key]]
    for method in _shown_methods(judgement):
        rows.append([method.key, judgement.values[f"{method.key}/{key}"].value])
    return rows


def _write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())
