"""The table that gives every ad and every piece of content its semantic id.

Letters: M items, L levels.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.data.tables import ItemKind, sid_map_schema
from gpr_core.support.errors import ContractError
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.leaf_policy import leaf_ranks
from gpr_core.tokenizer.quality import path_ids


def build_sid_map(
    items: pa.Table,
    code_ML: npt.NDArray[np.int16],
    quant_err_M: npt.NDArray[np.float32],
    ads: pa.Table,
    *,
    tokenizer_version: str,
) -> pa.Table:
    """Write codes as a table.

    Args:
        items: Columns item_kind, item_key.
        code_ML: [M, L] codes of the rows of `items`.
        quant_err_M: [M] float32, squared distance of vector and reconstruction.
        ads: Columns ad_key, launch_ts of at least the ads among the items.
        tokenizer_version: Version of the tokenizer that made the codes.

    Returns:
        Schema `sid_map_schema(L)`, sorted by (item_kind, item_key). `leaf_rank` counts ads only
        and is 0 for content.

    Raises:
        ShapeError: If the arrays do not match the items.
        ContractError: If an item appears twice or an ad has no launch time.

    Example:
        >>> items = pa.table({"item_kind": [2, 1], "item_key": [7, 7]})
        >>> ads = pa.table({"ad_key": [7], "launch_ts": [0]})
        >>> table = build_sid_map(
        ...     items, np.array([[3], [4]]), np.zeros(2), ads, tokenizer_version="v"
        ... )
        >>> table.select(["item_kind", "c1"]).to_pydict()
        {'item_kind': [1, 2], 'c1': [4, 3]}
    """
    check_shape("code_ML", code_ML, (items.num_rows, None))
    check_shape("quant_err_M", quant_err_M, (items.num_rows,))
    kind_M = items.column("item_kind").to_numpy()
    key_M = items.column("item_key").to_numpy().astype(np.uint64)
    order_M = np.lexsort((key_M, kind_M))
    kind_M, key_M, code_ML = kind_M[order_M], key_M[order_M], code_ML[order_M]
    is_repeated = (kind_M[1:] == kind_M[:-1]) & (key_M[1:] == key_M[:-1])
    if is_repeated.any():
        raise ContractError(
            f"{int(is_repeated.sum())} items appear twice, for example "
            f"{int(key_M[1:][is_repeated][0])}",
            where="item_vectors.parquet",
            fix="curate the corpus again",
        )
    is_ad_M = kind_M == ItemKind.AD
    leaf_rank_M = np.zeros(key_M.size, dtype=np.int64)
    launch_ts = _launch_times(ads, key_M[is_ad_M])
    leaf_rank_M[is_ad_M] = leaf_ranks(path_ids(code_ML[is_ad_M]), launch_ts, key_M[is_ad_M])
    num_levels = code_ML.shape[1]
    columns = {
        "item_kind": kind_M.astype(np.int8),
        "item_key": key_M,
        **{f"c{level + 1}": code_ML[:, level].astype(np.int16) for level in range(num_levels)},
        "quant_err": quant_err_M[order_M].astype(np.float32),
        "leaf_rank": leaf_rank_M.astype(np.int16),
        "tokenizer_version": pa.repeat(tokenizer_version, key_M.size),
    }
    return pa.table(columns, schema=sid_map_schema(num_levels))


def codes_of(sid_map: pa.Table) -> npt.NDArray[np.int16]:
    """Read the code columns.

    Args:
        sid_map: A table of `build_sid_map`.

    Returns:
        [M, L] int16.
    """
    num_levels = sum(name[0] == "c" and name[1:].isdigit() for name in sid_map.column_names)
    columns = [sid_map.column(f"c{level + 1}").to_numpy() for level in range(num_levels)]
    return np.stack(columns, axis=1).astype(np.int16)


def stored_rows(sid_map: pa.Table, items: pa.Table) -> npt.NDArray[np.int64]:
    """Find items in an older semantic-id table.

    Args:
        sid_map: The older table.
        items: Columns item_kind, item_key.

    Returns:
        [M] int64 row of the older table, -1 for an item that is new.
    """
    row_M = np.full(items.num_rows, -1, dtype=np.int64)
    kind_M = items.column("item_kind").to_numpy()
    for kind in (ItemKind.AD, ItemKind.CONTENT):
        of_kind = np.flatnonzero(sid_map.column("item_kind").to_numpy() == kind)
        mine = np.flatnonzero(kind_M == kind)
        stored = sid_map.column("item_key").take(of_kind).combine_chunks()
        found = pc.index_in(items.column("item_key").take(mine), value_set=stored)
        position = np.asarray(pc.fill_null(found, -1)).astype(np.int64)
        is_old = position >= 0
        row_M[mine[is_old]] = of_kind[position[is_old]]
    return row_M


def _launch_times(ads: pa.Table, ad_key_M: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Look up when ads were launched."""
    key = ads.column("ad_key").to_numpy().astype(np.uint64)
    order = np.argsort(key, kind="stable")
    position_M = np.minimum(np.searchsorted(key[order], ad_key_M), max(key.size - 1, 0))
    is_known_M = key[order][position_M] == ad_key_M if key.size else ad_key_M == 0
    if not is_known_M.all():
        raise ContractError(
            f"{int((~is_known_M).sum())} ads have a vector but no row, for example "
            f"{int(ad_key_M[~is_known_M][0])}",
            where="item_vectors.parquet, ads.parquet",
            fix="curate the corpus again",
        )
    launch_ts = np.asarray(ads.column("launch_ts").to_numpy()).astype(np.int64)
    return launch_ts[order][position_M]
