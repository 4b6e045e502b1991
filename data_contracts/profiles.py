"""Profiles of days: the statistics that drift rules compare.

A profile follows from the rows of its day and from the contract alone. Rows count as they landed,
also those that a rule sets aside, so that neither other days nor other tables change a profile.
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.derive import DerivedRows
from data_contracts.drift import DayProfile
from data_contracts.lineage import row_needs
from data_contracts.model import ROWS_COLUMN, Contract, DriftRule
from gpr_core.data.days import day_of_ms
from gpr_core.data.tables import DAY_MS

_NO_NUMBERS: npt.NDArray[np.float64] = np.zeros(0)


def profile_partitions(contract: Contract, parts: Mapping[date, pa.Table]) -> list[DayProfile]:
    """Profile daily partitions, each from its own rows.

    Args:
        contract: The contract.
        parts: Day -> all rows of its partition, in the contract's columns and types.

    Returns:
        One profile per day; without rows it has neither histograms nor means.
    """
    if not parts:
        return []
    columns = _numbers(contract, pa.concat_tables(parts.values()))
    profiles, begin = [], 0
    for day, rows in parts.items():
        own = {name: values[begin : begin + rows.num_rows] for name, values in columns.items()}
        profiles.append(_profile(contract, day, rows.num_rows, own))
        begin += rows.num_rows
    return profiles


def profile_days(contract: Contract, table: pa.Table) -> list[DayProfile]:
    """Profile the last days of a table whose partitions are not known.

    Args:
        contract: The contract.
        table: Rows in the contract's columns and types.

    Returns:
        One profile per UTC day of the partition column that has rows, in order: the last day and
        as many before it as a drift rule looks at; none if there is no drift rule.
    """
    if not contract.drift:
        return []
    number = np.floor(table[contract.partition_column].to_numpy() / DAY_MS)
    days = np.unique(number[np.isfinite(number)])[-1 - history_days(contract) :]
    rows = table.select(_own_columns(contract, table))
    return profile_partitions(
        contract,
        {day_of_ms(int(day) * DAY_MS): rows.filter(pa.array(number == day)) for day in days},
    )


def history_days(contract: Contract) -> int:
    """Count the days before the judged one that drift rules look at.

    Args:
        contract: The contract.

    Returns:
        The longest history of its drift rules; 0 if there are none.
    """
    return max((rule.window_days for rule in contract.drift), default=0)


def _profile(
    contract: Contract, day: date, rows: int, columns: Mapping[str, npt.NDArray[np.float64]]
) -> DayProfile:
    """Summarize the numbers of one day."""
    histograms: dict[str, dict[str, int]] = {}
    means: dict[str, float] = {}
    for rule in contract.drift:
        values = columns.get(rule.column, _NO_NUMBERS)
        finite = values[np.isfinite(values)]
        if rule.method == "robust_sigma" and finite.size:
            means[rule.id] = float(f"{finite.mean():.9g}")
        elif rule.method != "robust_sigma" and values.size:
            histograms[rule.id] = _histogram(rule, values)
    return DayProfile(
        contract=contract.name,
        version=contract.version,
        day=day.isoformat(),
        rows=rows,
        histograms=histograms,
        means=means,
    )


def _own_columns(contract: Contract, table: pa.Table) -> list[str]:
    """List the columns of a table that its profile is computed from, and the partition column."""
    needs = row_needs(contract)
    names = {contract.partition_column}.union(
        *(needs[rule.column].columns for rule in contract.drift if rule.column != ROWS_COLUMN)
    )
    return [name for name in table.column_names if name in names]


def _numbers(contract: Contract, rows: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
    """Give what drift rules look at as numbers, nulls as NaN; an absent column is left out."""
    names = {rule.column for rule in contract.drift} - {ROWS_COLUMN}
    own = {item.name for item in contract.properties}
    numbers = {name: _as_floats(rows[name]) for name in names & own & set(rows.column_names)}
    derived = sorted(names - own)
    if derived:
        position = np.arange(rows.num_rows, dtype=np.int64)
        with DerivedRows(
            contract, rows, position, references={}, parameters={}, names=derived
        ) as values:
            frame = values.frame(derived)
        numbers |= {name: frame[name].to_numpy(dtype=np.float64) for name in derived}
    return numbers


def _as_floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Cast to float64, nulls as NaN."""
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy())


def _histogram(rule: DriftRule, values: npt.NDArray[np.float64]) -> dict[str, int]:
    """Count values by bin, or each value by itself; nulls form their own bin."""
    is_null = np.isnan(values)
    known = values[~is_null]
    if rule.edges:
        counts = np.bincount(np.searchsorted(np.array(rule.edges), known, side="right"))
        labels = [f"bin {idx:02d}" for idx in range(counts.size)]
    else:
        levels, counts = np.unique(known, return_counts=True)
        labels = [f"{level:g}" for level in levels]
    every = {**dict(zip(labels, counts.tolist(), strict=True)), "null": int(is_null.sum())}
    return {label: count for label, count in every.items() if count}
