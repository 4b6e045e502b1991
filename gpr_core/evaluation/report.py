"""The report of one day: a single HTML file that needs no server, no script and no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from gpr_core.evaluation import page
from gpr_core.evaluation.charts import MethodValue, curve_chart, interval_chart
from gpr_core.evaluation.codebook_section import CodebookView, codebook_section
from gpr_core.evaluation.decode_section import decode_section
from gpr_core.evaluation.decode_view import DecodeView
from gpr_core.evaluation.intervals import Interval
from gpr_core.evaluation.metrics import Method, Metric
from gpr_core.evaluation.page import Cell, Tile
from gpr_core.evaluation.verdict import Verdict

_MAX_SERIES = 6


class Difference(NamedTuple):
    """A paired difference of one metric.

    Attributes:
        label: What is compared with what.
        metric: Label of the metric.
        interval: The difference.
        digits: Decimals shown.
    """

    label: str
    metric: str
    interval: Interval
    digits: int


class GateRow(NamedTuple):
    """A gate of an earlier step, as its artifact reports it.

    Attributes:
        step: The step.
        name: The gate.
        demand: What it demands.
        passed: Whether it passed.
        value: What was measured.
        bound: What it was compared with.
    """

    step: str
    name: str
    demand: str
    passed: bool
    value: float
    bound: float


class Curve(NamedTuple):
    """Training curves of one checkpoint.

    Attributes:
        label: Name of the training stage.
        updates: Update numbers.
        charts: Chart title -> series name -> one value per update.
    """

    label: str
    updates: Sequence[float]
    charts: Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything the report shows.

    Attributes:
        day: Training day, ISO.
        evaluation_day: The day judged on, ISO.
        source: Where the lake's rows come from.
        champion: Version compared with, None on the first day.
        verdict: The verdict.
        methods: Methods in the order to show.
        metrics: All metrics in the order to show.
        values: Flat name `<method>/<metric>` -> value.
        headline: Key of the metric of the verdict.
        differences: Paired differences.
        remarks: Sentences about how to read the numbers.
        curves: Training curves.
        codebook: What to show about the codebooks.
        decode: One decode of the policy, looked into.
        gates: Gates of all earlier steps.
        facts: (name, value) facts about the data.
        synthetic: Columns whose values are made up, with the reason; empty for a real log.
        lineage: (artifact, what, hash) rows.
    """

    day: str
    evaluation_day: str
    source: str
    champion: str | None
    verdict: Verdict
    methods: Sequence[Method]
    metrics: Sequence[Metric]
    values: Mapping[str, Interval]
    headline: str
    differences: Sequence[Difference]
    remarks: Sequence[str]
    curves: Sequence[Curve]
    codebook: CodebookView
    decode: DecodeView
    gates: Sequence[GateRow]
    facts: Sequence[tuple[str, str]]
    synthetic: Sequence[str]
    lineage: Sequence[tuple[str, str, str]]


def render_report(data: ReportData) -> str:
    """Write the report.

    Args:
        data: What to show.

    Returns:
        A complete HTML document; equal data give equal bytes.
    """
    sections = [
        ("Quality", _quality(data)),
        ("Differences", _differences(data)),
        ("Training", _training(data)),
        ("Codebooks", codebook_section(data.codebook)),
        ("One decode", decode_section(data.decode)),
        ("Gates", _gates(data)),
        ("Data", _data(data)),
        ("Lineage", _lineage(data)),
    ]
    return page.page(f"GPR {data.day}", _header(data), [part for part in sections if part[1]])


def _header(data: ReportData) -> str:
    """Say what was decided and why."""
    promote = data.verdict.promote
    badge = f'<span class="badge {"good" if promote else "bad"}">'
    badge += ("promote" if promote else "do not promote") + "</span>"
    against = f"champion {data.champion}" if data.champion else "no champion: first day"
    rules = [(rule.passed, rule.message) for rule in data.verdict.rules]
    return (
        f'<p class="kicker">Trained to the end of <time>{escape(data.day)}</time>, judged on '
        f"<time>{escape(data.evaluation_day)}</time>, {escape(against)}</p>"
        f"<h1>GPR daily evaluation {badge}</h1>" + _tiles(data) + page.check_list(rules)
    )


def _tiles(data: ReportData) -> str:
    """Show the numbers that most readers come for."""
    wanted = (
        data.headline,
        f"no_repeat_{data.headline}",
        "ndcg",
        "opr",
        "final_value_mean",
        "oracle_efficiency",
    )
    labels = {metric.key: metric for metric in data.metrics}
    entries = []
    for key in wanted:
        found = data.values.get(f"{data.methods[0].key}/{key}")
        if found is not None:
            digits = labels[key].digits
            floor = data.values.get(f"popularity/{key}")
            beside = (f"popularity {floor.value:.{digits}f}",) if floor else ()
            notes = (_range(found, digits), *beside)
            entries.append(Tile(labels[key].label, f"{found.value:.{digits}f}", notes))
    return page.tiles(entries)


def _quality(data: ReportData) -> str:
    """Compare all methods."""
    titles = {
        "retrieval": "Does the list hold the ad that was shown?",
        "value": "Value, as the frozen simulator sees it",
        "truth": "Value, as the ground truth of the synthetic world has it",
    }
    parts = []
    for group, title in titles.items():
        metrics = [metric for metric in data.metrics if metric.group == group]
        metrics = [metric for metric in metrics if _is_measured(data, metric)]
        if metrics:
            parts += [page.subheading(title), _metric_table(data, metrics)]
            chosen = [metric for metric in metrics if metric.key in _charted(data)]
            parts.append(page.figures([_metric_chart(data, metric) for metric in chosen]))
    lead = (
        "Policies and floors on the same requests, the same eligible ads and the same list "
        "lengths. Below each mean: 95 % interval of a bootstrap over users."
    )
    return page.section("quality", "Quality", *parts, page.notes(data.remarks), lead=lead)


def _charted(data: ReportData) -> tuple[str, ...]:
    """Choose the metrics that also get a picture."""
    return (
        data.headline,
        f"no_repeat_{data.headline}",
        data.headline.replace("HR_ad", "HR_path"),
        "ndcg",
        "opr",
        "final_value_mean",
        "true_ndcg",
        "true_value_mean",
        "oracle_efficiency",
    )


def _is_measured(data: ReportData, metric: Metric) -> bool:
    """Tell whether any method has a value."""
    return any(f"{method.key}/{metric.key}" in data.values for method in data.methods)


def _metric_table(data: ReportData, metrics: Sequence[Metric]) -> str:
    """One row per method, one column per metric."""
    header = [Cell("method"), *(Cell(m.label, m.meaning, is_number=True) for m in metrics)]
    rows = [
        [
            Cell(method.label, tone="muted" if method.is_floor else ""),
            *(_value_cell(data.values.get(f"{method.key}/{m.key}"), m.digits) for m in metrics),
        ]
        for method in data.methods
        if any(f"{method.key}/{m.key}" in data.values for m in metrics)
    ]
    return page.table(header, rows)


def _metric_chart(data: ReportData, metric: Metric) -> str:
    """Draw one metric for all methods."""
    rows = [
        MethodValue(method.label, method.is_floor, data.values[f"{method.key}/{metric.key}"])
        for method in data.methods
        if f"{method.key}/{metric.key}" in data.values
    ]
    name = "".join(letter if letter.isalnum() else "-" for letter in metric.key)
    return interval_chart(metric.label, rows, name=f"m-{name}")


def _differences(data: ReportData) -> str:
    """Tabulate paired differences, one row per method compared with."""
    metrics = list(dict.fromkeys(row.metric for row in data.differences))
    found = {(row.label, row.metric): row for row in data.differences}
    header = [Cell("comparison"), *(Cell(metric, is_number=True) for metric in metrics)]
    rows = [
        [Cell(label), *(_difference_cell(found.get((label, metric))) for metric in metrics)]
        for label in dict.fromkeys(row.label for row in data.differences)
    ]
    lead = (
        "Paired on the same requests and the same resamples of users. Colored where the "
        "interval leaves out zero."
    )
    return page.section("differences", "Differences", page.table(header, rows), lead=lead)


def _difference_cell(row: Difference | None) -> Cell:
    """Write a difference with its interval."""
    if row is None:
        return Cell("-", tone="muted", is_number=True)
    text = f"{row.interval.value:+.{row.digits}f}"
    return Cell(text, _range(row.interval, row.digits, sign=True), _tone(row.interval), True)


def _training(data: ReportData) -> str:
    """Draw the curves of each stage."""
    parts = []
    for place, curve in enumerate(data.curves):
        charts = [
            curve_chart(
                title,
                curve.updates,
                dict(list(series.items())[:_MAX_SERIES]),
                name=f"c{place}-{number}",
            )
            for number, (title, series) in enumerate(curve.charts.items())
        ]
        parts += [page.subheading(curve.label), page.figures(charts)]
    if not parts:
        return ""
    lead = "By update; long curves are averaged over the last few updates."
    return page.section("training", "Training", *parts, lead=lead)


def _gates(data: ReportData) -> str:
    """List the gates that earlier steps passed."""
    header = [Cell("gate"), Cell("step"), Cell("result"), Cell("measured", is_number=True)]
    header += [Cell("bound", is_number=True), Cell("demand")]
    rows = [
        [
            Cell(gate.name),
            Cell(gate.step, tone="muted"),
            Cell("passed" if gate.passed else "failed", tone="good" if gate.passed else "bad"),
            Cell(f"{gate.value:.4g}", is_number=True),
            Cell(f"{gate.bound:.4g}", is_number=True),
            Cell(gate.demand, tone="muted"),
        ]
        for gate in data.gates
    ]
    lead = "A step publishes only if all its gates pass, so these describe how closely."
    return page.section("gates", "Gates of earlier steps", page.table(header, rows), lead=lead)


def _data(data: ReportData) -> str:
    """Say what data were used, and which of them are made up."""
    parts = [page.facts([("source", data.source), *data.facts])]
    if data.synthetic:
        parts += [page.subheading("Made-up columns"), page.notes(data.synthetic)]
    return page.section("data", "Data", *parts)


def _lineage(data: ReportData) -> str:
    """List the hashes that this report rests on."""
    header = [Cell("artifact"), Cell("what"), Cell("sha256")]
    rows = [
        [Cell(name), Cell(what, tone="muted"), Cell(value)] for name, what, value in data.lineage
    ]
    lead = "Content hashes; the same inputs, code, parameters and seed give this very page."
    return page.section("lineage", "Lineage", page.table(header, rows), lead=lead)


def _value_cell(interval: Interval | None, digits: int) -> Cell:
    """Write a value with its interval."""
    if interval is None:
        return Cell("-", tone="muted", is_number=True)
    return Cell(f"{interval.value:.{digits}f}", _range(interval, digits), is_number=True)


def _range(interval: Interval, digits: int, *, sign: bool = False) -> str:
    """Write the ends of an interval."""
    form = f"{'+' if sign else ''}.{digits}f"
    return f"[{interval.ci_low:{form}}, {interval.ci_high:{form}}]"


def _tone(interval: Interval) -> str:
    """Color a difference whose sign is sure."""
    if interval.ci_low > 0:
        return "good"
    return "bad" if interval.ci_high < 0 else ""
