"""Timelines: every event of a user as one token, in the order in which it became true.

Token kinds and their order at equal times: U (who the user is), O (organic event), E (a request
and its context), I (an impression, click, conversion or hide). Nothing in a token is from after
its own timestamp; a conversion is a token of its own, at its own time.

Sequences of people who gave no consent, or whose latest request asked for strict privacy, are cut
into sessions: see `gpr_core.features.private_sessions`.

Source: specification 1.2 and 1.3 (the paper names the token types and their order only).
"""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from gpr_core.data.as_of import Window, as_of_join
from gpr_core.data.engine import Engine, relation
from gpr_core.data.tables import DAY_MS, Action, ItemKind, TokenKind
from gpr_core.features import token_fields
from gpr_core.features.buckets import Buckets
from gpr_core.features.fields import NUM_FIELDS
from gpr_core.features.private_sessions import private_sequences

FIELD_COLUMNS = tuple(f"f{idx}" for idx in range(NUM_FIELDS))
ORDER_COLUMNS = ("user_key", "ts", "kind", "order_key")

TIMELINE_SCHEMA = pa.schema(
    [
        pa.field(name, dtype, nullable=False)
        for name, dtype in (
            ("user_key", pa.uint64()),
            ("ts", pa.int64()),
            ("kind", pa.int8()),
            ("order_key", pa.uint64()),
            ("item_kind", pa.int8()),
            ("item_key", pa.uint64()),
            ("action", pa.int8()),
            ("request_key", pa.uint64()),
            ("ingest_ts", pa.int64()),
            *((column, pa.int16()) for column in FIELD_COLUMNS),
        )
    ]
)


def build_timelines(
    canonical: Mapping[str, pa.Table],
    buckets: Buckets,
    window: Window,
    *,
    session_gap_min: int,
    engine: Engine,
) -> pa.Table:
    """Turn curated tables into tokens.

    The window may reach past the days on which the buckets were fitted: that is how the next day
    is read for evaluation.

    Args:
        canonical: Tables of `gpr_core.data.curation.canonical_tables`.
        buckets: Fitted edges.
        window: Requests and events to include; only what was ingested before its cutoff.
        session_gap_min: Minutes without an event that end a private session.
        engine: Where to compute.

    Returns:
        `TIMELINE_SCHEMA`, sorted by (user_key, ts, kind, order_key). `user_key` names the
        sequence: it is the user's key, or, for a private session, a key of that session alone.
    """
    requests = relation(canonical["requests"])
    requests = requests.filter(
        (requests["ts"] >= window.start_ts)
        & (requests["ts"] < window.cutoff_ts)
        & ~requests["is_synthetic"]
    )
    users = relation(canonical["users"])
    organic = engine.keep(_organic_tokens(canonical, buckets, window))
    environment = engine.keep(_environment_tokens(requests))
    sequences = relation(
        private_sequences(
            _prompts(organic, environment, requests), users, session_gap_min, engine=engine
        )
    )
    prompts = engine.keep(_with_sequence(organic.union(environment), sequences))
    items = _item_tokens(canonical, requests, buckets, window)
    of_request = sequences.filter(sequences["kind"] == int(TokenKind.ENVIRONMENT))
    items = items.left_join(
        of_request, items["request_key"] == of_request["order_key"], rname="{name}_private"
    ).select(*items.columns, "sequence_key")
    tokens = (
        _in_sequence(prompts)
        .union(_in_sequence(items))
        .union(_user_tokens(prompts, users, relation(canonical["user_stats_daily"])))
        .union(_neutral_user_tokens(prompts))
    )
    return engine.collect(tokens, ORDER_COLUMNS, TIMELINE_SCHEMA)


def _organic_tokens(
    canonical: Mapping[str, pa.Table], buckets: Buckets, window: Window
) -> ir.Table:
    """Make one O token of each organic event."""
    events, content = relation(canonical["organic_events"]), relation(canonical["content"])
    events = events.filter(
        (events["ts"] >= window.start_ts) & (events["ingest_ts"] < window.cutoff_ts)
    )
    seen = events.inner_join(content.drop("publish_ts"), "content_key", rname="{name}_content")
    return _tokens(
        seen,
        TokenKind.ORGANIC,
        order_key=seen["ev_key"],
        item_kind=int(ItemKind.CONTENT),
        item_key=seen["content_key"],
        action=seen["action"],
        fields=token_fields.organic_fields(seen, buckets),
    )


def _environment_tokens(requests: ir.Table) -> ir.Table:
    """Make one E token of each request."""
    rows = requests.mutate(ingest_ts=requests["ts"])
    return _tokens(
        rows,
        TokenKind.ENVIRONMENT,
        order_key=rows["request_key"],
        request_key=rows["request_key"],
        fields=token_fields.environment_fields(rows),
    )


def _item_tokens(
    canonical: Mapping[str, pa.Table], requests: ir.Table, buckets: Buckets, window: Window
) -> ir.Table:
    """Make one I token of each impression and one of each outcome, at its own time."""
    impressions, ads = relation(canonical["impressions"]), relation(canonical["ads"])
    shown = impressions.join(requests.select("request_key", "user_key"), "request_key")
    shown = shown.join(ads.select("ad_key", "cat_l1", "brand", "launch_ts"), "ad_key")
    events = relation(canonical["ad_events"])
    outcomes = events.select("imp_key", "ev_key", "event_ts", "ingest_ts", "type")
    outcomes = outcomes.join(shown, "imp_key")
    outcomes = outcomes.filter(outcomes["event_ts"] >= outcomes["exposure_ts"])
    happened = shown.mutate(
        ts=shown["exposure_ts"],
        ingest_ts=shown["exposure_ts"],
        action=ibis.literal(int(Action.IMPRESSION), "int8"),
        order_key=shown["imp_key"],
    )
    followed = outcomes.mutate(
        ts=outcomes["event_ts"], action=outcomes["type"], order_key=outcomes["ev_key"]
    )
    rows = happened.union(followed.select(*happened.columns))
    rows = rows.filter(rows["ingest_ts"] < window.cutoff_ts)
    return _tokens(
        rows,
        TokenKind.ITEM,
        order_key=rows["order_key"],
        item_kind=int(ItemKind.AD),
        item_key=rows["ad_key"],
        action=rows["action"],
        request_key=rows["request_key"],
        fields=token_fields.item_fields(rows, buckets),
    )


def _user_tokens(prompts: ir.Table, users: ir.Table, stats: ir.Table) -> ir.Table:
    """Make a U token at the first prompt of a day if it says something new.

    What it says is known at that prompt, so a server that meets the user then says the same, and
    a later profile change leaves it alone.
    """
    own = prompts.filter(prompts["sequence_key"].isnull())
    days = own.group_by("user_key", day=own["ts"] // DAY_MS).aggregate(ts=own["ts"].min())
    known = as_of_join(
        days.select("user_key", "ts"),
        users,
        key="user_key",
        ts="ts",
        right_ts="valid_from",
        columns=token_fields.PROFILE_COLUMNS,
    )
    known = as_of_join(
        known,
        token_fields.with_top_category(stats),
        key="user_key",
        ts="ts",
        right_ts="day_ts",
        columns=token_fields.STATS_COLUMNS,
    )
    rows = known.mutate(ingest_ts=known["ts"])
    said = _tokens(rows, TokenKind.USER, fields=token_fields.user_fields(rows))
    order = ibis.window(group_by="user_key", order_by="ts")
    before = said.mutate(
        **{f"{column}_before": said[column].lag().over(order) for column in FIELD_COLUMNS}
    )
    is_new = before["f0_before"].isnull()
    for column in FIELD_COLUMNS:
        is_new |= before[column] != before[f"{column}_before"]
    return before.filter(is_new).select(*TIMELINE_SCHEMA.names)


def _neutral_user_tokens(prompts: ir.Table) -> ir.Table:
    """Make the U token of each private session: all fields unknown."""
    private = prompts.filter(prompts["sequence_key"].notnull())
    first = private.group_by("sequence_key").aggregate(ts=private["ts"].min())
    rows = first.mutate(user_key=first["sequence_key"], ingest_ts=first["ts"])
    return _tokens(rows, TokenKind.USER, fields=())


def _prompts(organic: ir.Table, environment: ir.Table, requests: ir.Table) -> ir.Table:
    """List the O and E tokens with the privacy setting of the requests."""
    columns = ("user_key", "ts", "kind", "order_key")
    asked = environment.join(requests.select("request_key", "privacy"), "request_key")
    views = organic.select(*columns).mutate(privacy=ibis.null("int8"))
    return views.union(asked.select(*columns, "privacy"))


def _with_sequence(tokens: ir.Table, sequences: ir.Table) -> ir.Table:
    """Add the key of the private session a token belongs to, null for none."""
    joined = tokens.left_join(sequences, ["kind", "order_key"], rname="{name}_private")
    return joined.select(*tokens.columns, "sequence_key")


def _in_sequence(tokens: ir.Table) -> ir.Table:
    """Let the key of a private session stand for the user's key."""
    key = ibis.coalesce(tokens["sequence_key"], tokens["user_key"])
    return tokens.mutate(user_key=key).select(*TIMELINE_SCHEMA.names)


def _tokens(
    rows: ir.Table,
    kind: TokenKind,
    *,
    fields: tuple[ir.IntegerValue, ...],
    order_key: ir.Value | int = 0,
    item_kind: int = int(ItemKind.NONE),
    item_key: ir.Value | int = 0,
    action: ir.Value | int = 0,
    request_key: ir.Value | int = 0,
) -> ir.Table:
    """Lay rows with user_key, ts and ingest_ts out in the timeline schema."""
    padded = (*fields, *[0] * (NUM_FIELDS - len(fields)))
    values: dict[str, ir.Value | int] = {
        "user_key": rows["user_key"],
        "ts": rows["ts"],
        "kind": int(kind),
        "order_key": order_key,
        "item_kind": item_kind,
        "item_key": item_key,
        "action": action,
        "request_key": request_key,
        "ingest_ts": rows["ingest_ts"],
        **dict(zip(FIELD_COLUMNS, padded, strict=True)),
    }
    typed = {
        field.name: ibis.literal(value, str(field.type))
        if isinstance(value, int)
        else value.cast(str(field.type))
        for field, value in zip(TIMELINE_SCHEMA, values.values(), strict=True)
    }
    return rows.select(**typed)
