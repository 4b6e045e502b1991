"""Small catalogs for tests: every value that a test does not name is permissive."""

import numpy as np
import pyarrow as pa
import torch

from gpr_core.catalog.eligibility import RequestContext
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.data.tables import TABLES

ANY = 0xFF


def make_ads(rows):
    """Rows of the lake table `ads`; each needs an ad_key."""
    defaults = dict.fromkeys(TABLES["ads"].schema.names, 0) | {"title": ""}
    return _table("ads", [{**defaults, **row} for row in rows])


def make_versions(rows):
    """Rows of the lake table `ad_versions`; each needs an ad_key."""
    defaults = {
        "valid_from": 0,
        "valid_to": None,
        "bid_type": 0,
        "bid_micros": 1_000_000,
        "daily_budget_micros": 10**9,
        "total_budget_micros": 10**11,
        "status": 0,
        "age_mask": ANY,
        "gender_mask": ANY,
        "device_mask": ANY,
        "geo_set": [],
        "freq_cap_day": 0,
    }
    return _table("ad_versions", [{**defaults, **row} for row in rows])


def make_context(**columns):
    """A request context; scalars are repeated, columns not named are zero."""
    size = max((np.size(values) for values in columns.values()), default=1)
    full = {name: np.zeros(size, dtype=np.int64) for name in RequestContext._fields}
    for name, values in columns.items():
        full[name] = np.broadcast_to(np.asarray(values, dtype=np.int64), (size,)).copy()
    return RequestContext(**full)


def all_paths(trie):
    """Path of the ad of every rank, [A, L]."""
    return trie.paths_of(torch.arange(trie.num_ads))


def all_leaves(trie):
    """Leaf of the ad of every rank, [A]."""
    return trie.leaves()


def legal_nodes(trie, eligible_BA):
    """Whether an eligible ad lies below every node, by looking at all its ads: [B, N]."""
    first_N, end_N = trie.interval(torch.arange(trie.num_nodes))
    spans = list(zip(first_N.tolist(), end_N.tolist(), strict=True))
    return torch.tensor(
        [[bool(eligible_A[a:b].any()) for a, b in spans] for eligible_A in eligible_BA]
    )


def eligible(eligible_BA):
    """Pack a mask given as lists."""
    return EligibleAds.of_mask(np.asarray(eligible_BA, dtype=bool))


def _table(name, rows):
    """Convert dictionaries to the schema of a lake table."""
    schema = TABLES[name].schema
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)
