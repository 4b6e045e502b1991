"""Small histories for the tests of external knowledge."""

import pyarrow as pa

from gpr_core.data.tables import DAY_MS, ItemKind, TokenKind
from gpr_core.features.timeline import TIMELINE_SCHEMA
from gpr_core.knowledge.views import History
from tests.lake_rows import make_table

CONSENT, NO_CONSENT = 2, 1


def row(user, day, kind, *, action=0, category=0, brand=0, price=0, consent=0, late_days=0.0):
    """One token; days may be fractions, `late_days` is how long it took to become known."""
    ts = int(day * DAY_MS)
    values = dict.fromkeys(TIMELINE_SCHEMA.names, 0)
    item_kind = {TokenKind.ORGANIC: ItemKind.CONTENT, TokenKind.ITEM: ItemKind.AD}
    values |= {
        "user_key": user,
        "ts": ts,
        "kind": int(kind),
        "item_kind": int(item_kind.get(kind, ItemKind.NONE)),
        "action": int(action),
        "ingest_ts": ts + int(late_days * DAY_MS),
        "f1": price,
        "f4": category,
        "f5": consent if kind == TokenKind.USER else brand,
    }
    return values


def user(key, day=0.0, consent=CONSENT):
    """A U token."""
    return row(key, day, TokenKind.USER, consent=consent)


def viewed(key, day, category, **changes):
    """An O token."""
    return row(key, day, TokenKind.ORGANIC, category=category, **changes)


def acted(key, day, action, category, **changes):
    """An I token."""
    return row(key, day, TokenKind.ITEM, action=action, category=category, **changes)


def asked(key, day):
    """An E token."""
    return row(key, day, TokenKind.ENVIRONMENT)


def timelines(*rows):
    """Put tokens in order of user and time."""
    ordered = sorted(rows, key=lambda one: (one["user_key"], one["ts"], one["kind"]))
    return pa.Table.from_pylist(ordered, schema=TIMELINE_SCHEMA)


def profiles(*rows):
    """The user versions behind the U tokens among some tokens."""
    versions = [
        {"user_key": one["user_key"], "valid_from": one["ts"], "consent": one["f5"] - 1}
        for one in rows
        if one["kind"] == TokenKind.USER
    ]
    return make_table("users", *versions)


def make_history(*rows):
    """A history of tokens, in which every profile has its token."""
    return History(timelines(*rows), profiles(*rows))
