"""The table that gives every ad and every piece of content its semantic id.

Letters: M items, N older ids, L levels of the codebooks, P levels of a path, at least as many.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.data.tables import ItemKind, sid_map_schema
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.shapes import check_shape
from gpr_core.tokenizer.leaf_policy import (
    LEAF_FILE,
    Codes,
    LeafRule,
    NewAds,
    leaf_ranks,
    paths_of_new_ads,
)
from gpr_core.tokenizer.quality import path_ids


def paths_of_items(
    rule: LeafRule, code_ML: Codes, items: pa.Table, ads: pa.Table, stored: pa.Table | None
) -> Codes:
    """Turn codes into paths by the leaf policy; an item that has a path keeps it.

    Content keeps its codes: only ads are told apart. It gets 0 as suffix, and the last code that
    the tokenizer gave where that of an ad is a hash.

    Args:
        rule: The leaf policy.
        code_ML: [M, L] int16 codes of the tokenizer; those of items in `stored` are not read.
        items: Columns item_kind, item_key.
        ads: Lake table `ads` of at least the ads among the items.
        stored: Older ids of the same tokenizer, to be kept; None where it was just fitted.

    Returns:
        [M, P] int16.

    Raises:
        ArtifactError: If the older ids follow another leaf policy.
        ContractError: If an ad has no row.
        GateError: If a path has more ads than there are suffixes.
    """
    num_codes = code_ML.shape[1]
    num_levels = num_codes + rule.num_extra_levels
    stored = sid_map_schema(num_levels).empty_table() if stored is None else stored
    stored_NP, row_M = codes_of(stored), stored_rows(stored, items)
    if stored_NP.shape[1] != num_levels:
        raise ArtifactError(
            f"older ids have {stored_NP.shape[1]} levels, the leaf policy {rule.policy} gives "
            f"{num_levels}",
            where=f"sid_map.parquet, {LEAF_FILE}",
            fix="use ids and tokenizer of one run",
        )
    is_old_M, is_ad_M = row_M >= 0, items.column("item_kind").to_numpy() == ItemKind.AD
    path_MP = np.zeros((items.num_rows, num_levels), dtype=np.int16)
    path_MP[:, :num_codes] = code_ML
    path_MP[is_old_M] = stored_NP[row_M[is_old_M]]
    new_ads = np.flatnonzero(is_ad_M & ~is_old_M)
    new = _new_ads(code_ML[new_ads], items.column("item_key").to_numpy()[new_ads], ads)
    stored_ads = stored.column("item_kind").to_numpy() == ItemKind.AD
    path_MP[new_ads] = paths_of_new_ads(rule, new, stored_NP[stored_ads])
    return path_MP


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
        code_ML: [M, L] paths of the rows of `items`, from `paths_of_items`.
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
    launch_ts = ads.column("launch_ts").to_numpy()[_ad_rows(ads, key_M[is_ad_M])]
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


def _new_ads(code_ML: Codes, ad_key_M: npt.NDArray[np.uint64], ads: pa.Table) -> NewAds:
    """Look up what leaf policies want to know about ads."""
    rows = _ad_rows(ads, ad_key_M)
    return NewAds(
        code_ML=code_ML,
        ad_key_M=ad_key_M,
        launch_ts_M=ads.column("launch_ts").to_numpy()[rows],
        advertiser_M=ads.column("advertiser_key").to_numpy()[rows],
        conversion_type_M=ads.column("conversion_type").to_numpy()[rows],
    )


def _ad_rows(ads: pa.Table, ad_key_M: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Find the rows of ads."""
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
    return np.asarray(order[position_M])
