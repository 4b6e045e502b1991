"""The decoder against `transformers`, against growing catalogs, and its parts.

    python -m benchmarks.decoding

One thread, processor time. 40 candidates, 4 levels of 256 codes, a GPT-2 128 wide with 4 layers and
prompts of 64 tokens; it needs the extra `peers`. Writes docs/benchmarks/decoding.json.

Letters: B requests, T prompt tokens, K sequences of a request, L levels.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.decoding_peers import (
    FIRST_TOKEN,
    DictionaryTree,
    beam_search,
    make_gpt2,
    make_t5,
)
from benchmarks.decoding_workload import (
    CODEBOOK,
    LEVELS,
    SIZES,
    ConstantValuer,
    NetworkValuer,
    Shop,
    Stopwatch,
    draw_paths,
    draw_viewers,
    make_shop,
)
from benchmarks.gpt2_policy import GPT2Policy
from benchmarks.record import write_result
from benchmarks.tokenizer_workload import compare, spread
from gpr_core.catalog.eligibility import RequestContext
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.packed_paths import pack_paths
from gpr_core.catalog.targeting import TargetingIndex
from gpr_core.catalog.trie import Trie
from gpr_core.generation import beam, value_guided
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.protocols import Candidates, DecodeRequests
from gpr_core.generation.value_guided import decode
from gpr_core.generation.variants import at_load, plain_beam
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import torch_stream

K, PROMPT = 40, 64
# Contenders serve as many requests, one batch after the other, as a server gets them.
BATCHES, MOST = (1, 16), 16
GUIDED = BeamConfig(
    num_candidates=K, width_factors=(1.0,), exhaustive_factor=0, leaf_ads=1, order="retrieval"
)
PLAIN = plain_beam(GUIDED)
# What the tree, targeting and the choice of beams are made of.
_SEARCH = (
    (TargetingIndex, "eligible"),
    (beam, "legal_children"),
    (value_guided, "best_of_groups"),
)
_LOADS = (0.0, 0.25, 0.5, 0.75)
_GROWTH, _ROUNDS = (10_000, 1_000_000, 10_000_000), 31
# GPT-2 takes three seconds for what T5 takes half a second for.
_PAIRS = {"gpt2": 9, "t5": 25, "plain": 101}


class Server:
    """Answers requests with a policy and a valuer.

    Args:
        shop: The catalog.
        policy: Proposes codes.
        valuer: Values prefixes and ads.
        num_requests: B.
        config: Parameters.
        is_targeted: False lets every ad serve everyone.
    """

    def __init__(
        self,
        shop: Shop,
        policy: Any,
        valuer: Any,
        num_requests: int,
        config: BeamConfig = PLAIN,
        *,
        is_targeted: bool = True,
    ) -> None:
        self._shop, self._policy, self._valuer, self._config = shop, policy, valuer, config
        self._viewers = draw_viewers(num_requests)
        self.token_BT = draw_prompts(num_requests)
        self._everything = (
            None if is_targeted else EligibleAds.everything(num_requests, shop.trie.num_ads)
        )

    def answer(self) -> Candidates:
        """Serve all requests in one batch, from targeting to the list.

        Returns:
            The candidates.
        """
        shop = self._shop
        eligible = self._everything or shop.targeting.eligible(self._viewers)
        requests = DecodeRequests(self._viewers.request_key, self._viewers.ts, eligible)
        with torch.inference_mode():
            state = self._policy.read(self.token_BT)
            return decode(
                self._policy, self._valuer, state, requests, shop.trie, shop.ads, self._config
            )


def draw_prompts(num_requests: int) -> torch.Tensor:
    """Draw prompts.

    Args:
        num_requests: B.

    Returns:
        [B, T] int64 tokens.
    """
    stream = torch_stream(0, "benchmark", "prompts", num_requests)
    return torch.randint(FIRST_TOKEN, CODEBOOK * LEVELS, (num_requests, PROMPT), generator=stream)


def compare_with_peers() -> list[dict[str, Any]]:
    """Compare with the beam search of `transformers` at 100,000 ads.

    Returns:
        One row per batch size and precision of our products.
    """
    shop, tree = make_shop(100_000), DictionaryTree(draw_paths(100_000), SIZES)
    gpt2, t5 = make_gpt2(sum(SIZES), PROMPT + LEVELS), make_t5(sum(SIZES))
    rows = []
    for batch, precision in product(BATCHES, (torch.float32, torch.bfloat16)):
        policy = GPT2Policy(gpt2, SIZES, FIRST_TOKEN, precision)
        server = Server(shop, policy, ConstantValuer(), batch, is_targeted=False)
        peers = {
            name: partial(beam_search, model, server.token_BT, tree, beams=K, levels=LEVELS)
            for name, model in (("gpt2", gpt2), ("t5", t5))
        }
        theirs = peers["gpt2"]() - FIRST_TOKEN - torch.arange(LEVELS) * CODEBOOK
        ours = server.answer().path_ML.view(batch, K, LEVELS)
        row: dict[str, Any] = {
            "batch": batch,
            "precision": str(precision).removeprefix("torch."),
            "equal_sequences": float((ours == theirs).all(-1).float().mean()),
            "common_sequences": _share_in_common(ours, theirs),
        }
        for name, peer in peers.items():
            both = (partial(_in_a_row, run, MOST // batch) for run in (server.answer, peer))
            row[name] = compare(*both, threads=1, repeats=_PAIRS[name])
        rows.append(row)
    return rows


def compare_catalogs() -> list[dict[str, Any]]:
    """Serve targeted requests from catalogs of growing size, in turn.

    Returns:
        One row per batch and size: time of a request, relative to the smallest catalog (median and
        fastest of the rounds), and the share of targeting, of the tree and of the choice of beams
        in it.
    """
    gpt2 = make_gpt2(sum(SIZES), PROMPT + LEVELS)
    shops = {num_ads: make_shop(num_ads) for num_ads in _GROWTH}
    policy = GPT2Policy(gpt2, SIZES, FIRST_TOKEN)
    rows = []
    for batch in BATCHES:
        servers = {
            size: Server(shop, policy, ConstantValuer(), batch) for size, shop in shops.items()
        }
        for server in servers.values():
            server.answer()
        watch = Stopwatch()
        with ExitStack() as patches:
            for place, name in _SEARCH:
                timed = watch.wrap(getattr(place, name))
                patches.enter_context(patch.object(place, name, timed))
            seconds = _in_turn({size: server.answer for size, server in servers.items()}, watch)
        rows += [
            {
                "batch": batch,
                "ads": size,
                "ms_per_request": spread([1000 * one / batch for one in seconds[size]]),
                "relative_to_smallest": {
                    name: round(of(seconds[size]) / of(seconds[_GROWTH[0]]), 3)
                    for name, of in (("median", statistics.median), ("fastest", min))
                },
                "share_of_search": round(watch.seconds[size] / sum(seconds[size]), 3),
            }
            for size in shops
        ]
    return rows


def measure_index() -> dict[str, Any]:
    """Build the index of ten million ads, and find the ads that may serve one viewer.

    Returns:
        Seconds, bytes and ratios.
    """
    num_ads = _GROWTH[-1]
    packed_A = pack_paths(draw_paths(num_ads), SIZES)
    keys_A = np.arange(1, num_ads + 1, dtype=np.uint64)
    shuffled_A = np.random.default_rng(0).permutation(packed_A)
    builds = []
    for _ in range(5):
        started = time.process_time()
        trie = Trie.from_packed(shuffled_A, keys_A, SIZES)
        builds.append(time.process_time() - started)
    arrays = (trie.code_N, trie.first_N1, trie.child_ptr_I1, trie.ad_key_A, trie.by_key_A)
    shop, viewer = make_shop(num_ads), draw_viewers(1)
    eligible = shop.targeting.eligible(viewer)
    kinds = [RequestContext(*(column[n : n + 1] for column in draw_viewers(16))) for n in range(16)]

    def rebuild() -> Trie:
        """Make a tree of the ads that may serve the viewer."""
        may_serve_A = eligible.mask()[0]
        return Trie.from_packed(packed_A[may_serve_A], keys_A[may_serve_A], SIZES)

    return {
        "ads": num_ads,
        "nodes": trie.num_nodes,
        "build_s": spread(builds),
        "megabytes": round(sum(array.nbytes for array in arrays) / 1e6, 1),
        "targeting_ms": _targeting_ms(shop, kinds),
        "targeting_by_rebuilding": compare(
            partial(shop.targeting.eligible, viewer), rebuild, threads=1, repeats=5
        ),
    }


def _targeting_ms(shop: Shop, kinds: list[RequestContext]) -> dict[str, float]:
    """Time targeting of single viewers in turn."""
    found = []
    for viewer in kinds * 12:
        started = time.process_time()
        shop.targeting.eligible(viewer)
        found.append(1000 * (time.process_time() - started))
    return spread(found[len(kinds) :])


def measure_guidance() -> list[dict[str, Any]]:
    """Compare value-guided beams with plain ones of the same width and valuer.

    Returns:
        One row per batch size; ratios are guided / plain, and load / peak load.
    """
    shop, gpt2 = make_shop(100_000), make_gpt2(sum(SIZES), PROMPT + LEVELS)
    rows = []
    for batch in BATCHES:
        policy, valuer = GPT2Policy(gpt2, SIZES, FIRST_TOKEN), NetworkValuer(batch)
        plain, guided, *lighter = (
            partial(_in_a_row, Server(shop, policy, valuer, batch, config).answer, MOST // batch)
            for config in (PLAIN, GUIDED, *(at_load(GUIDED, load) for load in _LOADS))
        )
        rows.append(
            {
                "batch": batch,
                "guided_by_plain": compare(plain, guided, threads=1, repeats=_PAIRS["plain"])[
                    "ratio"
                ],
                "by_load": {
                    load: compare(guided, one, threads=1, repeats=_ROUNDS)["ratio"]
                    for load, one in zip(_LOADS, lighter, strict=True)
                },
            }
        )
    return rows


def _share_in_common(ours_BKL: torch.Tensor, theirs_BKL: torch.Tensor) -> float:
    """Share of sequences that both found, wherever they stand in the list."""
    is_same_BKK = (ours_BKL[:, :, None] == theirs_BKL[:, None]).all(-1)
    return round(float(is_same_BKK.any(-1).float().mean()), 4)


def _in_a_row(run: Callable[[], object], times: int) -> None:
    """Run several times."""
    for _ in range(times):
        run()


def _in_turn(
    contenders: dict[int, Callable[[], object]], watch: Stopwatch
) -> dict[int, list[float]]:
    """Time contenders one after the other, many times."""
    seconds: dict[int, list[float]] = {name: [] for name in contenders}
    for _ in range(_ROUNDS):
        for name, run in contenders.items():
            watch.running = name
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    return seconds


if __name__ == "__main__":
    torch.set_num_threads(1)
    parts: dict[str, Callable[[], Any]] = {
        "peers": compare_with_peers,
        "growth": compare_catalogs,
        "index": measure_index,
        "guidance": measure_guidance,
    }
    progress, result = Progress("benchmark of decoding"), {}
    for number, (name, part) in enumerate(parts.items()):
        result[name] = part()
        progress.update(number + 1, len(parts))
        print(name, result[name], flush=True)  # noqa: T201
    result["transformers"] = version("transformers")
    print(write_result("decoding", {"candidates": K, "prompt": PROMPT, **result}))  # noqa: T201
