"""Tables of thoughts, written row by row."""

import pyarrow as pa

from gpr_core.data.tables import DAY_MS, TABLES


def make_thoughts(*rows, text="x", provider="test"):
    """Thoughts from (user, day, words); their last event is one millisecond before the day."""
    return pa.Table.from_pylist(
        [
            {
                "user_key": user,
                "as_of_ts": day * DAY_MS,
                "text": text,
                "token_ids": words,
                "provider": provider,
                "prompt_hash": "0" * 16,
                "source_max_ts": day * DAY_MS - 1,
            }
            for user, day, words in rows
        ],
        schema=TABLES["thoughts"].schema,
    )
