import pytest

from data_contracts.evolution import diff_contracts, is_bump_enough, required_bump
from tests.data_contracts.contracts import make_contract, raw_contract, raw_drift, raw_rule

COLUMN = {
    "name": "extra",
    "logicalType": "integer",
    "physicalType": "int16",
    "required": False,
    "description": "More.",
}


def bump(old, new):
    return required_bump(diff_contracts(old, new))


def rules(*changed):
    return make_contract(*changed)


def without(*columns, **changes):
    """A contract without some columns, or with changed ones."""
    raw = raw_contract()
    kept = [item for item in raw["schema"][0]["properties"] if item["name"] not in columns]
    raw["schema"][0]["properties"] = [
        {**item, **changes} if item["name"] == "price" else item for item in kept
    ]
    return make_contract(schema=raw["schema"])


def test_nothing_changed_asks_for_nothing():
    assert bump(make_contract(raw_rule()), make_contract(raw_rule())) is None


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (without("price"), "major"),
        (without(physicalType="float32"), "major"),
        (without(required=True), "major"),
        (without(unit="micros"), "major"),
        (without(may_be_absent=True), "minor"),
        (without(description="Better words."), "patch"),
        (make_contract(properties=[COLUMN]), "major"),
        (make_contract(properties=[{**COLUMN, "may_be_absent": True}]), "minor"),
        (make_contract(max_quarantine_share=0.1), "major"),
        (make_contract(max_quarantine_share=0.9), "minor"),
        (make_contract(allow_empty="always"), "minor"),
        (make_contract(open_columns=True), "minor"),
        (make_contract(team={"name": "others"}), "patch"),
    ],
)
def test_a_change_of_the_table_asks_for_a_version(new, expected):
    assert bump(make_contract(), new) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"arguments": {"column": "price", "min_value": 1}}, "major"),
        ({"arguments": {"column": "price", "min_value": -1}}, "minor"),
        ({"arguments": {"column": "price", "min_value": 0, "max_value": 9}}, "major"),
        ({"arguments": {"column": "price", "min_value": 0, "strict_min": True}}, "major"),
        ({"arguments": {"column": "price", "min_value": 0, "mostly": 0.9}}, "major"),
        ({"arguments": {"column": "ts", "min_value": 0}}, "major"),
        ({"on_fail": "block"}, "major"),
        ({"on_fail": "report", "severity": "warning"}, "minor"),
        ({"whole_window": True}, "minor"),
        ({"reason": "better words"}, "patch"),
    ],
)
def test_a_change_of_a_rule_asks_for_a_version(changes, expected):
    if changes.get("arguments", {}).get("mostly"):
        # A share of forgiven rows that was not there before relaxes the rule; read it backwards.
        assert bump(rules(raw_rule(**changes)), rules(raw_rule())) == "minor"
        return
    assert bump(rules(raw_rule()), rules(raw_rule(**changes))) == expected


def test_a_set_of_values_may_grow_but_not_shrink():
    def among(*values):
        return rules(
            raw_rule(
                expectation="expect_column_values_to_be_in_set",
                arguments={"column": "price", "value_set": list(values)},
            )
        )

    assert bump(among(1), among(1, 2)) == "minor"
    assert bump(among(1, 2), among(1)) == "major"


def test_rules_may_be_removed_freely_but_added_only_to_report():
    quiet = raw_rule(severity="info", on_fail="report")
    assert bump(rules(raw_rule()), rules()) == "minor"
    assert bump(rules(), rules(raw_rule())) == "major"
    assert bump(rules(), rules(quiet)) == "minor"


def test_drift_rules_are_compared():
    def drift(**changes):
        return make_contract(drift=[raw_drift(**changes)])

    assert bump(drift(), drift(bound=0.1)) == "major"
    assert bump(drift(), drift(bound=0.5)) == "minor"
    assert bump(drift(), drift(edges=[1.0])) == "major"
    assert bump(drift(), drift(min_days=4)) == "patch"
    assert bump(drift(), make_contract()) == "minor"
    assert bump(drift(), drift(on_fail="block", severity="critical")) == "major"


def test_other_sql_or_bounds_may_mean_anything():
    def derived(sql):
        return make_contract(derived=[{"name": "twice", "sql": sql}])

    def bounded(value):
        rule = raw_rule(arguments={"column": "price", "min_value": "$low"})
        return make_contract(rule, parameters=[{"name": "low", "value": value, "reason": "so"}])

    assert bump(derived("2 * price"), derived("3 * price")) == "major"
    assert bump(make_contract(), derived("2 * price")) == "patch"
    assert bump(bounded(1), bounded(2)) == "major"


def test_changes_name_their_place_and_the_gravest_comes_first():
    new = make_contract(raw_rule(), properties=[{**COLUMN, "may_be_absent": True}])
    found = diff_contracts(make_contract(), new)
    assert [(item.bump, item.where, item.what) for item in found] == [
        ("major", "AD-001", "rule added, on_fail quarantine"),
        ("minor", "extra", "optional column added"),
    ]


@pytest.mark.parametrize(
    ("new", "required", "expected"),
    [
        ("1.2.3", None, True),
        ("1.2.2", None, False),
        ("1.2.4", "patch", True),
        ("1.2.4", "minor", False),
        ("1.3.0", "minor", True),
        ("1.3.0", "major", False),
        ("2.0.0", "major", True),
        ("2.0.0", "patch", True),
    ],
)
def test_a_version_must_rise_enough(new, required, expected):
    assert is_bump_enough("1.2.3", new, required) is expected
