"""From the semantic ids before a refit to those after it, so that whoever stored ids can follow.

Letters: M items.
"""

import numpy as np
import pyarrow as pa

from gpr_core.tokenizer.sid_map import codes_of, stored_rows

ID_MAP_FILE = "id_map.parquet"
ID_MAP_SCHEMA = pa.schema(
    [
        pa.field("item_kind", pa.int8(), nullable=False),
        pa.field("item_key", pa.uint64(), nullable=False),
        pa.field("old_path", pa.list_(pa.int16()), nullable=False),
        pa.field("new_path", pa.list_(pa.int16()), nullable=False),
        pa.field("old_version", pa.string(), nullable=False),
        pa.field("new_version", pa.string(), nullable=False),
    ]
)


def build_id_map(old: pa.Table, new: pa.Table) -> pa.Table:
    """Pair the ids of every item that two semantic-id tables have in common.

    Args:
        old: Ids before the refit, a table of `build_sid_map`.
        new: Ids after it; the number of levels may differ.

    Returns:
        `ID_MAP_SCHEMA`, in the order of `new`; items that one table lacks are left out.
    """
    old_row_M = stored_rows(old, new)
    new_row_M = np.flatnonzero(old_row_M >= 0)
    old_row_M = old_row_M[new_row_M]
    columns = [
        new["item_kind"].take(pa.array(new_row_M)),
        new["item_key"].take(pa.array(new_row_M)),
        pa.array(list(codes_of(old)[old_row_M]), pa.list_(pa.int16())),
        pa.array(list(codes_of(new)[new_row_M]), pa.list_(pa.int16())),
        old["tokenizer_version"].take(pa.array(old_row_M)),
        new["tokenizer_version"].take(pa.array(new_row_M)),
    ]
    return pa.table(columns, schema=ID_MAP_SCHEMA)
