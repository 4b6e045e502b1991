"""Budgets are never oversold."""

import threading

import numpy as np
import pytest

from gpr_core.catalog.budget import BudgetLedger
from gpr_core.support.errors import ConfigError, ShapeError


def test_a_reservation_is_granted_while_the_budget_lasts():
    ledger = BudgetLedger(np.array([10, 5]))
    granted = ledger.reserve(np.array([1, 0, 1, 0, 0]), np.array([3, 4, 3, 6, 1]))
    # Ad 1: 3 of 5, then 6 > 5. Ad 0: 4, then 10 of 10, then 11 > 10.
    assert granted.tolist() == [True, True, False, True, False]
    assert ledger.view().remaining_A.tolist() == [0, 2]


def test_after_a_refusal_later_rows_of_the_call_are_refused_too():
    ledger = BudgetLedger(np.array([5]))
    assert ledger.reserve(np.array([0, 0]), np.array([6, 1])).tolist() == [False, False]
    assert ledger.reserve(np.array([0]), np.array([1])).tolist() == [True]


def test_the_version_counts_changes():
    ledger = BudgetLedger(np.array([5]))
    before = ledger.view()
    ledger.reserve(np.array([0]), np.array([6]))
    assert ledger.view().version == 0
    ledger.reserve(np.array([0]), np.array([5]))
    ledger.release(np.array([0]), np.array([2]))
    assert ledger.view().version == 2
    assert ledger.view().remaining_A.tolist() == [2]
    assert before.remaining_A.tolist() == [5]


def test_no_rows_change_nothing():
    ledger = BudgetLedger(np.array([5]))
    none = np.zeros(0, np.int64)
    assert ledger.reserve(none, none).size == 0
    ledger.release(none, none)
    assert ledger.view().version == 0


def test_concurrent_reservations_never_oversell():
    ledger = BudgetLedger(np.array([100]))
    granted = []

    def spend():
        for _ in range(50):
            granted.append(bool(ledger.reserve(np.array([0]), np.array([1]))[0]))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 100
    assert ledger.view().remaining_A.tolist() == [0]


def test_bad_amounts_are_refused():
    with pytest.raises(ConfigError, match="1 budgets are negative"):
        BudgetLedger(np.array([1, -1]))
    ledger = BudgetLedger(np.array([1]))
    with pytest.raises(ConfigError, match="price -1 is negative"):
        ledger.reserve(np.array([0]), np.array([-1]))
    with pytest.raises(ConfigError, match="price -2 is negative"):
        ledger.release(np.array([0]), np.array([-2]))
    with pytest.raises(ShapeError, match="price_micros_M has shape"):
        ledger.reserve(np.array([0]), np.array([1, 2]))
