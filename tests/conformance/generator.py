"""What every generator must keep, with a tabular policy whose truth is known by enumeration.

`TabularPolicy` gives each (request, head, prefix, code) its own fixed logit, so that brute force
over all ads is possible. Letters as in `gpr_core.generation.protocols`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.data.keyed_sampling import keyed_normal
from gpr_core.data.tables import TABLES
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.protocols import Candidates, DecodeRequests
from gpr_core.generation.value_guided import decode
from tests.gpr_core.catalog.catalogs import all_paths
from tests.prefixes import logits_after

TS = 1_000_000
PLAIN = BeamConfig(
    num_candidates=5,
    width_factors=(1000.0,),
    value_bonus=(0.0,),
    share_by_value=False,
    exhaustive_factor=0,
    order="retrieval",
)


class Outcome(NamedTuple):
    p_ctr_N: Tensor
    p_cvr_N: Tensor
    p_neg_N: Tensor


class TabularPolicy:
    """A policy and valuer that is a table; the state is the tensor of request keys.

    Args:
        codebook_sizes: Codes per level.
        head_weights: Weights of the heads.
        logits: (request_key, head, prefix, code) -> logit to set by hand.
        values: prefix -> standardized value to set by hand; others are 0.
        seed: Seed of the logits that are not set; None makes them 0.
    """

    def __init__(self, codebook_sizes, head_weights=(1.0,), logits=None, values=None, seed=0):
        self.head_weights_J = torch.tensor(head_weights)
        self.value_mean, self.value_std = torch.tensor(2.0), torch.tensor(4.0)
        self.sizes, self.seed = codebook_sizes, seed
        self.logits, self.values = logits or {}, values or {}
        self.num_rows = 0
        self.num_calls = 0

    def read(self, request_keys):
        return torch.as_tensor(request_keys)

    def begin(self, state, rows_N, heads_N):
        return state, rows_N, heads_N, rows_N.new_zeros((len(rows_N), 0))

    def extend(self, prefixes, parents_N, codes_N):
        state, rows_M, heads_M, codes_MP = prefixes
        codes_NP = torch.cat([codes_MP[parents_N], codes_N[:, None]], dim=1)
        return state, rows_M[parents_N], heads_M[parents_N], codes_NP

    def join(self, parts):
        states, *columns = zip(*parts, strict=True)
        return states[0], *(torch.cat(column) for column in columns)

    def child_logits(self, prefixes):
        state, rows_N, heads_N, codes_NP = prefixes
        self.num_calls += 1
        self.num_rows += len(rows_N)
        level = codes_NP.shape[1]
        code_V = np.arange(self.sizes[level])
        result = np.zeros((len(rows_N), len(code_V)))
        if self.seed is not None:
            prefix_N = np.zeros(len(rows_N), dtype=np.int64)
            for position in range(level):
                prefix_N = prefix_N * 1000 + codes_NP[:, position].numpy() + 1
            keys = (state[rows_N].numpy(), heads_N.numpy(), prefix_N)
            result = keyed_normal(self.seed, "logit", *(k[:, None] for k in keys), code_V)
        for row, (key, head, prefix) in enumerate(
            zip(state[rows_N].tolist(), heads_N.tolist(), codes_NP.tolist(), strict=True)
        ):
            for code in code_V:
                found = self.logits.get((key, head, tuple(prefix), int(code)))
                if found is not None:
                    result[row, code] = found
        return torch.from_numpy(result).to(torch.float32)

    def prefix_values(self, state, rows_N, codes_NP):
        return torch.tensor([self.values.get(tuple(prefix), 0.0) for prefix in codes_NP.tolist()])

    def item_values(self, state, rows_N, paths_NL, ad_features_NF):
        p = torch.as_tensor(
            [0.5 * 0.9 ** sum(path) for path in paths_NL.tolist()], dtype=torch.float32
        )
        return Outcome(p, p * 0.1, p * 0.01)


def make_catalog(paths, keys=None, *, bid_micros=1_000_000, advertisers=None, sizes=None):
    """Build a trie and an ad table; every ad is active for everybody."""
    paths = np.asarray(paths, dtype=np.int16)
    keys = np.arange(1, len(paths) + 1) if keys is None else np.asarray(keys)
    count = len(paths)
    bids = np.broadcast_to(np.asarray(bid_micros), (count,))
    advertisers = np.arange(1, count + 1) if advertisers is None else np.asarray(advertisers)
    ads = {field.name: np.zeros(count, np.int64) for field in TABLES["ads"].schema}
    ads |= {"title": [""] * count, "ad_key": keys, "advertiser_key": advertisers}
    versions = {field.name: np.zeros(count, np.int64) for field in TABLES["ad_versions"].schema}
    versions |= {
        "ad_key": keys,
        "bid_micros": bids,
        "daily_budget_micros": np.full(count, 10**9),
        "total_budget_micros": np.full(count, 10**9),
        "age_mask": np.full(count, 255),
        "gender_mask": np.full(count, 255),
        "device_mask": np.full(count, 255),
        "valid_to": [None] * count,
        "geo_set": [[] for _ in range(count)],
    }
    trie = Trie.build(paths, keys.astype(np.uint64), sizes)
    return trie, AdTable.build(_table("ads", ads), _table("ad_versions", versions), trie)


def _table(name, columns):
    """Cast columns to the schema of a lake table."""
    schema = TABLES[name].schema
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def make_requests(eligible_BA, keys=None):
    """Build requests with explicit eligibility."""
    eligible = EligibleAds.of_mask(np.asarray(eligible_BA, dtype=bool))
    count = eligible.num_requests
    keys = np.arange(100, 100 + count) if keys is None else np.asarray(keys)
    return DecodeRequests(keys, np.full(count, TS), eligible)


def take_requests(requests, rows):
    """Take some requests."""
    return make_requests(requests.eligible.mask()[rows], requests.request_key_B[rows])


def random_catalog(rng, num_ads, sizes=(4, 4, 4)):
    """Draw a catalog with shared paths."""
    paths = np.stack([rng.integers(0, size, num_ads) for size in sizes], axis=1)
    return make_catalog(paths, rng.permutation(num_ads) + 1, sizes=sizes)


def brute_force(policy, state, requests, trie):
    """Score every eligible ad exactly: [B, A] max over heads of log weight + path logp."""
    eligible, paths = requests.eligible.mask(), all_paths(trie).numpy()
    scores = np.full(eligible.shape, -np.inf)
    for row in range(len(eligible)):
        for head, weight in enumerate(policy.head_weights_J.tolist()):
            for rank in np.flatnonzero(eligible[row]):
                total = np.log(weight)
                for level in range(paths.shape[1]):
                    prefix = paths[rank, :level]
                    same = (paths[:, :level] == prefix).all(1) & eligible[row]
                    legal = np.unique(paths[same, level])
                    logits = logits_after(
                        policy,
                        state,
                        torch.tensor([row]),
                        torch.tensor([head]),
                        torch.as_tensor(prefix[None].astype(np.int64)),
                    )[0].double()
                    total += float(logits[paths[rank, level]] - logits[legal].logsumexp(0))
                scores[row, rank] = max(scores[row, rank], total)
    return scores


Generator = Callable[..., Candidates]


def check_lists_are_legal(candidates: Candidates, requests, trie, config) -> None:
    """No ad is ineligible, twice in a list, or off the trie, and lists are within K."""
    row, rank = candidates.row_M, candidates.rank_M
    assert bool(requests.eligible.mask()[row, rank].all())
    pairs = torch.stack([row, rank], 1).tolist()
    assert len({tuple(pair) for pair in pairs}) == len(pairs)
    assert torch.equal(trie.paths_of(rank), candidates.path_ML)
    assert bool((torch.bincount(row) <= config.num_candidates).all()) if len(row) else True


def check_generator(generate: Generator, config: BeamConfig, seed: int) -> None:
    """Run the suite that every generator keeps on one random catalog.

    Args:
        generate: Called like `decode`.
        config: Parameters to generate with.
        seed: Seed of the catalog, the policy and the eligibility.
    """
    rng = np.random.default_rng(seed)
    trie, ad_table = random_catalog(rng, int(rng.integers(1, 60)))
    policy = TabularPolicy(trie.codebook_sizes, (0.5, 0.3, 0.2), seed=seed)
    requests = make_requests(rng.random((6, trie.num_ads)) < rng.random((6, 1)))
    state = policy.read(requests.request_key_B)
    first = generate(policy, policy, state, requests, trie, ad_table, config)
    check_lists_are_legal(first, requests, trie, config)
    again = generate(policy, policy, state, requests, trie, ad_table, config)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    check_batch_independence(generate, policy, requests, trie, ad_table, config)
    wanted = np.flatnonzero(requests.eligible.totals())
    assert set(first.row_M.tolist()) == set(wanted.tolist())


def check_batch_independence(generate, policy, requests, trie, ad_table, config) -> None:
    """The list of a request is the same alone, in another order and in another batch."""
    whole = generate(
        policy, policy, policy.read(requests.request_key_B), requests, trie, ad_table, config
    )
    for rows in ([3], [5, 0], [2, 4, 1]):
        part = take_requests(requests, rows)
        found = generate(
            policy, policy, policy.read(part.request_key_B), part, trie, ad_table, config
        )
        for position, row in enumerate(rows):
            mine = found.select(found.row_M == position)
            theirs = whole.select(whole.row_M == row)
            assert torch.equal(mine.ad_key_M, theirs.ad_key_M)
            assert torch.equal(mine.logp_ML, theirs.logp_ML)


def run(policy, requests, trie, ad_table, config, **options) -> Candidates:
    """Decode with the tabular policy as its own valuer."""
    state = policy.read(requests.request_key_B)
    return decode(policy, policy, state, requests, trie, ad_table, config, **options)
