from pathlib import Path

import pyarrow as pa
import pytest

from data_contracts.outcome import (
    CheckOutcome,
    RuleOutcome,
    describe,
    quarantine_path,
    raise_if_any_failed,
)
from gpr_core.support.errors import ContractError

EMPTY = pa.table({})


def rule(number, status="failed", severity="critical", on_fail="block"):
    return RuleOutcome(
        id=f"EV-{number:03d}",
        status=status,
        severity=severity,
        on_fail=on_fail,
        message="412 of 1,000,000 rows have an event before its exposure",
        checked=1_000_000,
        failed=412,
        observed=None,
        examples=tuple(f"row {idx}" for idx in range(10)),
        reason="why",
        fix=f"mend {number}",
    )


def outcome(*rules, ok=False, contract="ad_events"):
    return CheckOutcome(
        contract=contract, version="1.0.0", rows=5, rules=rules, clean=EMPTY, quarantine=EMPTY,
        ok=ok,
    )  # fmt: skip


def test_a_line_says_what_how_many_which_and_where():
    broken = rule(3, on_fail="quarantine")
    text = describe(outcome(broken), broken, reports=Path("/reports"))
    assert text == (
        "ad_events EV-003: 412 of 1,000,000 rows have an event before its exposure, first 10: "
        "row 0; row 1; row 2; row 3; row 4; row 5; row 6; row 7; row 8; row 9, "
        "quarantined at /reports/quarantine/ad_events.parquet"
    )


def test_only_quarantined_rows_have_a_file():
    assert "quarantined" not in describe(outcome(rule(3)), rule(3), reports=Path("/reports"))
    assert quarantine_path(Path("a"), "ads") == Path("a/quarantine/ads.parquet")


def test_the_worst_rules_come_first():
    rules = (rule(1, severity="info"), rule(2, "passed"), rule(3), rule(4, severity="warning"))
    assert [item.id for item in outcome(*rules).failed_rules] == ["EV-003", "EV-004", "EV-001"]


def test_an_error_shows_ten_rules_and_five_examples():
    broken = outcome(*(rule(number) for number in range(1, 13)))
    with pytest.raises(ContractError, match="contract broken") as caught:
        raise_if_any_failed([broken], "step a", reports=Path("/reports"))
    text = str(caught.value)
    assert text.count("rows have") == 10
    assert "... and 2 more rules" in text
    assert "first 5: row 0; row 1; row 2; row 3; row 4\n" in text
    assert "where: step a; full report in /reports" in text
    assert text.endswith("fix: EV-001: mend 1; EV-002: mend 2; EV-003: mend 3")


def test_several_tables_are_refused_together():
    outcomes = [outcome(rule(1)), outcome(rule(2), ok=True), outcome(rule(3), contract="ads")]
    with pytest.raises(ContractError, match=r"contract broken: ad_events 1\.0\.0, ads 1\.0\.0\n"):
        raise_if_any_failed(outcomes, "step a")


def test_a_usable_table_is_not_refused():
    outcome(rule(1, severity="warning", on_fail="report"), ok=True).raise_if_failed("here")


def test_skipped_rules_are_refused_only_on_demand():
    kept = outcome(rule(1, "skipped"), ok=True)
    kept.raise_if_failed("here")
    with pytest.raises(ContractError, match="EV-001"):
        kept.raise_if_failed("here", require_all=True)
