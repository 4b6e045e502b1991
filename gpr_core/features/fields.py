"""The categorical fields of each token kind.

A timeline row stores its fields in the columns f0..f7; what column f<i> means depends on the kind
of the token. Value 0 is "unknown" in every field; a stored value lies in [0, size).

Source: specification 1.2 (the paper names the token types, not their fields).
"""

from dataclasses import dataclass

from gpr_core.data.tables import TokenKind

NUM_FIELDS = 8


@dataclass(frozen=True, slots=True)
class Field:
    """One categorical field.

    Attributes:
        name: What it says.
        size: Number of values, 0 = unknown included.
    """

    name: str
    size: int


FIELDS: dict[TokenKind, tuple[Field, ...]] = {
    TokenKind.USER: (
        Field("age_bucket", 8),
        Field("gender", 4),
        Field("geo_l1", 64),
        Field("geo_l2", 512),
        Field("device_tier", 8),
        Field("consent", 3),
        Field("activity_group", 8),
        Field("top_category", 128),
    ),
    TokenKind.ORGANIC: (
        Field("content_kind", 4),
        Field("organic_action", 8),
        Field("dwell_bucket", 16),
        Field("completion_bucket", 8),
        Field("category", 128),
        Field("brand", 2048),
    ),
    TokenKind.ENVIRONMENT: (
        Field("scene", 4),
        Field("position", 16),
        Field("placement", 8),
        Field("device", 8),
        Field("os", 8),
        Field("net", 8),
        Field("hour", 25),
        Field("weekday", 8),
    ),
    TokenKind.ITEM: (
        Field("event_type", 5),
        Field("price_bucket", 16),
        Field("bid_type", 4),
        Field("ad_age_bucket", 8),
        Field("category", 128),
        Field("brand", 2048),
    ),
}
