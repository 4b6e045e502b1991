"""Computed columns and measures of a contract, run by DuckDB over Arrow tables without copies.

References become left joins (the last row valid at a time where `as_of` is set), derived columns
become expressions over them, and measures become aggregates over the rows that survived.
"""

# ruff: noqa: S608 - every piece of SQL comes from a reviewed contract, never from data

import math
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data_contracts.lineage import row_needs, words_of
from data_contracts.load import load_contract
from data_contracts.model import Contract, Measure, Reference
from gpr_core.support.errors import ConfigError

_ROW = "_row"
_DUCKDB_NAMES = {"int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT"} | {
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
}
_INTEGERS = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER")
_FLOATS = ("FLOAT", "DECIMAL", "HUGEINT", "UHUGEINT")


class DerivedRows:
    """The rows of one table with everything its contract computes from them.

    Args:
        contract: The contract.
        table: Rows to check, in the contract's columns and types.
        rows: [M] int64, their positions in the table that was handed in.
        references: Reference tables by contract name; all that the names and measures need. The
            contract's own name stands for the table itself unless it is given.
        parameters: Value of every parameter that has one.
        names: Row-level names to compute: columns, reference columns, derived columns.
    """

    def __init__(
        self,
        contract: Contract,
        table: pa.Table,
        rows: npt.NDArray[np.int64],
        *,
        references: Mapping[str, pa.Table],
        parameters: Mapping[str, float],
        names: Sequence[str],
    ) -> None:
        self._contract = contract
        self._parameters = parameters
        self._connection = duckdb.connect()
        self._connection.register("_given", table.append_column(_ROW, pa.array(rows)))
        self._run(f"CREATE VIEW _base AS SELECT *{_absent_columns(contract, table)} FROM _given")
        for name, reference in {contract.name: table, **references}.items():
            absent = _absent_columns(load_contract(name), reference)
            self._connection.register(f"_table_{name}", reference)
            self._run(f"CREATE VIEW {name} AS SELECT *{absent} FROM _table_{name}")
        self._build(sorted(names))

    def __enter__(self) -> "DerivedRows":
        """Use as a context manager."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the memory of the joins."""
        self._connection.close()

    def frame(self, names: Iterable[str]) -> pd.DataFrame:
        """Give row-level names as a frame.

        Args:
            names: Some of the names given at construction.

        Returns:
            One column per name, indexed by the position of the row; nulls are NaN or None.
        """
        columns = ", ".join(f'"{name}"' for name in sorted(names))
        frame: pd.DataFrame = self._arrow(f"SELECT {_ROW}, {columns} FROM _final").to_pandas()
        # Great Expectations reports a named index as dictionaries instead of numbers.
        return frame.set_index(_ROW).rename_axis(None)

    def measure(
        self, measures: Sequence[Measure], excluded: npt.NDArray[np.int64]
    ) -> dict[str, float | None]:
        """Compute measures over the rows that survived.

        Args:
            measures: Measures whose columns were given at construction.
            excluded: [M] int64, positions of rows to leave out.

        Returns:
            Measure -> value; None where it does not apply (SQL null), NaN where it is undefined.
        """
        self._connection.register("_excluded", pa.table({_ROW: pa.array(excluded)}))
        self._run(
            "CREATE OR REPLACE VIEW this AS SELECT * FROM _base ANTI JOIN _excluded USING (_row)"
        )
        self._run(
            "CREATE OR REPLACE VIEW _kept AS SELECT * FROM _final ANTI JOIN _excluded USING (_row)"
        )
        values: dict[str, float | None] = {}
        aggregates = [item for item in measures if not item.is_query]
        if aggregates:
            chosen = ", ".join(f'({self._fill(item.sql)}) AS "{item.name}"' for item in aggregates)
            values |= self._one_row(f"SELECT {chosen} FROM _kept")
        for item in measures:
            if item.is_query:
                values |= self._one_row(f'SELECT ({self._fill(item.sql)}) AS "{item.name}"')
        return values

    def _build(self, names: Sequence[str]) -> None:
        """Join references and compute derived columns into the table `_final`."""
        known = row_needs(self._contract)
        tables = {table for name in names for table in known[name].tables}
        used = _names_used(self._contract, names)
        steps = ["s0 AS (SELECT * FROM _base)"]
        for reference in self._contract.references:
            if reference.table in tables and used & set(reference.columns):
                steps.append(_join_step(len(steps), reference, used))
        for derived in self._contract.derived:
            if derived.name in used:
                step = len(steps)
                expression = f'({self._fill(derived.sql)}) AS "{derived.name}"'
                steps.append(f"s{step} AS (SELECT *, {expression} FROM s{step - 1})")
        columns = "".join(f', "{name}"' for name in names)
        query = f"WITH {', '.join(steps)} SELECT {_ROW}{columns} FROM s{len(steps) - 1}"
        try:
            relation = self._connection.sql(query)
            chosen = ", ".join(
                _plain_number(name, str(kind))
                for name, kind in zip(relation.columns, relation.types, strict=True)
            )
        except duckdb.Error as error:
            raise self._error(error) from error
        self._run(f"CREATE TEMP TABLE _final AS SELECT {chosen} FROM ({query})")

    def _fill(self, sql: str) -> str:
        """Put parameter values into an expression, the longest names first."""
        for name in sorted(words_of(sql)[1], key=len, reverse=True):
            value = self._parameters[name]
            sql = sql.replace(f"${name}", str(int(value)) if value.is_integer() else repr(value))
        return sql

    def _one_row(self, query: str) -> dict[str, float | None]:
        """Run a query that gives one row of numbers."""
        [row] = self._arrow(query).to_pylist()
        return {
            name: None if value is None else float(value) if math.isfinite(value) else math.nan
            for name, value in row.items()
        }

    def _arrow(self, query: str) -> pa.Table:
        """Run a query and fetch it as Arrow."""
        try:
            return self._connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise self._error(error) from error

    def _run(self, statement: str) -> None:
        """Run a statement."""
        try:
            self._connection.execute(statement)
        except duckdb.Error as error:
            raise self._error(error) from error

    def _error(self, error: duckdb.Error) -> ConfigError:
        """Say which contract holds an expression that DuckDB refuses."""
        return ConfigError(
            f"an expression of the contract cannot be computed: {str(error)[:500]}",
            where=f"data_contracts/tables/{self._contract.name}.yaml",
            fix="mend its sql, or check that the reference tables keep their own contracts",
        )


def _absent_columns(contract: Contract, table: pa.Table) -> str:
    """Write optional columns that a table does not have, as nulls."""
    text = ""
    for item in contract.properties:
        if item.may_be_absent and item.name not in table.column_names:
            kind = _DUCKDB_NAMES.get(item.physical_type, item.physical_type)
            text += f', CAST(NULL AS {kind}) AS "{item.name}"'
    return text


def _names_used(contract: Contract, names: Sequence[str]) -> set[str]:
    """List every row-level name that some wanted name is computed from, itself included."""
    used = set(names)
    for derived in reversed(contract.derived):
        if derived.name in used:
            used |= words_of(derived.sql)[0]
    for reference in reversed(contract.references):
        if used & set(reference.columns):
            used |= set(reference.keys)
            used |= {reference.as_of[0]} if reference.as_of else set()
    return used


def _join_step(step: int, reference: Reference, used: set[str]) -> str:
    """Write one join; several rows there with the same key give one row, never more rows here."""
    keys = list(reference.keys.values())
    chosen = [f"{there} AS _k{idx}" for idx, there in enumerate(keys)]
    match = [f"s{step - 1}.{here} = r._k{idx}" for idx, here in enumerate(reference.keys)]
    kind = "LEFT JOIN"
    if reference.as_of is not None:
        here, there = reference.as_of
        chosen.append(f"{there} AS _from")
        match.append(f"s{step - 1}.{here} >= r._from")
        kind = "ASOF LEFT JOIN"
    columns = [name for name in reference.columns if name in used]
    for name in columns:
        source = reference.columns[name]
        chosen.append(f"{f'min({source})' if source.isidentifier() else source} AS {name}")
    right = f"SELECT {', '.join(chosen)} FROM {reference.table} GROUP BY ALL"
    outer = "".join(f", r.{name}" for name in columns)
    return (
        f"s{step} AS (SELECT s{step - 1}.*{outer} FROM s{step - 1} "
        f"{kind} ({right}) r ON {' AND '.join(match)})"
    )


def _plain_number(name: str, kind: str) -> str:
    """Cast to int64 or float64: other numbers go through Python, row by row, further on."""
    if kind in _INTEGERS:
        return f'CAST("{name}" AS BIGINT) AS "{name}"'
    if kind.startswith(_FLOATS):
        return f'CAST("{name}" AS DOUBLE) AS "{name}"'
    return f'"{name}"'


def names_for_measure(contract: Contract, measure: Measure) -> set[str]:
    """List the row-level names that an aggregate reads.

    Args:
        contract: The contract.
        measure: One of its measures.

    Returns:
        Names to hand to `DerivedRows`; none for a whole SELECT, which reads tables.
    """
    return set() if measure.is_query else words_of(measure.sql)[0] & row_needs(contract).keys()
