import re

import pytest

from gpr_core.evaluation.charts import MethodValue, curve_chart, interval_chart, usage_chart
from gpr_core.evaluation.intervals import Interval

ROWS = [
    MethodValue("HEPO", False, Interval(0.3, 0.2, 0.4, 9)),
    MethodValue("Popularity", True, Interval(0.1, 0.05, 0.15, 9)),
]


def draw(kind, name):
    if kind == "interval":
        return interval_chart("HR@10", ROWS, name=name)
    if kind == "curve":
        return curve_chart("loss", [1.0, 2.0], {"a": [3.0, 2.0], "b": [1.0, 0.5]}, name=name)
    return usage_chart("Level 1", [3, 0, 9], name=name)


@pytest.mark.parametrize("kind", ["interval", "curve", "usage"])
def test_the_same_chart_is_the_same_bytes_whatever_was_drawn_before(kind):
    first = draw(kind, "x")
    draw("curve", "between")
    assert draw(kind, "x") == first


@pytest.mark.parametrize("kind", ["interval", "curve", "usage"])
def test_ids_begin_with_the_name_and_colors_are_variables(kind):
    svg = draw(kind, "mine")
    assert all(found.startswith("mine-") for found in re.findall(r'\bid="([^"]*)"', svg))
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert "var(--" in svg


def test_floors_are_muted_and_policies_are_not():
    svg = draw("interval", "x")
    assert "var(--series-1)" in svg
    assert 'stroke="var(--muted)"' in svg


def test_long_curves_are_thinned_and_gaps_left_out():
    updates = [float(update) for update in range(5000)]
    values = [float("nan") if update % 2 else 1.0 for update in range(5000)]
    svg = curve_chart("loss", updates, {"a": values}, name="x")
    assert len(svg) < 20_000
    assert "NaN" not in svg


def test_a_chart_never_grows_beyond_its_natural_width():
    assert re.search(r'<svg[^>]* style="width:\d+px" viewBox="0 0 \d+ \d+"', draw("usage", "x"))
