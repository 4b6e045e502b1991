"""Sequences of people who may not be followed from one session to the next.

A prompt (organic event or request) is private if, at its time, the user's profile holds no consent
or the user's latest request asked for strict privacy. Private prompts that follow one another
within the session gap form one private session. It becomes a sequence of its own, under a key that
no other session shares, with a U token that says nothing: what the model reads at a private request
is the current session and no more, and nothing private is read at any other request. Impressions
and outcomes belong to the sequence of their request.

Source: specification 1.3; this cut is our own reading of "history limited to the current session".
"""

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from gpr_core.data.as_of import as_of_join
from gpr_core.data.engine import Engine
from gpr_core.data.keyed_sampling import keyed_hash
from gpr_core.data.tables import TokenKind

_STRICT = 1
_CONSENTS = 1
_MINUTE_MS = 60_000
# The key must be the same in training and evaluation, whatever the seed of the run is.
_KEY_SEED = 0


def private_sequences(
    prompts: ir.Table, users: ir.Table, session_gap_min: int, *, engine: Engine
) -> pa.Table:
    """Find the private prompts and the session that each belongs to.

    Args:
        prompts: Columns user_key, ts, kind, order_key, and privacy (null for organic events).
        users: User versions.
        session_gap_min: Minutes without a prompt that end a session.
        engine: Where to compute.

    Returns:
        Columns kind int8, order_key uint64, sequence_key uint64 in [1, 2**63); private prompts
        only, ordered by kind and key.
    """
    rows = engine.collect(
        _sessions(_with_privacy(prompts, users), session_gap_min * _MINUTE_MS),
        ("kind", "order_key"),
        pa.schema(
            [
                ("kind", pa.int8()),
                ("order_key", pa.uint64()),
                ("user_key", pa.uint64()),
                ("session_ts", pa.int64()),
            ]
        ),
    )
    user, start = rows["user_key"].to_numpy(), rows["session_ts"].to_numpy()
    bits = keyed_hash(_KEY_SEED, "private session", user, start) >> np.uint64(1)
    key = np.maximum(bits, np.uint64(1))
    return rows.select(["kind", "order_key"]).append_column("sequence_key", pa.array(key))


def _with_privacy(prompts: ir.Table, users: ir.Table) -> ir.Table:
    """Say of each prompt whether it is private, from what was known at its time."""
    known = as_of_join(
        prompts, users, key="user_key", ts="ts", right_ts="valid_from", columns=("consent",)
    )
    so_far = ibis.cumulative_window(group_by="user_key", order_by=["ts", "kind", "order_key"])
    is_request = (known["kind"] == int(TokenKind.ENVIRONMENT)).cast("int64")
    numbered = known.mutate(request_number=is_request.sum().over(so_far))
    since_request = ibis.window(group_by=["user_key", "request_number"])
    setting = numbered["privacy"].max().over(since_request).fill_null(0)
    agrees = numbered["consent"].fill_null(0) == _CONSENTS
    return numbered.mutate(is_private=(setting == _STRICT) | ~agrees)


def _sessions(prompts: ir.Table, gap_ms: int) -> ir.Table:
    """Give each private prompt the time at which its session began."""
    order = ["ts", "kind", "order_key"]
    by_user = ibis.window(group_by="user_key", order_by=order)
    lagged = prompts.mutate(
        ts_before=prompts["ts"].lag().over(by_user),
        private_before=prompts["is_private"].lag().over(by_user),
    )
    continues = lagged["private_before"] & (lagged["ts"] - lagged["ts_before"] <= gap_ms)
    private = lagged.mutate(begins=(~continues).fill_null(True).cast("int64"))
    private = private.filter(private["is_private"])
    so_far = ibis.cumulative_window(group_by="user_key", order_by=order)
    numbered = private.mutate(session=private["begins"].sum().over(so_far))
    session = ibis.window(group_by=["user_key", "session"])
    return numbered.mutate(session_ts=numbered["ts"].min().over(session))
