"""The baseline that generates first and filters afterwards.

It searches the whole catalog as if every ad were eligible and then drops what may not serve, so
that part of its beams is wasted. It exists for comparison only.
"""

from typing import Any

import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.ordering import rank_in_group
from gpr_core.generation.protocols import Candidates, DecodeRequests, Policy, Valuer
from gpr_core.generation.value_guided import decode


def decode_then_filter(
    policy: Policy,
    valuer: Valuer,
    state: Any,
    requests: DecodeRequests,
    trie: Trie,
    ad_table: AdTable,
    config: BeamConfig,
) -> Candidates:
    """Generate without legality, then drop the ads that may not serve.

    Args:
        policy: Proposes codes.
        valuer: Values prefixes and ads.
        state: What `policy.read` returned.
        requests: The requests and their exact eligibility.
        trie: The catalog's tree.
        ad_table: Attributes of the ads.
        config: Parameters; the same widths as the decoder it is compared with.

    Returns:
        Candidates sorted by request; often fewer than asked for although more are eligible.

    Source:
        Specification 5.2 (baseline at matched decode cost).
    """
    eligible = requests.eligible
    everything = EligibleAds.everything(eligible.num_requests, trie.num_ads)
    found = decode(
        policy, valuer, state, requests._replace(eligible=everything), trie, ad_table, config
    )
    kept = found.select(
        torch.from_numpy(eligible.contains(found.row_M.numpy(), found.rank_M.numpy()))
    )
    return kept._replace(position_M=torch.from_numpy(rank_in_group(kept.row_M.numpy())))
