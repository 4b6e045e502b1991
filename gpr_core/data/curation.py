"""Canonical lake tables: one row per key, effective validity, coarse places, inside the window.

Everything is an Ibis expression; which rows are acceptable at all was decided by the data
contracts before.
"""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from gpr_core.data.as_of import Window, check_nothing_after, with_valid_to
from gpr_core.data.engine import Engine, relation
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ContractError

ENTITY_TABLES = ("users", "user_stats_daily", "ads", "ad_versions", "content", "embeddings")
EVENT_TABLES = ("requests", "impressions", "ad_events", "organic_events")
CURATED_TABLES = (*ENTITY_TABLES, *EVENT_TABLES)

_CELL = ("age_bucket", "gender", "geo_l2")
_HIDDEN_IN_TURN = (("geo_l2",), ("age_bucket", "geo_l1"), ("gender",))


def canonical_tables(
    tables: Mapping[str, pa.Table], window: Window, *, cell_min_users: int, engine: Engine
) -> dict[str, pa.Table]:
    """Clean the lake tables that training reads.

    Args:
        tables: Lake tables by name, at least `CURATED_TABLES`, rows that keep their contracts.
            Ads, users, content and versions of all time; requests and events may begin before
            the window, they are cut here.
        window: What the corpus covers.
        cell_min_users: Users that a cell must hold, see `with_coarse_cells`.
        engine: Where to compute.

    Returns:
        `CURATED_TABLES` in their lake schemas, one row per key, ordered by key; one impression
        per request.

    Raises:
        ContractError: If a table is missing.
        LeakageError: If a row landed at or after the cutoff.
    """
    missing = [name for name in CURATED_TABLES if name not in tables]
    if missing:
        raise ContractError(
            f"tables are missing: {', '.join(missing)}",
            where="canonical_tables",
            fix=f"read all of: {', '.join(CURATED_TABLES)}",
        )
    check_nothing_after({name: tables[name] for name in CURATED_TABLES}, window.cutoff_ts)
    canonical: dict[str, pa.Table] = {}
    for name in CURATED_TABLES:
        table = TABLES[name]
        rows = one_row_per_key(relation(tables[name]), table.key)
        if name == "users":
            rows = with_coarse_cells(with_valid_to(rows, "user_key"), cell_min_users)
        elif name == "ad_versions":
            rows = with_valid_to(rows, "ad_key")
        elif name == "impressions":
            rows = first_of_request(rows)
        elif name in ("requests", "organic_events"):
            rows = rows.filter(rows["ts"] >= window.start_ts)
        canonical[name] = engine.collect(rows, table.key, table.schema)
    return canonical


def one_row_per_key(rows: ir.Table, key: tuple[str, ...]) -> ir.Table:
    """Keep one row of each key; among different rows, the first by value.

    Args:
        rows: Any table.
        key: Columns that must identify a row.

    Returns:
        The same columns.
    """
    others = [name for name in rows.columns if name not in key]
    position = ibis.row_number().over(ibis.window(group_by=list(key), order_by=others))
    return rows.mutate(position_in_key=position).filter(ibis._.position_in_key == 0)[rows.columns]


def first_of_request(impressions: ir.Table) -> ir.Table:
    """Keep the first impression of each request: the ad that the request was about.

    Args:
        impressions: Lake table `impressions`, one row per key.

    Returns:
        The same columns.
    """
    order = ibis.window(group_by="request_key", order_by=["exposure_ts", "imp_key"])
    ranked = impressions.mutate(position_in_request=ibis.row_number().over(order))
    return ranked.filter(ranked["position_in_request"] == 0)[impressions.columns]


def with_coarse_cells(users: ir.Table, cell_min_users: int) -> ir.Table:
    """Hide attributes of people whom few others resemble.

    People in a small (age bucket, gender, city) cell lose the city; if their cell is still small,
    the age and the region; then the gender. Cells are counted over all versions that landed: a
    count as of each version would leave the last one to enter a cell alone in it.

    Args:
        users: User versions.
        cell_min_users: Users that a cell must hold.

    Returns:
        The same rows; 0 stands for what is hidden. Only people of whom nothing is known may be
        fewer than that.

    Source:
        Specification 1.3.
    """
    for hidden in _HIDDEN_IN_TURN:
        sizes = users.group_by(list(_CELL)).aggregate(cell_users=ibis._.user_key.nunique())
        joined = users.join(sizes, list(_CELL), rname="{name}_cell")
        is_small = joined["cell_users"] < cell_min_users
        zero = {name: ibis.ifelse(is_small, 0, joined[name]) for name in hidden}
        coarse = {name: value.cast(users[name].type()) for name, value in zero.items()}
        users = joined.mutate(**coarse).select(*users.columns)
    return users
