"""What was an id before a refit is found again after it."""

import numpy as np
import pyarrow as pa

from gpr_core.tokenizer.id_map import ID_MAP_SCHEMA, build_id_map
from gpr_core.tokenizer.sid_map import build_sid_map


def ids(items, codes, version):
    """A semantic-id table of (kind, key) items."""
    kinds, keys = zip(*items, strict=True)
    table = pa.table({"item_kind": kinds, "item_key": keys})
    ads = pa.table({"ad_key": [1, 2, 3], "launch_ts": [0, 0, 0]})
    errors = np.zeros(len(items))
    return build_sid_map(table, np.array(codes), errors, ads, tokenizer_version=version)


def test_items_of_both_tables_are_paired_and_the_others_left_out():
    old = ids([(1, 1), (1, 2), (2, 1)], [[0, 1], [2, 3], [4, 5]], "a")
    new = ids([(2, 1), (1, 3), (1, 2)], [[9, 9, 9], [7, 7, 7], [8, 8, 8]], "b")
    found = build_id_map(old, new)
    assert found.schema.equals(ID_MAP_SCHEMA)
    assert found.to_pylist() == [
        dict(zip(ID_MAP_SCHEMA.names, row, strict=True))
        for row in (
            (1, 2, [2, 3], [8, 8, 8], "a", "b"),
            (2, 1, [4, 5], [9, 9, 9], "a", "b"),
        )
    ]


def test_tables_without_a_common_item_give_no_rows():
    found = build_id_map(ids([(1, 1)], [[0]], "a"), ids([(1, 2)], [[0]], "b"))
    assert found.num_rows == 0
    assert found.schema.equals(ID_MAP_SCHEMA)
