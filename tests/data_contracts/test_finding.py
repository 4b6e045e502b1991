import numpy as np
import pyarrow as pa

from data_contracts.finding import (
    bad_rows,
    failed_rows,
    failed_table,
    mask,
    passed,
    skipped,
    to_outcome,
)
from tests.data_contracts.contracts import make_contract, raw_rule

CONTRACT = make_contract(raw_rule())
RULE = CONTRACT.rules[-1]
TABLE = pa.table(
    {
        "ad_key": pa.array([7, 8, 9], pa.uint64()),
        "ts": [1, 2, 3],
        "price": [-1.5, 2.0, -3.0],
    }
)


def broken(rows):
    return failed_rows(RULE, np.array(rows), checked=3, total=3, shown={"price": [-1.5, -3.0]})


def test_a_rule_that_no_row_applied_to_is_vacuous():
    assert passed(RULE, 0).status == "vacuous"
    assert passed(RULE, 1).status == "passed"


def test_a_skipped_rule_says_why():
    outcome = to_outcome(CONTRACT, TABLE, skipped(RULE, "no users were given"))
    assert (outcome.status, outcome.failed) == ("skipped", 0)
    assert outcome.message == "not checked: no users were given"


def test_examples_mask_keys_and_show_values():
    outcome = to_outcome(CONTRACT, TABLE, broken([0, 2]))
    assert outcome.message == "2 of 3 rows have a negative price"
    assert outcome.examples == (
        f"row 0 (ad_key={mask(7)}, price=-1.5)",
        f"row 2 (ad_key={mask(9)}, price=-3)",
    )
    assert (outcome.checked, outcome.failed) == (3, 2)


def test_at_most_ten_examples_are_kept():
    rows = np.arange(12)
    table = pa.concat_tables([TABLE] * 4)
    finding = failed_rows(RULE, rows, checked=12, total=12, shown={"price": [0.0] * 12})
    assert len(to_outcome(CONTRACT, table, finding).examples) == 10


def test_a_broken_measure_counts_once():
    outcome = to_outcome(CONTRACT, TABLE, failed_table(RULE, "ctr is 2", 3, observed=2.0))
    assert (outcome.failed, outcome.observed, outcome.examples) == (1, 2.0, ())


def test_long_texts_are_cut():
    finding = failed_rows(RULE, np.array([0]), checked=3, total=3, shown={"price": ["x" * 50]})
    [example] = to_outcome(CONTRACT, TABLE, finding).examples
    assert example.endswith("price=" + "x" * 37 + "...)")


def test_bad_rows_are_joined_once_and_only_from_quarantine_rules():
    report = make_contract(raw_rule(severity="warning", on_fail="report")).rules[-1]
    other = failed_rows(report, np.array([1]), checked=3, total=3)
    assert bad_rows([broken([2, 0]), broken([2]), other]).tolist() == [0, 2]
    assert bad_rows([]).tolist() == []
