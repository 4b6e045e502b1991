"""Charts of the report as inline SVG: no script, no font file, the same bytes every time.

Colors are placeholders while a chart is drawn and become CSS variables afterwards, so that one
picture serves light and dark pages.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import altair as alt
import vl_convert

from gpr_core.evaluation.intervals import Interval

_INK, _MUTED, _GRID = "#010203", "#010204", "#010205"
_SERIES = ("#010211", "#010212", "#010213", "#010214", "#010215", "#010216")
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _GRID: "var(--line)",
    **{color: f"var(--series-{place})" for place, color in enumerate(_SERIES, start=1)},
}
_WIDTH = 268
_MAX_POINTS = 240
_LOCAL_ID = re.compile(r"\b(?:clip|gradient)[\w-]*\d+\b")
_PLACEHOLDER = re.compile("|".join(_VARIABLES))


class MethodValue(NamedTuple):
    """One row of an interval chart.

    Attributes:
        label: Name of the method.
        is_floor: Whether it is a floor, drawn in a muted color.
        interval: Its value.
    """

    label: str
    is_floor: bool
    interval: Interval


def interval_chart(title: str, rows: Sequence[MethodValue], *, name: str) -> str:
    """Draw values with their intervals, one row per method.

    Args:
        title: Title.
        rows: Methods in the order to show.
        name: Unique name on the page; ids inside the picture begin with it.

    Returns:
        An `<svg>` element.
    """
    values = [
        {
            "method": row.label,
            "kind": "floor" if row.is_floor else "policy",
            "value": row.interval.value,
            "low": row.interval.ci_low,
            "high": row.interval.ci_high,
        }
        for row in rows
    ]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("method:N", sort=[row.label for row in rows], title=None),
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=["policy", "floor"], range=[_SERIES[0], _MUTED]),
            legend=None,
        ),
    )
    axis = alt.Axis(tickCount=4, title=None)
    scale = alt.Scale(zero=False)
    rules = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", axis=axis, scale=scale), x2=alt.X2("high:Q")
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(x=alt.X("value:Q"))
    chart = (rules + points).properties(width=_WIDTH - 100, height=22 * len(rows), title=title)
    return _render(chart, name)


def curve_chart(
    title: str,
    updates: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    name: str,
) -> str:
    """Draw losses against updates.

    Args:
        title: Title.
        updates: Update numbers, ascending.
        series: Name -> one value per update; values that are not finite are left out.
        name: Unique name on the page.

    Returns:
        An `<svg>` element.
    """
    stride = max(1, -(-len(updates) // _MAX_POINTS))
    values = [
        {"update": float(update), "loss": float(value), "series": label}
        for label, column in series.items()
        for update, value in list(zip(updates, column, strict=True))[::stride]
        if abs(value) < float("inf")
    ]
    labels = list(series)
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(strokeWidth=1.6, clip=True)
        .encode(
            x=alt.X("update:Q", title="update", axis=alt.Axis(tickCount=4, format="~s")),
            y=alt.Y("loss:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "series:N",
                scale=alt.Scale(domain=labels, range=list(_SERIES[: len(labels)])),
                legend=alt.Legend(orient="bottom", columns=2, title=None, symbolType="stroke")
                if len(labels) > 1
                else None,
            ),
        )
        .properties(width=_WIDTH, height=150, title=title)
    )
    return _render(chart, name)


def usage_chart(title: str, counts: Sequence[int], *, name: str) -> str:
    """Draw how many items use each code, the most used first.

    Args:
        title: Title.
        counts: Items per code, any order.
        name: Unique name on the page.

    Returns:
        An `<svg>` element.
    """
    ordered = sorted((int(value) for value in counts), reverse=True)
    # A step holds until the next point, so the last code needs one behind it.
    ends = [*ordered, *ordered[-1:]]
    values = [{"code": place + 1, "items": value} for place, value in enumerate(ends)]
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_area(color=_SERIES[0], opacity=0.75, interpolate="step-after")
        .encode(
            x=alt.X("code:Q", title="code, most used first", axis=alt.Axis(tickCount=4)),
            y=alt.Y("items:Q", title="items", axis=alt.Axis(tickCount=4)),
        )
        .properties(width=_WIDTH, height=110, title=title)
    )
    return _render(chart, name)


def _render(chart: alt.LayerChart | alt.Chart, name: str) -> str:
    """Turn a chart into an SVG that is the same in every process."""
    specification: dict[str, Any] = chart.to_dict()
    specification["config"] = _CONFIG
    svg = str(vl_convert.vegalite_to_svg(specification))
    svg = _PLACEHOLDER.sub(lambda match: _VARIABLES[match.group()], svg)
    return _unique_ids(_responsive(svg), name)


def _unique_ids(svg: str, name: str) -> str:
    """Number local ids by first appearance; the renderer numbers them across all charts."""
    numbers = count(1)
    known: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        if match.group() not in known:
            known[match.group()] = f"{name}-{next(numbers)}"
        return known[match.group()]

    return _LOCAL_ID.sub(rename, svg)


def _responsive(svg: str) -> str:
    """Let the picture shrink with its column, never grow beyond its natural size."""
    found = re.search(r'width="(\d+)" height="(\d+)"', svg)
    if found is None:
        return svg
    return svg.replace(found.group(), f'style="width:{found.group(1)}px"', 1)


_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "title": {"color": _INK, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 8},
    "axis": {
        "labelColor": _MUTED,
        "titleColor": _MUTED,
        "gridColor": _GRID,
        "domainColor": _GRID,
        "tickColor": _GRID,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": 400,
        "labelLimit": 110,
    },
    "axisY": {"domain": False, "ticks": False},
    "legend": {"labelColor": _MUTED, "labelFontSize": 11, "labelLimit": 120},
}
