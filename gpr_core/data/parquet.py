"""Writing single Parquet files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.support.files import write_bytes


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically; equal tables give equal bytes.

    Args:
        path: Where the file must appear; its folder is made if needed.
        table: The rows.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())
