"""Thoughts of a whole corpus or day, made in one go before anyone trains or decodes.

Letters: N pairs of a user and a day.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.tables import TABLES
from gpr_core.knowledge.cache import ThoughtCache
from gpr_core.knowledge.provider import ThoughtProvider
from gpr_core.knowledge.views import History

Ints = npt.NDArray[np.int64]

_PAIRS_BETWEEN_KEEPS = 200


class Wanted(NamedTuple):
    """About whom, and as of when, something should be said.

    Attributes:
        user_key_N: [N] int64 users.
        as_of_ts_N: [N] int64 starts of days, epoch ms; pairs are distinct, by day, then user.
    """

    user_key_N: Ints
    as_of_ts_N: Ints


def wanted_thoughts(history: History, *, from_ts: int, also_on: int | None = None) -> Wanted:
    """List the users and days that requests need a thought for.

    Who has withdrawn consent is left out on all days, also on those before: nothing is made about
    such people any more. So are private sessions, whose keys are no user's.

    Args:
        history: All events, and the profiles as far as they are known now.
        from_ts: Epoch ms; days before it are left out.
        also_on: Start of a day on which requests of anyone may be rehearsed: everyone who ever
            made a request is wanted there, too.

    Returns:
        The pairs.
    """
    user_N, day_N = history.request_days()
    if also_on is not None:
        everyone = np.unique(user_N)
        user_N = np.concatenate([user_N, everyone])
        day_N = np.concatenate([day_N, np.full_like(everyone, also_on)])
    is_wanted_N = (day_N >= from_ts) & np.isin(user_N, history.users_with_consent())
    pairs = np.unique(np.stack([day_N[is_wanted_N], user_N[is_wanted_N]], axis=1), axis=0)
    return Wanted(user_key_N=pairs[:, 1], as_of_ts_N=pairs[:, 0])


def make_thoughts(
    history: History,
    wanted: Wanted,
    provider: ThoughtProvider,
    cache: ThoughtCache,
    *,
    keep: Callable[[ThoughtCache], None] | None = None,
) -> pa.Table:
    """Make or look up all thoughts that are wanted.

    Args:
        history: Where views are cut from.
        wanted: About whom and as of when.
        provider: Whom to ask.
        cache: What was said before.
        keep: Called with the cache every now and then and at the end, so that a killed run does
            not ask again; None for a provider that costs nothing.

    Returns:
        Lake table `thoughts`, by user and day; who has no thought has no row.
    """
    count = wanted.user_key_N.size
    step = count if keep is None else _PAIRS_BETWEEN_KEEPS
    parts = [TABLES["thoughts"].schema.empty_table()]
    # Nobody to think about is one empty part: what was forgotten must be kept as forgotten.
    for start in range(0, max(count, 1), max(step, 1)):
        part = slice(start, start + step)
        user_N, day_N = wanted.user_key_N[part], wanted.as_of_ts_N[part]
        parts.append(cache.thoughts(history, user_N, day_N, provider))
        if keep is not None:
            keep(cache)
    order = [("user_key", "ascending"), ("as_of_ts", "ascending")]
    return pa.concat_tables(parts).sort_by(order).combine_chunks()
