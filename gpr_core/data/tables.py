"""One Arrow schema per lake table.

Timestamps are int64 epoch milliseconds UTC, money is int64 micros, probabilities are float32 in
(0, 1), eCPM is float64 currency units per 1,000 impressions. A table is partitioned by its landing
day: the UTC day of `landing_ts`, the column that says when the row became known.

Source: specification 1.1 (own data model; the paper prints none).
"""

from dataclasses import dataclass
from enum import IntEnum

import pyarrow as pa

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class TokenKind(IntEnum):
    """Kind of a timeline token; also the order of tokens that share a timestamp."""

    USER = 0
    ORGANIC = 1
    ENVIRONMENT = 2
    ITEM = 3
    PAD = 4


class ItemKind(IntEnum):
    """Which catalog an item key belongs to."""

    NONE = 0
    AD = 1
    CONTENT = 2


class BidType(IntEnum):
    """What an advertiser pays for."""

    CPM = 0
    CPC = 1
    OCPA = 2


class AdStatus(IntEnum):
    """Whether an ad version may serve."""

    ACTIVE = 0
    PAUSED = 1
    ENDED = 2


class AdEventType(IntEnum):
    """Outcome of an impression."""

    CLICK = 1
    CONVERSION = 2
    HIDE = 3


class Action(IntEnum):
    """Action level of an I token or of a decision; higher is worth more, hide aside."""

    IMPRESSION = 0
    CLICK = 1
    CONVERSION = 2
    HIDE = 3


class ContentKind(IntEnum):
    """Kind of organic content."""

    SHORT_VIDEO = 0
    SOCIAL_POST = 1
    ARTICLE = 2


class OrganicAction(IntEnum):
    """What a user did with organic content."""

    VIEW = 0
    COMPLETE = 1
    LIKE = 2
    SHARE = 3
    FOLLOW = 4
    SKIP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One lake table.

    Attributes:
        name: Table name, also the folder in the lake.
        schema: Arrow schema; the metadata of a field is its unit.
        key: Columns that identify a row.
        landing_ts: Column whose UTC day is the partition.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    landing_ts: str


def _field(name: str, dtype: pa.DataType, unit: str = "", *, nullable: bool = False) -> pa.Field:
    """Make a field that carries its unit."""
    return pa.field(name, dtype, nullable=nullable, metadata={"unit": unit} if unit else None)


_U64, _I64, _I32, _I16, _I8 = pa.uint64(), pa.int64(), pa.int32(), pa.int16(), pa.int8()
_F32, _F64, _U8, _BOOL = pa.float32(), pa.float64(), pa.uint8(), pa.bool_()
_MS, _MICROS = "epoch ms UTC", "micros"
_FOR_PEOPLE = "text for people, never a feature"

_SCHEMAS: tuple[Table, ...] = (
    Table(
        name="users",
        key=("user_key", "valid_from"),
        landing_ts="valid_from",
        schema=pa.schema(
            [
                _field("user_key", _U64),
                _field("valid_from", _I64, _MS),
                _field("valid_to", _I64, _MS, nullable=True),
                _field("age_bucket", _I8, "0 unknown, 1..6"),
                _field("gender", _I8, "0 unknown, 1, 2"),
                _field("geo_l1", _I16),
                _field("geo_l2", _I16),
                _field("device_tier", _I8),
                _field("consent", _I8, "0, 1"),
                _field("reg_ts", _I64, _MS),
            ]
        ),
    ),
    Table(
        name="user_stats_daily",
        key=("user_key", "day_ts"),
        landing_ts="day_ts",
        schema=pa.schema(
            [
                _field("user_key", _U64),
                _field("day_ts", _I64, _MS),
                _field("req_28d", _I32),
                _field("org_28d", _I32),
                _field("activity_group", _I8, "1..5"),
                _field("top_cats", pa.list_(_I16)),
            ]
        ),
    ),
    Table(
        name="ads",
        key=("ad_key",),
        landing_ts="launch_ts",
        schema=pa.schema(
            [
                _field("ad_key", _U64),
                _field("advertiser_key", _U64),
                _field("campaign_key", _U64),
                _field("creative_key", _U64),
                _field("product_key", _U64),
                _field("cat_l1", _I16),
                _field("cat_l2", _I16),
                _field("brand", _I32),
                _field("conversion_type", _I8),
                _field("content_hash", _U64),
                _field("launch_ts", _I64, _MS),
                _field("emb_row", _I64),
                _field("title", pa.string(), _FOR_PEOPLE, nullable=True),
            ]
        ),
    ),
    Table(
        name="ad_versions",
        key=("ad_key", "valid_from"),
        landing_ts="valid_from",
        schema=pa.schema(
            [
                _field("ad_key", _U64),
                _field("valid_from", _I64, _MS),
                _field("valid_to", _I64, _MS, nullable=True),
                _field("bid_type", _I8, "0 CPM, 1 CPC, 2 OCPA"),
                _field("bid_micros", _I64, _MICROS),
                _field("daily_budget_micros", _I64, _MICROS),
                _field("total_budget_micros", _I64, _MICROS),
                _field("status", _I8, "0 active, 1 paused, 2 ended"),
                _field("age_mask", _U8, "bit b: age bucket b may see it"),
                _field("gender_mask", _U8, "bit b: gender b may see it"),
                _field("device_mask", _U8, "bit b: device tier b may see it"),
                _field("geo_set", pa.list_(_I16), "geo_l2 values; empty: everywhere"),
                _field("freq_cap_day", _I8, "impressions per user and day; 0: no cap"),
            ]
        ),
    ),
    Table(
        name="ad_spend_ledger",
        key=("ad_key", "ts", "seq"),
        landing_ts="ts",
        schema=pa.schema(
            [
                _field("ad_key", _U64),
                _field("ts", _I64, _MS),
                _field("seq", _I64),
                _field("delta_micros", _I64, _MICROS),
                _field("cum_day_micros", _I64, _MICROS),
                _field("cum_total_micros", _I64, _MICROS),
            ]
        ),
    ),
    Table(
        name="content",
        key=("content_key",),
        landing_ts="publish_ts",
        schema=pa.schema(
            [
                _field("content_key", _U64),
                _field("kind", _I8, "0 short_video, 1 social_post, 2 article"),
                _field("cat_l1", _I16),
                _field("cat_l2", _I16),
                _field("topic_brand", _I32),
                _field("author_key", _U64),
                _field("publish_ts", _I64, _MS),
                _field("content_hash", _U64),
                _field("emb_row", _I64),
                _field("title", pa.string(), _FOR_PEOPLE, nullable=True),
            ]
        ),
    ),
    Table(
        name="embeddings",
        key=("emb_row",),
        landing_ts="encoded_ts",
        schema=pa.schema(
            [
                _field("emb_row", _I64),
                _field("x_text", pa.list_(_F32)),
                _field("x_img", pa.list_(_F32)),
                _field("encoder_version", pa.string()),
                _field("encoded_ts", _I64, _MS),
            ]
        ),
    ),
    Table(
        name="requests",
        key=("request_key",),
        landing_ts="ts",
        schema=pa.schema(
            [
                _field("request_key", _U64),
                _field("user_key", _U64),
                _field("ts", _I64, _MS),
                _field("scene", _I8, "0 channels, 1 moments, 2 official"),
                _field("position", _I8),
                _field("placement", _I8),
                _field("device", _I8, "device tier, matched with device_mask"),
                _field("os", _I8),
                _field("net", _I8),
                _field("privacy", _I8, "0 standard, 1 strict"),
                _field("is_synthetic", _BOOL),
                _field("snapshot_id", pa.string(), nullable=True),
            ]
        ),
    ),
    Table(
        name="impressions",
        key=("imp_key",),
        landing_ts="exposure_ts",
        schema=pa.schema(
            [
                _field("imp_key", _U64),
                _field("request_key", _U64),
                _field("ad_key", _U64),
                _field("exposure_ts", _I64, _MS),
                _field("price_micros", _I64, _MICROS),
                _field("bid_micros_at", _I64, _MICROS),
                _field("bid_type_at", _I8, "0 CPM, 1 CPC, 2 OCPA"),
                _field("p_ctr", _F32, "logged ranker output"),
                _field("p_cvr", _F32, "logged ranker output, given a click"),
                _field("p_neg", _F32, "logged ranker output"),
                _field("ecpm_log", _F64, "currency per 1,000 impressions"),
                _field("policy_id", pa.string()),
                _field("propensity", _F32, "(0, 1]"),
                _field("n_eligible", _I32),
            ]
        ),
    ),
    Table(
        name="ad_events",
        key=("ev_key",),
        landing_ts="ingest_ts",
        schema=pa.schema(
            [
                _field("ev_key", _U64),
                _field("imp_key", _U64),
                _field("type", _I8, "1 click, 2 conversion, 3 hide"),
                _field("event_ts", _I64, _MS),
                _field("ingest_ts", _I64, _MS),
                _field("value_micros", _I64, _MICROS),
            ]
        ),
    ),
    Table(
        name="organic_events",
        key=("ev_key",),
        landing_ts="ingest_ts",
        schema=pa.schema(
            [
                _field("ev_key", _U64),
                _field("user_key", _U64),
                _field("content_key", _U64),
                _field("ts", _I64, _MS),
                _field("ingest_ts", _I64, _MS),
                _field("action", _I8, "0 view .. 5 skip"),
                _field("dwell_ms", _I32, "ms"),
                _field("completion", _F32, "[0, 1]"),
            ]
        ),
    ),
    Table(
        name="thoughts",
        key=("user_key", "as_of_ts"),
        landing_ts="as_of_ts",
        schema=pa.schema(
            [
                _field("user_key", _U64),
                _field("as_of_ts", _I64, _MS),
                _field("text", pa.string()),
                _field("token_ids", pa.list_(_I32)),
                _field("provider", pa.string()),
                _field("prompt_hash", pa.string()),
                _field("source_max_ts", _I64, _MS),
            ]
        ),
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _SCHEMAS}


def sid_map_schema(num_levels: int) -> pa.Schema:
    """Schema of the semantic-id table for a number of levels.

    Args:
        num_levels: Code levels L, at least 1.

    Returns:
        Columns item_kind, item_key, c1..cL, quant_err, leaf_rank, tokenizer_version.
    """
    codes = [_field(f"c{level + 1}", _I16) for level in range(num_levels)]
    return pa.schema(
        [
            _field("item_kind", _I8, "1 ad, 2 content"),
            _field("item_key", _U64),
            *codes,
            _field("quant_err", _F32, "squared distance"),
            _field("leaf_rank", _I16, "position among ads with the same path, by launch"),
            _field("tokenizer_version", pa.string()),
        ]
    )
