"""Ibis expressions executed by an embedded DuckDB, with results in a fixed order.

The expressions themselves are plain Ibis, so that another engine can run them; only this module
names DuckDB.
"""

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa


class Engine:
    """A private in-memory database.

    Args:
        threads: Threads of the database; the results do not depend on it.
    """

    def __init__(self, threads: int = 1) -> None:
        self._backend: Any = ibis.duckdb.connect(threads=threads)

    def collect(self, expression: ir.Table, order_by: Sequence[str], schema: pa.Schema) -> pa.Table:
        """Run an expression.

        Args:
            expression: What to compute; its columns are chosen by name.
            order_by: Columns that order the rows; they must identify a row.
            schema: Schema of the result.

        Returns:
            One chunk of rows in exactly that schema.
        """
        ordered = expression.select(*schema.names).order_by(list(order_by))
        rows: pa.Table = self._backend.to_pyarrow(ordered)
        return rows.cast(pa.schema([f.with_nullable(True) for f in schema])).cast(schema)

    def keep(self, expression: ir.Table) -> ir.Table:
        """Compute an expression once, for use in several others.

        Args:
            expression: What to compute.

        Returns:
            The result, held in memory, in no particular order.
        """
        return ibis.memtable(self._backend.to_pyarrow(expression))

    def close(self) -> None:
        """Free the database."""
        self._backend.disconnect()

    def __enter__(self) -> "Engine":
        """Use it in a `with` statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the database."""
        self.close()


def relation(rows: pa.Table) -> ir.Table:
    """Wrap an Arrow table for use in expressions, without a copy.

    Args:
        rows: The table.

    Returns:
        An Ibis table.
    """
    plain = pa.schema([field.remove_metadata().with_nullable(True) for field in rows.schema])
    return ibis.memtable(rows.cast(plain))
