"""Values of the categorical fields of each token kind, as column expressions.

Attributes whose source says that 0 is unknown are taken as they are; all others are shifted by one,
so that 0 stays free for "unknown". A value beyond the last one of a field becomes the last one.
"""

import ibis
import ibis.expr.types as ir

from gpr_core.data.tables import DAY_MS, HOUR_MS, TokenKind
from gpr_core.features.buckets import (
    AD_AGE_EDGES_DAYS,
    COMPLETION_EDGES,
    Buckets,
    bucket_of,
)
from gpr_core.features.fields import FIELDS

PROFILE_COLUMNS = ("age_bucket", "gender", "geo_l1", "geo_l2", "device_tier", "consent")
STATS_COLUMNS = ("activity_group", "top_category")

# 1970-01-01 was a Thursday; Monday is day 0 of a week.
_FIRST_WEEKDAY = 3


def user_fields(rows: ir.Table) -> tuple[ir.IntegerValue, ...]:
    """Express the fields of U tokens.

    Args:
        rows: Columns `PROFILE_COLUMNS` and `STATS_COLUMNS`, null where unknown.

    Returns:
        One expression for each field.
    """
    return _limited(
        TokenKind.USER,
        rows["age_bucket"],
        rows["gender"],
        rows["geo_l1"],
        rows["geo_l2"],
        rows["device_tier"] + 1,
        rows["consent"] + 1,
        rows["activity_group"],
        rows["top_category"] + 1,
    )


def with_top_category(stats: ir.Table) -> ir.Table:
    """Add the first of the listed categories to daily statistics.

    Args:
        stats: Lake table `user_stats_daily`.

    Returns:
        The rows with `top_category`, null where none is listed.
    """
    listed = stats["top_cats"]
    first = ibis.ifelse(listed.length() > 0, listed[0], ibis.null("int16"))
    return stats.mutate(top_category=first)


def organic_fields(rows: ir.Table, buckets: Buckets) -> tuple[ir.IntegerValue, ...]:
    """Express the fields of O tokens.

    Args:
        rows: Organic events joined with their content.
        buckets: Fitted edges.

    Returns:
        One expression for each field.
    """
    return _limited(
        TokenKind.ORGANIC,
        rows["kind"] + 1,
        rows["action"] + 1,
        bucket_of(rows["dwell_ms"], buckets.dwell_edges),
        bucket_of(rows["completion"], COMPLETION_EDGES),
        rows["cat_l1"] + 1,
        rows["topic_brand"] + 1,
    )


def environment_fields(rows: ir.Table) -> tuple[ir.IntegerValue, ...]:
    """Express the fields of E tokens.

    Args:
        rows: Requests.

    Returns:
        One expression for each field.
    """
    hour = (rows["ts"] // HOUR_MS) % 24
    weekday = (rows["ts"] // DAY_MS + _FIRST_WEEKDAY) % 7
    return _limited(
        TokenKind.ENVIRONMENT,
        rows["scene"] + 1,
        rows["position"] + 1,
        rows["placement"] + 1,
        rows["device"] + 1,
        rows["os"] + 1,
        rows["net"] + 1,
        hour + 1,
        weekday + 1,
    )


def item_fields(rows: ir.Table, buckets: Buckets) -> tuple[ir.IntegerValue, ...]:
    """Express the fields of I tokens.

    Args:
        rows: Impressions and outcomes joined with their ads; `ts` and `action` are the token's.
        buckets: Fitted edges.

    Returns:
        One expression for each field.
    """
    age_ms = rows["ts"] - rows["launch_ts"]
    known_age_ms = ibis.ifelse(age_ms >= 0, age_ms, ibis.null("int64"))
    return _limited(
        TokenKind.ITEM,
        rows["action"] + 1,
        bucket_of(rows["price_micros"], buckets.price_edges),
        rows["bid_type_at"] + 1,
        bucket_of(known_age_ms, tuple(days * DAY_MS for days in AD_AGE_EDGES_DAYS)),
        rows["cat_l1"] + 1,
        rows["brand"] + 1,
    )


def _limited(kind: TokenKind, *values: ir.IntegerValue) -> tuple[ir.IntegerValue, ...]:
    """Fill unknown values with 0 and cut the others at the size of their field."""
    return tuple(
        ibis.greatest(ibis.least(value.fill_null(0), field.size - 1), 0)
        for field, value in zip(FIELDS[kind], values, strict=True)
    )
