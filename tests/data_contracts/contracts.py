"""Builds small contracts in place."""

import copy
from typing import Any

from data_contracts.load import parse_contract

_BASE: dict[str, Any] = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "ads",
    "version": "1.2.3",
    "status": "active",
    "team": {"name": "owners"},
    "description": {"purpose": "One thing."},
    "rule_prefix": "AD",
    "allow_empty": "never",
    "max_quarantine_share": 0.5,
    "schema": [
        {
            "name": "ads",
            "properties": [
                {
                    "name": "ad_key",
                    "logicalType": "integer",
                    "physicalType": "uint64",
                    "required": True,
                    "primaryKey": True,
                    "description": "Key.",
                },
                {
                    "name": "ts",
                    "logicalType": "integer",
                    "physicalType": "int64",
                    "required": True,
                    "partitioned": True,
                    "description": "Time.",
                },
                {
                    "name": "price",
                    "logicalType": "number",
                    "physicalType": "float64",
                    "required": False,
                    "description": "Price.",
                },
            ],
            "quality": [],
        }
    ],
}


def raw_rule(number=1, **changes):
    """One rule as it stands in YAML."""
    rule = {
        "id": f"AD-{number:03d}",
        "expectation": "expect_column_values_to_be_between",
        "arguments": {"column": "price", "min_value": 0},
        "severity": "critical",
        "on_fail": "quarantine",
        "breach": "a negative price",
        "reason": "nobody is paid for buying",
        "fix": "send the price",
    }
    return {**rule, **changes}


def raw_drift(**changes):
    """One drift rule as it stands in YAML."""
    rule = {
        "id": "AD-050",
        "column": "price",
        "method": "psi",
        "bound": 0.25,
        "edges": [1.0, 2.0],
        "min_days": 3,
        "severity": "warning",
        "on_fail": "report",
        "breach": "other prices than before",
        "reason": "a new currency shows here",
        "fix": "compare both days",
    }
    return {**rule, **changes}


def raw_contract(*rules, properties=(), **changes):
    """A whole contract as it stands in YAML."""
    raw = copy.deepcopy(_BASE)
    raw["schema"][0]["quality"] = list(rules)
    raw["schema"][0]["properties"] += list(properties)
    return {**raw, **changes}


def make_contract(*rules, properties=(), **changes):
    """A parsed contract."""
    return parse_contract(raw_contract(*rules, properties=properties, **changes), where="here")
