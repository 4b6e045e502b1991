from data_contracts.structural_rules import structural_rules
from tests.data_contracts.contracts import make_contract


def words(allow_empty, properties):
    return [rule.id for rule in structural_rules("AD", allow_empty, properties)]


def test_only_rules_that_can_fail_are_listed():
    [key, ts, price] = make_contract().properties
    assert words("always", [ts]) == ["AD-COLUMNS", "AD-TYPES", "AD-SHARE", "AD-NULLS"]
    assert words("never", [price]) == ["AD-COLUMNS", "AD-TYPES", "AD-SHARE", "AD-ROWS", "AD-FINITE"]
    assert words("always", [key])[-2:] == ["AD-KEYS", "AD-UNIQUE"]


def test_every_structural_rule_says_why_and_how_to_mend():
    for rule in make_contract().rules:
        assert rule.breach
        assert rule.reason
        assert rule.fix
        assert rule.severity == "critical"
