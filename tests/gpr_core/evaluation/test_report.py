import re
from dataclasses import replace

import pytest

from gpr_core.evaluation.intervals import Interval
from gpr_core.evaluation.metrics import METHODS, metric_table
from gpr_core.evaluation.report import Curve, Difference, GateRow, ReportData, render_report
from gpr_core.evaluation.verdict import Rule, Verdict
from tests.gpr_core.evaluation.codebooks import make_view
from tests.gpr_core.evaluation.decodes import make_decode

NO_DECODE = replace(make_decode(), levels=[])
SHOWN = [method for method in METHODS if method.key != "champion"]


def make_interval(value, width=0.02):
    return Interval(value=value, ci_low=value - width, ci_high=value + width, n=512)


def make_values():
    metrics = metric_table((1, 10, 50, 100))
    return {
        f"{method.key}/{metric.key}": make_interval(0.8 - 0.1 * place - 0.01 * order)
        for place, method in enumerate(SHOWN)
        for order, metric in enumerate(metrics)
    }


def make_report(**changes):
    updates = [float(update) for update in range(1, 501)]
    arguments = {
        "day": "2026-03-01",
        "evaluation_day": "2026-03-02",
        "source": "world",
        "champion": None,
        "verdict": Verdict(
            promote=True,
            rules=(
                Rule(name="legal", passed=True, message="every emitted ad may serve its request"),
                Rule(name="beats_popularity", passed=True, message="HR@10 is above the floor"),
            ),
        ),
        "methods": SHOWN,
        "metrics": metric_table((1, 10, 50, 100)),
        "values": make_values(),
        "headline": "HR_ad@10",
        "differences": [
            Difference("HEPO - popularity", "HR@10", make_interval(0.1), 3),
            Difference("HEPO - popularity", "mean FV", make_interval(0.05), 3),
            Difference("HEPO - VAFT", "HR@10", make_interval(0.0), 3),
            Difference("HEPO - VAFT", "mean FV", make_interval(-0.1), 3),
        ],
        "remarks": ["K = 10 is 0.7 % of 1,500 ads."],
        "curves": [
            Curve(
                label="MTP pre-training",
                updates=updates,
                charts={
                    "NLL per head": {
                        f"head {head}": [9 / (1 + u / 90) + head for u in updates]
                        for head in (1, 2, 3, 4)
                    },
                    "total loss": {"loss": [5 / (1 + u / 50) for u in updates]},
                },
            )
        ],
        "codebook": make_view(),
        "decode": make_decode(),
        "gates": [
            GateRow("hepo", "legal_share", "every candidate is legal", True, 1.0, 1.0),
            GateRow("vaft", "hit_rate_loss", "bounded loss of hit rate", False, 0.08, 0.05),
        ],
        "facts": [("requests evaluated", "512"), ("users", "402")],
        "synthetic": [],
        "lineage": [("hepo_checkpoint", "content", "ab" * 32)],
    } | changes
    return ReportData(**arguments)


@pytest.fixture(scope="module")
def html():
    return render_report(make_report())


def test_equal_data_give_equal_bytes(html):
    assert render_report(make_report()) == html


def test_the_page_needs_no_network_and_no_script(html):
    assert "<script" not in html
    links = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(link.startswith("#") for link in links)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_ids_are_unique_and_every_reference_has_its_target(html):
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', html)
    assert {target for pair in targets for target in pair if target} <= set(ids)


def test_colors_are_variables_of_the_page(html):
    svg = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    used = set(re.findall(r"var\((--[\w-]+)\)", svg))
    assert used <= set(re.findall(r"(--[\w-]+):", html))


def test_a_refused_policy_shows_why():
    verdict = Verdict(
        promote=False,
        rules=(Rule(name="beats_popularity", passed=False, message="HR@10 < popularity & co"),),
    )
    html = render_report(make_report(verdict=verdict))
    assert "do not promote" in html
    assert "<i>failed</i>HR@10 &lt; popularity &amp; co" in html


def test_every_value_of_the_table_is_on_the_page():
    html = render_report(make_report(decode=NO_DECODE))
    assert ">0.800<small>[0.780, 0.820]</small>" in html
    assert ">-0.100<small>[-0.120, -0.080]</small>" in html
    assert "-</td>" not in html


def test_a_missing_metric_is_a_dash_and_a_group_nobody_measured_is_left_out():
    values = {
        name: value
        for name, value in make_values().items()
        if "true_" not in name and "oracle" not in name and name != "mtp/ndcg"
    }
    values = {name: value for name, value in values.items() if "value_gap" not in name}
    html = render_report(make_report(values=values, decode=NO_DECODE))
    assert "ground truth" not in html
    assert html.count(">-</td>") == 1


def test_made_up_columns_are_named():
    html = render_report(make_report(source="movielens", synthetic=["bid_micros: drawn"]))
    assert "Made-up columns" in html
    assert "bid_micros: drawn" in html


def test_stages_without_curves_leave_the_section_out():
    assert 'id="training"' not in render_report(make_report(curves=[]))


def test_a_decode_without_levels_leaves_the_section_out(html):
    assert 'href="#decode">One decode</a>' in html
    assert 'id="decode"' not in render_report(make_report(decode=NO_DECODE))


def test_values_that_are_not_finite_do_not_break_a_chart():
    curve = Curve("VAFT", [1.0, 2.0, 3.0], {"loss": {"loss": [1.0, float("nan"), 0.5]}})
    assert "NaN" not in render_report(make_report(curves=[curve]))


@pytest.mark.parametrize("champion", [None, "2026-02-28-0123456789ab"])
def test_the_champion_is_named(champion):
    html = render_report(replace(make_report(), champion=champion))
    assert (champion or "no champion: first day") in html


def test_a_difference_that_was_not_measured_is_a_dash():
    differences = make_report().differences[:3]
    html = render_report(make_report(differences=differences, decode=NO_DECODE))
    assert html.count(">-</td>") == 1


def test_differences_are_colored_where_the_sign_is_sure(html):
    assert 'class="good number">+0.100' in html
    assert 'class="bad number">-0.100' in html
    assert 'class="number">+0.000' in html
